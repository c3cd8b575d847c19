"""Which attention heads a configuration says are pruned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from lxmert.utils.messages import shown

from .values import head_numbers, layer_number


class PrunedHeads:
    """The attentions of a model by path, and the heads that are pruned from each."""

    # The attentions of each kind of layer: the field that counts the layers, and the names of its attentions.
    attentions: ClassVar[Mapping[str, tuple[str, tuple[str, ...]]]] = {}

    if TYPE_CHECKING:  # what `TransformerConfig` has

        def __getattr__(self, name: str) -> Any: ...

    @property
    def attention_paths(self) -> tuple[str, ...]:
        """The path of every attention: the names that `pruned_heads` uses."""
        return tuple(
            f"{layers}.{i}.{name}"
            for layers, (count, names) in self.attentions.items()
            for i in range(getattr(self, count))
            for name in names
        )

    def attention_path(self, key: str | int) -> str:
        """The path of the attention that a key of `pruned_heads` names."""
        return str(key)

    def with_pruned_heads(self, heads: Mapping[str, Any]) -> Self:
        """Return a copy with more heads pruned.

        Args:
            heads: for each attention, the indices of the heads to remove, counted as in the unpruned model.

        Raises:
            ValueError: an unknown attention or head, or all heads of an attention.
            TypeError: heads that are not integers.
        """
        if not isinstance(heads, Mapping):
            raise TypeError(f"heads must be a mapping of attentions to lists of heads; got {type(heads).__name__}.")
        pruned: dict[str, set[int]] = {path: set(before) for path, before in self.pruned_heads.items()}
        for key, more in heads.items():
            pruned.setdefault(self.attention_path(key), set()).update(head_numbers(str(key), more))
        return self.replace(pruned_heads={path: sorted(every) for path, every in pruned.items()})

    def kept_heads(self, path: str) -> list[int]:
        """The indices of the heads that the attention at `path` still has."""
        gone = set(self.pruned_heads.get(path, ()))
        return [head for head in range(self.num_attention_heads) if head not in gone]

    def _has_attention(self, path: str) -> bool:
        """Whether `path` is one of `attention_paths`, without listing them: a file may claim any number of layers."""
        layers, _, rest = path.partition(".")
        number, _, name = rest.partition(".")
        count, names = self.attentions.get(layers, ("", ()))
        layer = layer_number(number)
        return name in names and layer is not None and str(layer) == number and layer < getattr(self, count)

    def _check_pruned_heads(self) -> None:
        """Raise ValueError where `pruned_heads` names an attention or heads that the model does not have."""
        heads = self.num_attention_heads
        for path, gone in self.pruned_heads.items():
            if not self._has_attention(path):
                example = next(iter(self.attentions))
                counts = ", ".join(f"{count}={getattr(self, count)}" for count, _ in self.attentions.values())
                raise ValueError(
                    f"pruned_heads names attentions by path, as '{example}.0.attention'; got {shown(path)}. "
                    f"This model has {counts}."
                )
            if len(gone) >= heads or gone[0] < 0 or gone[-1] >= heads:  # they are in order, each once
                raise ValueError(
                    f"pruned_heads[{path!r}] must be some of the heads 0 to {heads - 1}, not all; "
                    f"got {shown(list(gone))}."
                )
