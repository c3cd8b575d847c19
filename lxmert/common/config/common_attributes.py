"""The attributes that every configuration of `transformers` has, beside the fields of a model."""

from __future__ import annotations

from typing import Any

from .values import (
    PROBLEM_TYPES,
    checked_kind,
    checked_label_count,
    checked_label_names,
    checked_label_numbers,
    require,
)

# Each with its default. They say nothing about the model's sizes.
COMMON: dict[str, Any] = {
    "architectures": None,
    "dtype": None,
    "id2label": None,
    "label2id": None,
    "problem_type": None,
    "chunk_size_feed_forward": 0,
    "is_encoder_decoder": False,
    "pad_token_id": None,
    "bos_token_id": None,
    "eos_token_id": None,
}
# Other names of attributes, which a file or a keyword may have too.
ALIASES = ("num_labels", "torch_dtype", "name_or_path", "use_return_dict", "attn_implementation")
_ATTENTIONS = (None, "eager", "sdpa")


class CommonAttributes:
    """Labels, and how attention is computed: what users and tools read of a configuration of any transformer."""

    problem_type: str | None = None
    chunk_size_feed_forward: int = 0
    is_encoder_decoder: bool = False
    pad_token_id: Any = None  # a note, unless it is a field
    bos_token_id: Any = None
    eos_token_id: Any = None
    _attn_implementation: str | None = None
    # `id2label` and `label2id` are made of the number when they are asked for.
    _label_count: int = 2
    _label_names: dict[int, str] | None = None
    _label_numbers: dict[str, int] | None = None

    def _checked_attribute(self, name: str, value: Any) -> Any:
        """The value of one of the common attributes, or TypeError or ValueError."""
        if name == "problem_type":
            require(value is None or value in PROBLEM_TYPES, name, f"one of {', '.join(PROBLEM_TYPES)}, or None", value)
        if name == "chunk_size_feed_forward":
            value = checked_kind(name, int, value)
            require(value == 0, name, "0: the feed-forward layers are computed in one piece", value)
        if name == "is_encoder_decoder":
            value = checked_kind(name, bool, value)
            require(not value, name, "false: these models have no decoder", value)
        return value

    @property
    def num_labels(self) -> int:
        """The number of labels: the length of `id2label`."""
        return self._label_count if self._label_names is None else len(self._label_names)

    @num_labels.setter
    def num_labels(self, count: int) -> None:
        count = checked_label_count(count)
        if count != self.num_labels:  # the names of another number of labels are stale
            self._label_names = self._label_numbers = None
        self._label_count = count

    @property
    def id2label(self) -> dict[int, str]:
        """The names of the labels by number; LABEL_0, LABEL_1, … unless they were given."""
        if self._label_names is None:
            self._label_names = _made_names(self._label_count)
        return self._label_names

    @id2label.setter
    def id2label(self, names: Any) -> None:
        names = checked_label_names(names)
        if names is not None:
            self._label_count = checked_label_count(len(names))
        self._label_names, self._label_numbers = names, None

    @property
    def label2id(self) -> dict[str, int]:
        """The numbers of the labels by name."""
        if self._label_numbers is None:
            self._label_numbers = {name: number for number, name in self.id2label.items()}
        return self._label_numbers

    @label2id.setter
    def label2id(self, numbers: Any) -> None:
        self._label_numbers = checked_label_numbers(numbers)

    def _check_label_numbers(self) -> None:
        """Raise ValueError where `label2id` numbers other labels than there are, and `id2label` does not name them.

        Differs from HF: it ignores such a `label2id`.
        """
        numbered = len(set((self._label_numbers or {}).values()))
        if numbered in (0, self.num_labels) or self._label_names not in (None, _made_names(self._label_count)):
            return
        raise ValueError(
            f"label2id numbers {numbered} labels, and there are {self.num_labels}: pass id2label, the names by number, "
            "with it."
        )

    @property
    def has_label_names(self) -> bool:
        """Whether labels have names other than LABEL_0, LABEL_1, …"""
        if self._label_names is None and self._label_numbers is None:
            return False
        made = _made_names(self.num_labels)
        numbers = {name: number for number, name in made.items()}
        return (self._label_names or made, self._label_numbers or numbers) != (made, numbers)

    @property
    def use_return_dict(self) -> bool:
        """The older name of `return_dict`."""
        return self.return_dict  # type: ignore[attr-defined]

    @property
    def attn_implementation(self) -> str | None:
        """How PyTorch computes attention from the next call on: "sdpa", fused, as by default; or "eager"."""
        return self._attn_implementation

    @attn_implementation.setter
    def attn_implementation(self, value: str | None) -> None:
        require(value in _ATTENTIONS, "attn_implementation", '"eager", "sdpa" or None', value)
        self._attn_implementation = value

    def get_text_config(self, decoder: bool | None = None, encoder: bool | None = None) -> Any:
        """The configuration itself: these models have no configuration of the text alone."""
        return self


def _made_names(count: int) -> dict[int, str]:
    return {number: f"LABEL_{number}" for number in range(count)}
