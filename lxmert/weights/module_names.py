"""The names that modules have in `transformers`, for reading and replacing them: `model.lxmert`, `model.cls`."""

from __future__ import annotations

import functools
from typing import Any

from lxmert.common.specs import architectures, is_class

from .naming.tables import modules_of_hugging_face


class ModuleNames:
    """A model whose backbone and heads are also found, and replaced, by their names in `transformers`.

    A module that was stored under such a name without being used by the model would be trained in vain.
    """

    @classmethod
    def architecture(cls) -> str:
        """The name of the class, or of the nearest one that it inherits from, in the table of classes.

        A model that a user makes of `LxmertPreTrainedModel` or `VisualBertPreTrainedModel` has that of the backbone.
        """
        names = [kind.__name__.removeprefix("TF") for kind in cls.__mro__]
        found = next((name for name in names if is_class(name)), None)
        if found is None and hasattr(cls, "config_class"):
            found = next(iter(architectures(cls.config_class.model_type)))
        return found or names[0]

    def __getattr__(self, name: str) -> Any:
        modules = self.__dict__.get("_modules")
        if modules is not None and name in modules:  # PyTorch's, which every call reads
            return modules[name]
        # PyTorch keeps parameters behind it; Keras has none. Nothing else is asked for: compilers trace it.
        try:
            return super().__getattr__(name)  # type: ignore[misc]
        except AttributeError:
            pass
        path = self._path_of(name)
        if path is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
        return functools.reduce(getattr, path.split("."), self)

    def __setattr__(self, name: str, value: Any) -> None:
        path = self._path_of(name)
        if path is None:
            super().__setattr__(name, value)
        else:
            parent, _, attribute = path.rpartition(".")
            setattr(functools.reduce(getattr, parent.split("."), self) if parent else self, attribute, value)

    @classmethod
    def _path_of(cls, name: str) -> str | None:
        """The path of the module that has this name in `transformers`, and another one here.

        Raises:
            AttributeError: the name stands for several modules.
        """
        paths = modules_of_hugging_face(cls.architecture()).get(name, ())
        if len(paths) > 1:
            raise AttributeError(
                f"{cls.__name__} has no {name!r}: what it holds in transformers is {' and '.join(paths)} here."
            )
        return paths[0] if paths else None
