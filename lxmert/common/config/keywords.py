"""The constructor of a configuration as editors and type checkers see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(field_specifiers=(field,))
def config_fields(cls: type[T]) -> type[T]:
    """Declare the fields of a configuration. Editors and type checkers see a constructor that takes them."""
    return dataclass(init=False, eq=False, repr=False)(cls)


if TYPE_CHECKING:

    @config_fields
    class OriginKeywords:
        """What every constructor takes beside the fields. (It keeps further names too.)"""

        architectures: Any = field(default=None, kw_only=True)
        dtype: Any = field(default=None, kw_only=True)
        torch_dtype: Any = field(default=None, kw_only=True)
        name_or_path: str = field(default="", kw_only=True)

    @config_fields
    class CommonKeywords:
        """What the constructors of transformers take too."""

        num_labels: int = field(default=2, kw_only=True)
        id2label: Any = field(default=None, kw_only=True)
        label2id: Any = field(default=None, kw_only=True)
        problem_type: str | None = field(default=None, kw_only=True)
        chunk_size_feed_forward: int = field(default=0, kw_only=True)
        is_encoder_decoder: bool = field(default=False, kw_only=True)
        attn_implementation: str | None = field(default=None, kw_only=True)
else:
    OriginKeywords = CommonKeywords = object
