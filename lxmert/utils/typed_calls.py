"""What type checkers are told of calling a model."""

from collections.abc import Callable
from typing import Any, TypeVar

Method = TypeVar("Method", bound=Callable[..., Any])


def signature_of(method: Method) -> Callable[[Callable[..., Any]], Method]:
    """Give `__call__` the signature of `forward` or `call`, below TYPE_CHECKING: the frameworks' own returns `Any`."""
    return lambda _: method
