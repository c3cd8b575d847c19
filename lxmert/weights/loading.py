"""Loading of models of both backends: the arguments of `from_pretrained`, and which parameters come from a file."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

from lxmert.common.config.base import ModelConfig
from lxmert.hub import HubOptions
from lxmert.utils.messages import check_keywords, constructor_names, signature_names
from lxmert.utils.neutral_arguments import drop_neutral
from lxmert.utils.setting_names import setting

from .checkpoint import Checkpoint
from .formats import Selection
from .formats.raw_io import is_float
from .load import Allowed, LoadReport, match_parameters
from .loading_arguments import NEUTRAL, DType, Quantize, check_attention
from .named_model import NamedModel
from .naming.key_mapping import Parameter, published
from .open import open_arrays, open_checkpoint


class Placement(NamedTuple):
    """Where a loaded model goes: the arguments of that name of `from_pretrained`, for PyTorch."""

    device_map: Any = None
    max_memory: Mapping[Any, Any] | None = None
    offload_folder: str | Path | None = None
    offload_buffers: bool = False


class Found(NamedTuple):
    """What a file gives a model.

    Attributes:
        parameters: those to take from the file.
        own: the names of a user's own tensors to take from the file.
        report: of the whole.
        quantize: whether matrices become int8: None for those that are in the file, False for none.
    """

    parameters: list[Parameter]
    own: tuple[str, ...]
    report: LoadReport
    quantize: Quantize = None


class LoadableModel(NamedModel):
    """A model that is loaded by `from_pretrained`."""

    load_report: LoadReport | None = None
    attention_implementations: ClassVar[tuple[str, ...]] = ("eager",)

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path | None = None,
        *model_args: Any,
        config: ModelConfig | str | Path | None = None,
        dtype: DType = None,
        torch_dtype: DType = None,
        quantize: Quantize = None,
        state_dict: Mapping[str, Any] | None = None,
        only: str | None = None,
        allow_new_head: bool = False,
        ignore_mismatched_sizes: bool = False,
        strict: bool = False,
        output_loading_info: bool = False,
        attn_implementation: str | None = None,
        device_map: Any = None,
        max_memory: Mapping[Any, Any] | None = None,
        offload_folder: str | Path | None = None,
        offload_buffers: bool = False,
        subfolder: str = "",
        variant: str | None = None,
        use_safetensors: bool | None = None,
        sha256: str | None = None,
        trusted: bool = False,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
        pretrained_model_name_or_path: str | Path | None = None,
        **overrides: Any,
    ) -> Self:
        """Load a model for evaluation. `model.load_report` lists what was left out or newly initialized.

        A head that the file lacks is newly initialized, and so is VisualBERT's pooler; a warning lists them, and the
        tensors of no model in the file. A backbone that does not fit is an error.

        Args:
            source: a folder or file of weights in any published format, recognized by its content; or a model on the
                hub, "owner/name". Also as `pretrained_model_name_or_path`.
            model_args: arguments of the constructor after the config.
            config: the configuration, where the file has none, or to use another; or where to read it.
            dtype: of the parameters, in PyTorch torch.float16 or "float16", say; in Keras a dtype or policy ("float32",
                "mixed_bfloat16", …); "auto" is that of the file. The framework's default by default. Also as
                `torch_dtype`.
            quantize: "int8" rounds the matrices of the layers to int8, as `model.quantize("int8")` does in PyTorch,
                one after the other; by default they are what they are in the file. False makes them floating-point
                numbers, int8 times scale.
            state_dict: tensors by name that are loaded instead of a file (PyTorch); they are copied. Without `source`
                `config` has to be given.
            only: "backbone" leaves every head newly initialized.
            allow_new_head: whether a head that the file does not have, or not in this size, may be newly initialized,
                without a warning.
            ignore_mismatched_sizes: whether parameters of other shapes than the model's are newly initialized.
            strict: whether any difference between the file and the model is an error.
            output_loading_info: whether to return a pair: the model, and a dict of the names that were missing,
                unexpected and mismatched.
            attn_implementation: in PyTorch "sdpa", fused attention where no attention map is asked for, as by default;
                or "eager", products and softmax, which can be differentiated twice. In Keras "eager".
            device_map: where to put a PyTorch model: a device, or {"": device}; with accelerate also "auto", or a
                device for each module.
            max_memory, offload_folder, offload_buffers: for accelerate.
            subfolder: of the folder or repository.
            variant: of the weights: "fp16" reads model.fp16.safetensors.
            use_safetensors: True reads safetensors only, False everything else.
            sha256: that of the weight file; another file is refused before it is read.
            trusted: whether an HDF5 file of your own may be opened in this process, which saves a moment. Files of
                others are opened in a process with limits on memory and time, which a hostile one can end.
            revision, cache_dir, token, local_files_only, force_download: of a model on the hub: a branch, tag or
                commit; the folder to keep files in; the user's token; whether to do without the network; whether to
                download files that are in the cache.
            overrides: config fields with other values than the file's; and arguments of the constructor after the
                config (`add_pooling_layer=False`). Documented arguments of `transformers` without meaning here may
                have their neutral values.

        Raises:
            FileNotFoundError, ValueError: no such file, or a damaged or foreign one; an argument that asks for what
                is not there.
            CheckpointMismatchError: names or shapes do not fit; all are listed, and nothing is loaded.
            TypeError: an unknown argument; the message names the nearest one.
        """
        owner = f"{cls.__name__}.from_pretrained"
        source = _one_of("source", source, "pretrained_model_name_or_path", pretrained_model_name_or_path)
        dtype = _one_of("dtype", dtype, "torch_dtype", torch_dtype)
        drop_neutral(owner, overrides, NEUTRAL)
        check_attention(owner, attn_implementation, cls.attention_implementations)
        placement = Placement(device_map, max_memory, offload_folder, offload_buffers)
        cls._check_placement(placement)
        cls._check_quantize(owner, quantize)
        options = cls._constructor_arguments(owner, model_args, overrides)
        hub = HubOptions(
            revision=revision,
            cache_dir=cache_dir,
            token=token,
            local_files_only=local_files_only,
            force_download=force_download,
        )
        given: ModelConfig | None
        given = cls.config_class.from_pretrained(config, **hub) if isinstance(config, (str, Path)) else config
        opened: AbstractContextManager[Checkpoint]
        if state_dict is not None:
            if sha256 is not None:
                raise ValueError("sha256 is that of a weight file, which is not read where a state_dict is given.")
            opened = open_arrays(cls._arrays_of(state_dict), source, given, cls.config_class, hub, **overrides)
        elif source is None:
            raise TypeError(f"{owner} needs a source: a folder, a file, or a model on the hub.")
        else:
            selection = Selection(subfolder, variant, use_safetensors)
            opened = open_checkpoint(source, given, cls.config_class, hub, selection, sha256, trusted, **overrides)
        with opened as file:
            model = cls._new_with_own_layers(file.config, options)
            own = {} if model is None else model.own_shapes()
            taken, report = match_parameters(
                file,
                cls.architecture(),
                pooler=options.get("add_pooling_layer", True),
                allowed=Allowed(only, allow_new_head, ignore_mismatched_sizes, not strict, strict),
                own=own,
            )
            found = Found(taken, tuple(name for name in own if name not in report.new), report, quantize)
            model = cls._load(file, found, _dtype_of(file, taken) if dtype == "auto" else dtype, options, model)
        model.load_report = report
        if model.config.dtype is not None:  # what the file had
            model.config.dtype = model.dtype
        model.name_or_path = model.config.name_or_path = "" if source is None else str(source)
        if attn_implementation is not None:
            model.config.attn_implementation = attn_implementation
        model._place(placement)
        return (model, model.loading_info()) if output_loading_info else model  # type: ignore[return-value]

    @classmethod
    def _constructor_arguments(
        cls, owner: str, positional: tuple[Any, ...], overrides: dict[str, Any]
    ) -> dict[str, Any]:
        """The arguments of the constructor after the config, taken out of the overrides; the rest are config fields."""
        known = [name for name in _argument_names(cls) if name not in cls.config_class.field_names()]
        if len(positional) > len(known):
            raise TypeError(
                f"{owner} takes one source and the arguments of the constructor ({', '.join(known) or 'none'}) by "
                "position; pass the others by name."
            )
        check_keywords(
            owner,
            overrides,
            (
                *signature_names(cls.from_pretrained),
                *known,
                *cls.config_class.keyword_names(),
                *constructor_names(cls.config_class),
                *NEUTRAL,
            ),
        )
        options = dict(zip(known, positional, strict=False))
        return options | {name: overrides.pop(name) for name in known if name in overrides}

    def loading_info(self) -> dict[str, Any]:
        """What `output_loading_info` returns: names as `transformers` has them.

        `missing_keys` and `unexpected_keys` are sets of names; `mismatched_keys` a set of a name, its shape in the
        file and its shape in the model; `error_msgs` is empty: errors are raised.
        """
        report = self.load_report
        if report is None:
            raise ValueError("this model was not loaded by from_pretrained.")
        mapping = published(self.config.model_type)
        names = {p.name: mapping.key(p, self.nested) for p in self.table_parameters()}
        mismatched = {(names.get(name, name), *shapes) for name, *shapes in report.mismatched}
        return {
            "missing_keys": {names.get(name, name) for name in report.missing},
            "unexpected_keys": set(report.unexpected) - {name for name, *_ in mismatched},
            "mismatched_keys": mismatched,
            "error_msgs": [],
        }

    # What each backend does

    @classmethod
    def _check_placement(cls, placement: Placement) -> None:
        """Refuse a placement that this backend cannot do."""
        raise NotImplementedError

    @classmethod
    def _check_quantize(cls, owner: str, quantize: Quantize) -> None:
        """Refuse a `quantize` that this class cannot do."""
        if quantize not in (None, False):
            raise ValueError(
                f"{owner}: {setting('quantize')} must be None or False; got {quantize!r}. The models of words and "
                'regions take "int8".'
            )

    @classmethod
    def _arrays_of(cls, state_dict: Mapping[str, Any]) -> Mapping[str, Any]:
        """The arrays of a state dict."""
        raise NotImplementedError

    @classmethod
    def _new_with_own_layers(cls, config: ModelConfig, options: Mapping[str, Any]) -> Self | None:
        """A new model of a user's class, whose own tensors can be loaded; None for a class of this package."""
        return None

    def own_shapes(self) -> dict[str, tuple[int, ...]]:
        """The tensors that a user's class adds to those of the name table: names and shapes."""
        return {}

    @classmethod
    def _load(cls, file: Checkpoint, found: Found, dtype: Any, options: Mapping[str, Any], model: Self | None) -> Self:
        """Make a model from an open file: what was found, and the rest newly initialized."""
        raise NotImplementedError

    def _place(self, placement: Placement) -> None:
        """Put a loaded model where it belongs."""


def _one_of(name: str, value: Any, alias: str, other: Any) -> Any:
    """An argument that has two names, of which one may be given, or both with one value."""
    if value is not None and other is not None and str(value) != str(other):
        raise ValueError(f"{name} and {alias} are two names of one argument; got {value!r} and {other!r}.")
    return other if value is None else value


def _argument_names(cls: type[NamedModel]) -> list[str]:
    """The named arguments of a constructor after the config."""
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    arguments = [p.name for p in inspect.signature(cls.__init__).parameters.values() if p.kind in kinds]
    return [name for name in arguments[1:] if name != "config"]


def _dtype_of(file: Checkpoint, taken: Sequence[Parameter]) -> str:
    """The dtype that a configuration names, or else that of the first floating-point tensor in the file."""
    named = getattr(file.config, "dtype", None) or getattr(file.config, "torch_dtype", None)
    if named is not None:
        return str(named).removeprefix("torch.")
    exact = {file.stored_name(p) for p in taken if file.is_int8(p) or (p.leaf.exact and file.stores(p))}
    return next((d.name for name, d in file.file.dtypes.items() if is_float(d) and name not in exact), "float32")
