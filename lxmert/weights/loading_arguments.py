"""Documented arguments of `transformers`' from_pretrained that say nothing here: accepted with their neutral value."""

from __future__ import annotations

from typing import Any, NamedTuple


class Neutral(NamedTuple):
    """The values of an argument that ask for nothing, and why another is refused; () accepts every value."""

    values: tuple[Any, ...]
    reason: str = ""


_ANY: tuple[Any, ...] = ()
_NO_CODE = "no code from a repository is ever run"
_FLOATS = "weights are loaded as floating-point numbers; quantize the loaded model instead"
_ONE_PROCESS = "a model is loaded in one process; wrap the loaded model in DDP or FSDP2"

NEUTRAL = {
    # What `transformers` ignores too.
    "low_cpu_mem_usage": Neutral(_ANY),
    "offload_state_dict": Neutral(_ANY),
    "resume_download": Neutral(_ANY),
    "_fast_init": Neutral(_ANY),
    "mirror": Neutral(_ANY),
    "from_tf": Neutral(_ANY),  # the content of a file decides what it is
    # What has no meaning here.
    "trust_remote_code": Neutral((None, False), _NO_CODE),
    "code_revision": Neutral((None,), _NO_CODE),
    "weights_only": Neutral((None, True), "a pickle is only read by torch.load(weights_only=True)"),
    "proxies": Neutral((None,), "set HTTPS_PROXY in the environment"),
    "from_flax": Neutral((None, False), "weights of Flax are not read; save them as safetensors"),
    "quantization_config": Neutral((None,), _FLOATS),
    "load_in_8bit": Neutral((None, False), _FLOATS),
    "load_in_4bit": Neutral((None, False), _FLOATS),
    "gguf_file": Neutral((None,), "there are no GGUF files of these models"),
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


def drop_neutral(owner: str, options: dict[str, Any]) -> None:
    """Take the arguments of `NEUTRAL` out of a dict.

    Raises:
        ValueError: one of them has another value than its neutral ones; the message says why.
    """
    for name in [name for name in options if name in NEUTRAL]:
        value, (values, reason) = options.pop(name), NEUTRAL[name]
        if reason and not any(value is neutral or (neutral is not None and value == neutral) for neutral in values):
            raise ValueError(f"{owner}: {name} must be {' or '.join(map(repr, values))}: {reason}. Got {value!r}.")


def check_attention(owner: str, attn_implementation: str | None, known: tuple[str, ...]) -> None:
    """Refuse an implementation of attention that is not here; those that are compute the same.

    Raises:
        ValueError: another value than None and those in `known`.
    """
    if attn_implementation is not None and attn_implementation not in known:
        raise ValueError(
            f"{owner}: attn_implementation must be {' or '.join(map(repr, known))}; got {attn_implementation!r}."
        )
