"""Arguments of `from_pretrained`: their types, and documented ones of `transformers` that say nothing here."""

from __future__ import annotations

from typing import Protocol

from lxmert.utils.neutral_arguments import IGNORED, SHARED, Neutral


class TensorDType(Protocol):
    """A `torch.dtype`."""

    @property
    def is_floating_point(self) -> bool:
        """Whether it is one of floating-point numbers."""


class DTypePolicy(Protocol):
    """A `keras.DTypePolicy`."""

    @property
    def compute_dtype(self) -> str:
        """The dtype of computations."""

    @property
    def variable_dtype(self) -> str:
        """The dtype of variables."""


DType = str | TensorDType | DTypePolicy | None
Quantize = str | bool | None

_FLOATS = 'pass quantize="int8", or quantize the loaded model instead'
_ONE_PROCESS = "a model is loaded in one process; wrap the loaded model in DDP or FSDP2"

NEUTRAL = SHARED | {
    # What `transformers` ignores too.
    "low_cpu_mem_usage": IGNORED,
    "offload_state_dict": IGNORED,
    "_fast_init": IGNORED,
    "from_tf": IGNORED,  # the content of a file decides what it is
    # What has no meaning here.
    "weights_only": Neutral((None, True), "a pickle is never run; tensors alone are read from it"),
    "from_flax": Neutral((None, False), "weights of Flax are not read; save them as safetensors"),
    "quantization_config": Neutral((None,), _FLOATS),
    "load_in_8bit": Neutral((None, False), _FLOATS),
    "load_in_4bit": Neutral((None, False), _FLOATS),
    "key_mapping": Neutral((None,), "the names of all published formats are recognized; rename others in the file"),
    "adapter_kwargs": Neutral((None,), "load adapters with peft.PeftModel.from_pretrained"),
    "adapter_name": Neutral((None, "default"), "load adapters with peft.PeftModel.from_pretrained"),
    "generation_config": Neutral((None,), "these models do not generate text"),
    "tp_plan": Neutral((None,), _ONE_PROCESS),
    "tp_size": Neutral((None,), _ONE_PROCESS),
    "device_mesh": Neutral((None,), _ONE_PROCESS),
    "distributed_config": Neutral((None,), _ONE_PROCESS),
    "use_kernels": Neutral((None, False), "the kernels are chosen by use_cpu_kernels"),
    "kernel_config": Neutral((None,), "the kernels are chosen by use_cpu_kernels"),
    "experts_implementation": Neutral((None,), "these models have no experts"),
    "fusion_config": Neutral((None,), "these models have nothing to fuse"),
    "disable_mmap": Neutral((None, False), "copy the loaded model to have it in memory of its own"),
}


def check_attention(owner: str, attn_implementation: str | None, known: tuple[str, ...]) -> None:
    """Refuse an implementation of attention that is not here.

    Raises:
        ValueError: another value than None and those in `known`.
    """
    if attn_implementation is not None and attn_implementation not in known:
        raise ValueError(
            f"{owner}: attn_implementation must be {' or '.join(map(repr, known))}; got {attn_implementation!r}."
        )
