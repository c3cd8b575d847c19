"""The base of every model, without a framework: its name, its parameters by name, loading, and its options."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from lxmert.common.config.base import ModelConfig
from lxmert.common.outputs import ModelOutput
from lxmert.common.validation.shared import check_integer
from lxmert.hub import HubOptions
from lxmert.utils.messages import check_keywords, signature_names

from .checkpoint import Checkpoint
from .load import LoadReport, match_parameters
from .module_names import ModuleNames
from .naming.key_mapping import Parameter, parameters
from .naming.tables import head_names
from .open import open_checkpoint


class BaseModel(ModuleNames):
    """Base class of the models of both backends, which find and load the parameters."""

    config: Any
    config_class: ClassVar[type[ModelConfig]]
    constructor_options: ClassVar[tuple[str, ...]] = ()  # its arguments after the config
    load_report: LoadReport | None = None
    gradient_checkpointing = False

    @classmethod
    def check_config(cls, config: ModelConfig) -> None:
        """Refuse an object that is not a configuration of this class."""
        if isinstance(config, cls.config_class):
            return
        name, given = cls.config_class.__name__, type(config).__name__
        hint = f"To load weights use {cls.__name__}.from_pretrained(path)."
        if given == name:  # transformers' class has the same name
            given = f"{type(config).__module__}.{given}"
            hint = f"Make one by {name}.from_dict(config.to_dict())."
        raise TypeError(f"{cls.__name__} is made from a {name}; got {given}. {hint}")

    # Names

    @classmethod
    def head_names(cls, config: ModelConfig) -> tuple[str, ...]:
        """The heads that this class has under a config."""
        return head_names(cls.architecture(), config)

    @property
    def base(self) -> Any:
        """The backbone; a backbone is its own."""
        return getattr(self, "backbone", self)

    def locate(self, parameter: Parameter) -> tuple[Any, str]:
        """The layer that holds a parameter of the name table, and the attribute under which it does."""
        raise NotImplementedError

    def weights_by_name(self) -> Iterator[tuple[Parameter, Any]]:
        """Every parameter with its row of the name table."""
        pooler = self.base.pooler is not None
        for parameter in parameters(self.config, self.head_names(self.config), pooler):
            layer, attribute = self.locate(parameter)
            yield parameter, getattr(layer, attribute)

    # Loading

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        config: ModelConfig | None = None,
        dtype: Any = None,
        only: str | None = None,
        allow_new_head: bool = False,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        **overrides: Any,
    ) -> Self:
        """Load a model for evaluation. `model.load_report` lists what was left out or newly initialized.

        Args:
            source: a folder or file of weights in any published format, recognized by its content; or a model on the
                hub, "owner/name". (Reading a pickle needs PyTorch.)
            config: the configuration, where the file has none, or to use another.
            dtype: of the parameters, in PyTorch torch.float16 or "float16", say; in Keras a dtype or policy ("float32",
                "mixed_bfloat16", …). The framework's default by default.
            only: "backbone" leaves every head newly initialized.
            allow_new_head: whether a head that the file does not have, or not in this size, may be newly initialized.
            revision, cache_dir, token, local_files_only: of a model on the hub: a branch, tag or commit; the folder to
                keep files in; the user's token; whether to do without the network.
            overrides: config fields with other values than the file's; and arguments of the constructor after the
                config (`add_pooling_layer=False`).

        Raises:
            FileNotFoundError, ValueError: no such file, or a damaged or foreign one.
            CheckpointMismatchError: names or shapes do not fit; all are listed, and nothing is loaded.
        """
        known = (*signature_names(cls.from_pretrained), *cls.constructor_options, *cls.config_class.field_names())
        check_keywords(f"{cls.__name__}.from_pretrained", overrides, known)
        options = {name: overrides.pop(name) for name in cls.constructor_options if name in overrides}
        hub = HubOptions(revision=revision, cache_dir=cache_dir, token=token, local_files_only=local_files_only)
        with open_checkpoint(source, config, cls.config_class, hub, **overrides) as file:
            pooler = options.get("add_pooling_layer", True)
            found, report = match_parameters(file, cls.architecture(), only, allow_new_head, pooler)
            model = cls._load(file, found, set(report.new), dtype, options)
        model.load_report = report
        return model

    @classmethod
    def _load(
        cls, file: Checkpoint, found: list[Parameter], new: set[str], dtype: Any, options: Mapping[str, Any]
    ) -> Self:
        """Make a model from an open file: the parameters that were found, and new ones by name."""
        raise NotImplementedError

    # Options

    def format_output(self, output: ModelOutput, return_dict: bool | None) -> Any:
        """An output, or a tuple of its present fields without `return_dict`; None takes the config's choice."""
        return_dict = self.config.return_dict if return_dict is None else return_dict
        return output if return_dict else output.to_tuple()

    def gradient_checkpointing_enable(self) -> None:
        """Store only each layer's input in training and recompute the rest: less memory, more time, equal gradients."""
        self.base.gradient_checkpointing = True

    def gradient_checkpointing_disable(self) -> None:
        """Store all activations again."""
        self.base.gradient_checkpointing = False


def new_token_count(current: int, requested: int | None, multiple: int | None) -> int:
    """The number of words after resizing: `requested` or the current one, rounded up to a multiple."""
    count = current if requested is None else check_integer("new_num_tokens", requested)
    return -(-count // multiple) * multiple if multiple else count


def kept_rows(before: ModelConfig, after: ModelConfig, path: str, head_size: int) -> list[int]:
    """The rows of an attention's projections that pruning keeps: those of the heads that both configs have."""
    kept = set(after.kept_heads(path))
    heads = [i for i, head in enumerate(before.kept_heads(path)) if head in kept]
    return [i * head_size + j for i in heads for j in range(head_size)]


def pruned_paths(config: ModelConfig, heads: Mapping[str, Iterable[int]]) -> list[str]:
    """The paths of the attentions whose heads are to be pruned, each once."""
    return list(dict.fromkeys(config.attention_path(key) for key in heads))
