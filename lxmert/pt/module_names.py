"""The names that modules have in `transformers`, for reading and replacing them: `model.lxmert`, `model.cls`."""

from __future__ import annotations

from typing import Any

from torch import nn

from lxmert.weights.naming.tables import modules_of_hugging_face


class ModuleNames(nn.Module):
    """A model whose backbone and heads are also found, and replaced, by their names in `transformers`.

    A module that was stored under such a name without being used by the model would be trained in vain.
    """

    @classmethod
    def architecture(cls) -> str:
        """The class name in the table of classes."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            path = self._path_of(name)
            if path is None:
                raise
            return self.get_submodule(path)

    def __setattr__(self, name: str, value: Any) -> None:
        path = self._path_of(name) if isinstance(value, nn.Module) else None
        if path is None:
            super().__setattr__(name, value)
        else:
            parent, _, attribute = path.rpartition(".")
            setattr(self.get_submodule(parent), attribute, value)

    def _path_of(self, name: str) -> str | None:
        """The path of the module that has this name in `transformers`, and another one here.

        Raises:
            AttributeError: the name stands for several modules.
        """
        paths = modules_of_hugging_face(self.architecture()).get(name, ())
        if len(paths) > 1:
            raise AttributeError(
                f"{type(self).__name__} has no {name!r}: what it holds in transformers is {' and '.join(paths)} here."
            )
        return paths[0] if paths else None
