"""The bases of the models, without a framework: loading and saving, and the options of LXMERT and VisualBERT."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

from lxmert.common.config.base import ModelConfig
from lxmert.common.outputs import ModelOutput
from lxmert.utils.counts import check_integer

from .loading import LoadableModel
from .naming.key_mapping import Parameter, parameters
from .saving import SaveableModel

MEAN_RESIZING = 1e-9  # of the covariance of the old rows that new ones are drawn with


class StoredModel(LoadableModel, SaveableModel):
    """Base class of everything that has weights in the name tables, in both backends."""


class BaseModel(StoredModel):
    """Base class of the models of words and regions of both backends."""

    base_model_prefix: ClassVar[str] = ""  # the name that `transformers` gives the backbone inside of a task model
    gradient_checkpointing = False
    checkpoint_options: Mapping[str, Any] = {}  # of PyTorch's checkpoint function
    supports_gradient_checkpointing: ClassVar[bool] = True
    main_input_name: ClassVar[str] = "input_ids"
    label_aliases: ClassVar[Mapping[str, str]] = {}  # other names of labels in a call, each with the label's own
    # The options of PyTorch's checkpoint function that `gradient_checkpointing_enable` takes.
    checkpointing_options: ClassVar[tuple[str, ...]] = ()

    @property
    def base_name(self) -> str:
        """The attribute that holds the backbone; empty in a backbone."""
        return next((name for name in ("backbone", self.base_model_prefix) if name and hasattr(self, name)), "")

    def table_parameters(self) -> Iterator[Parameter]:
        """The rows of the name table that this model has; none in a user's model without a backbone."""
        base = self.base
        if hasattr(base, "pooler"):
            yield from parameters(self.config, self.head_names(self.config), base.pooler is not None)

    @classmethod
    def can_generate(cls) -> bool:
        """False: these models write no text."""
        return False

    def rename_labels(self, given: dict[str, Any]) -> dict[str, Any]:
        """The arguments of a call with each label under its own name.

        They are no arguments of `forward`: `transformers`' Trainer expects every argument that is a label in its data.

        Raises:
            ValueError: a label under both names.
        """
        for alias, name in self.label_aliases.items():
            value = given.pop(alias, None)
            if value is not None:
                if given.get(name) is not None:
                    raise ValueError(f"{name} and {alias} are two names of one argument; got both.")
                given[name] = value
        return given

    def format_output(self, output: ModelOutput, return_dict: bool | None) -> Any:
        """An output, or a tuple of its present fields without `return_dict`; None takes the config's choice."""
        return_dict = self.config.return_dict if return_dict is None else return_dict
        return output if return_dict else output.to_tuple()

    # Gradient checkpointing

    def gradient_checkpointing_enable(self, gradient_checkpointing_kwargs: Mapping[str, Any] | None = None) -> None:
        """Store only each layer's input in training and recompute the rest: less memory, more time, equal gradients.

        Args:
            gradient_checkpointing_kwargs: `use_reentrant` must be False; in PyTorch also the other options of
                `torch.utils.checkpoint.checkpoint`: `preserve_rng_state`, `context_fn`, `determinism_check`, `debug`.

        Raises:
            ValueError: `use_reentrant` is True, which would lose the gradients of arguments passed by keyword.
            TypeError: another option.
        """
        options = dict(gradient_checkpointing_kwargs or {})
        if options.pop("use_reentrant", False):
            raise ValueError(
                "use_reentrant must be False: reentrant checkpointing does not record keyword arguments, and the "
                "layers of this package take some."
            )
        unknown = sorted(options.keys() - set(self.checkpointing_options))
        if unknown:
            known = ", ".join(("use_reentrant", *self.checkpointing_options))
            raise TypeError(f"gradient_checkpointing_kwargs may have {known}; got {unknown[0]!r}.")
        if options or self.base.checkpoint_options:  # Keras, which has none, would track the dict
            self.base.checkpoint_options = options
        self.base.gradient_checkpointing = True

    def gradient_checkpointing_disable(self) -> None:
        """Store all activations again."""
        self.base.gradient_checkpointing = False

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether activations are recomputed in the backward pass."""
        return bool(self.base.gradient_checkpointing)

    def activation_checkpointing_enable(
        self,
        activation_checkpointing_kwargs: Mapping[str, Any] | None = None,
        every_n_layers: int = 1,
        offload: bool = False,
    ) -> None:
        """The newer name of `gradient_checkpointing_enable`; every layer is recomputed, and nothing offloaded."""
        if offload:
            raise ValueError(f"offload must be False: what is kept stays on its device; got {offload!r}.")
        if every_n_layers != 1:
            raise ValueError(f"every_n_layers must be 1: every layer is recomputed; got {every_n_layers!r}.")
        self.gradient_checkpointing_enable(activation_checkpointing_kwargs)

    def activation_checkpointing_disable(self) -> None:
        """Store all activations again."""
        self.gradient_checkpointing_disable()

    @property
    def is_activation_checkpointing(self) -> bool:
        """Whether activations are recomputed in the backward pass."""
        return self.is_gradient_checkpointing

    # Ties

    def tie_weights(self, missing_keys: Any = None, recompute_mapping: bool = True) -> None:
        """Nothing to do: a tied word head reads the word embedding itself, so the two cannot come apart."""


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
