"""The pickle in a file of `torch.save`, followed symbolically: nothing is called, and tensors become places of numbers.

Refused are opcodes, names and calls that no state dict has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lxmert.utils.foreign_files import InvalidFileError
from lxmert.utils.messages import shown
from lxmert.utils.pickle_machine import ACTIONS, Name, PickleMachine

from .raw_io import BFLOAT16

DAMAGED = "is not a complete file of torch.save"
# The storages that torch.save names, in any version.
_KINDS = {
    f"torch.{kind}Storage": np.dtype(dtype)
    for kind, dtype in {
        **{"Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": BFLOAT16, "Long": "int64"},
        **{"Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool"},
    }.items()
}
_CALLED = (
    "collections.OrderedDict",
    *(f"torch._utils._rebuild_{what}" for what in ("tensor", "tensor_v2", "parameter")),
)
_PROTOCOLS = (2, 3)  # torch.save's default is 2


@dataclass(frozen=True, slots=True)
class Storage:
    """Numbers that lie one after the other, elsewhere in the file."""

    key: str
    dtype: np.dtype
    count: int

    @property
    def size(self) -> int:
        """In bytes."""
        return self.count * self.dtype.itemsize


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A view of a storage, as the file claims it; nothing is checked."""

    storage: Storage
    offset: Any  # in numbers, and so are the strides
    shape: tuple[Any, ...]
    strides: tuple[Any, ...]


class TorchProgram(PickleMachine):
    """Makes dictionaries, lists, tuples, numbers, texts and tensors. Of a dictionary only keys that are text are kept.

    Attributes:
        storages: all that are named, by their keys.
    """

    actions = ACTIONS | {"BINPERSID": ("make_storage", None), "SHORT_BINSTRING": ("push_text", None)}
    names = {*_CALLED, *_KINDS}
    most = 500_000  # the base model has 15,000, and its optimizer three times as many
    damaged = DAMAGED

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self.storages: dict[str, Storage] = {}

    def check_protocol(self, number: int) -> None:
        """See `PickleMachine.check_protocol`."""
        if number not in _PROTOCOLS:
            raise InvalidFileError(
                f"{self.where} was saved with pickle_protocol={number}, which is not read. Where it comes from, save "
                "it again with the default: torch.save(model.state_dict(), path)."
            )

    def push_text(self, text: str) -> None:
        """Push a text of Python 2, in UTF-8."""
        self.stack.append(text.encode("latin-1").decode())

    def make_storage(self, _: None) -> None:
        """A storage: ("storage", its type, its key, "cpu", how many numbers, None)."""
        match self.stack.pop():
            case ("storage", Name() as kind, str() as key, str(), int() as count, *_) as saved if (
                len(saved) <= 6 and saved[5:] in ((), (None,)) and kind in _KINDS and count >= 0
            ):
                storage = Storage(key, _KINDS[kind], count)
                if self.storages.setdefault(key, storage) == storage:
                    self.push(storage)
                    return
        raise InvalidFileError(f"{self.where} names its storages in another way than torch.save does.")

    def call(self, function: Name, arguments: tuple[Any, ...]) -> Any:
        """See `PickleMachine.call`."""
        match function.split(".")[-1], arguments:
            case "OrderedDict", _:
                return self.ordered_dict(arguments)
            case "_rebuild_parameter", (Tensor() as tensor, *_):
                return tensor
            case "_rebuild_tensor" | "_rebuild_tensor_v2", (
                Storage() as storage,
                offset,
                tuple(shape),
                tuple(strides),
                *rest,
            ):
                if any(rest[2:]):  # after whether it takes gradients, and hooks
                    raise InvalidFileError(
                        f"{self.where} holds a tensor of which other numbers are stored than it has, such as their "
                        "negatives. Where it comes from, save tensor.resolve_conj().resolve_neg() instead."
                    )
                return Tensor(storage, offset, shape, strides)
        raise self.refused(function)

    def build(self, _: None) -> None:
        """Leave out the attributes of an OrderedDict."""
        state = self.stack.pop()
        if not isinstance(state, dict) or not isinstance(self.stack[-1], dict):
            raise self.refused("BUILD")

    def has_key(self, key: Any) -> bool:
        """Whether a key is text: others may take for ever to be looked up, and weights have none."""
        return isinstance(key, str)

    def refused(self, what: str) -> InvalidFileError:
        """See `PickleMachine.refused`."""
        return InvalidFileError(
            f"{self.where} holds more than tensors by name ({shown(what)}), which is not run. Where it comes from, "
            "save the weights alone: torch.save(model.state_dict(), path)."
        )
