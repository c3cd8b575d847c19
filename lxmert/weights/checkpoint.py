"""An open weight file, read by the names of our parameters."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

from lxmert.common.config.base import ModelConfig
from lxmert.common.specs import architectures
from lxmert.utils.paths import CONFIG_NAME

from .formats import WeightFile
from .formats.int8_file import INT8, SCALE, Int8File
from .formats.raw_io import contiguous
from .naming.key_mapping import BERT, KeyMapping, Parameter, all_parameters, normalize_key, parameters
from .naming.recognize import CheckpointMismatchError
from .naming.tables import MODELS, every_head, head_names

Values = TypeVar("Values")
READERS = 2  # threads; as many tensors are read ahead and are in memory


@dataclass
class Checkpoint:
    """An open weight file, its configuration, and how it names the parameters. Closed at the end of a `with` block.

    Attributes:
        file: the weights.
        config: the configuration.
        mapping: how the file names parameters.
        nested: whether its backbone is inside of a task model.
        names: the names in the file by their keys in `mapping`.
        config_source: where the configuration comes from.
        computed: parameters that the file lacks, and whose values follow from the configuration, by name.
        found_untied: whether only the values show that the word head has its own decoder.
    """

    file: WeightFile
    config: ModelConfig
    mapping: KeyMapping
    nested: bool
    names: Mapping[str, str] = field(repr=False)
    config_source: str = ""
    computed: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    found_untied: bool = False
    _compared: dict[frozenset[str], bool] = field(default_factory=dict, repr=False)

    @property
    def is_bert(self) -> bool:
        """Whether the file is a plain BERT, which fills the language part of a model."""
        return self.mapping is BERT

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads that the file has, complete or in part."""
        every = every_head(self.config.model_type)
        held = {p.head for p in parameters(self.config, every) if self.has(p)}
        rivals = MODELS[self.config.model_type].rivals
        if rivals and held.issuperset(rivals):
            held.remove(rivals[self._choose(rivals) == rivals[0]])
        return tuple(head for head in every if head in held)

    def _choose(self, rivals: tuple[str, str]) -> str:
        """Which of two heads under one name the file has: the config says so, or else the shapes do."""
        classes = architectures(self.config.model_type)
        named = set(classes[self._configured_class].heads if self._configured_class in classes else ()) & set(rivals)
        if len(named) == 1:
            return named.pop()
        wrong = {
            head: sum(self.shape(p) != p.shape for p in parameters(self.config, (head,)) if p.head) for head in rivals
        }
        # A head with one output is more likely multiple choice than a classifier of one label.
        return min(reversed(rivals), key=wrong.__getitem__)

    @property
    def has_pooler(self) -> bool:
        """Whether the file has the pooler; a backbone may have none."""
        return any(self.has(p) for p in parameters(self.config, ()) if "pooler" in p.module)

    @property
    def architectures(self) -> tuple[str, ...]:
        """The model classes that the file's heads belong to: one, or several if the config names none of them."""
        own = {name: head_names(name, self.config) for name in architectures(self.config.model_type)}
        fitting = tuple(name for name, heads in own.items() if heads == self.heads)
        if self._configured_class in fitting:
            return (str(self._configured_class),)
        return fitting or (max(own, key=lambda name: len(set(own[name]) & set(self.heads))),)

    @property
    def architecture(self) -> str:
        """The model class that the file's heads belong to; of several, the one that the config names.

        Raises:
            CheckpointMismatchError: there are several, and the config names none of them.
        """
        first, *others = self.architectures
        if others:
            raise CheckpointMismatchError(
                f"{self.file.path} may be {' or '.join([first, *others])}, which read their scores at different "
                f'places: put "architectures": ["{first}"] or the other into its {CONFIG_NAME}, or say which on the '
                "command line (--head)."
            )
        return first

    @property
    def pooler(self) -> bool:
        """Whether a model made from the file has a pooler: every task model has one, a backbone if the file does."""
        return bool(self.heads) or self.has_pooler

    @property
    def _configured_class(self) -> str | None:
        """The model class that the config names, without the prefix TF."""
        stated = self.config.architectures
        first = stated[0] if isinstance(stated, list) and stated else None
        return first.removeprefix("TF") if isinstance(first, str) else None

    def key(self, parameter: Parameter) -> str:
        """The key of a parameter in the file's mapping."""
        return self.mapping.key(parameter, self.nested)

    def stores(self, parameter: Parameter) -> bool:
        """Whether the file has a parameter."""
        return self.key(parameter) in self.names

    def has(self, parameter: Parameter) -> bool:
        """Whether the file has a parameter, or its values are computed."""
        return self.stores(parameter) or parameter.name in self.computed

    def stored_name(self, parameter: Parameter) -> str:
        """The name of a parameter in the file."""
        return self.names[self.key(parameter)]

    def shape(self, parameter: Parameter) -> tuple[int, ...] | None:
        """The shape of a parameter in the file, in PyTorch's layout; None where the file lacks it."""
        if not self.stores(parameter):
            return self.computed[parameter.name].shape if parameter.name in self.computed else None
        shape = self.file.shapes[self.stored_name(parameter)]
        return parameter.leaf.torch_shape(shape) if self.mapping.keras_layout else shape

    def dtype(self, parameter: Parameter) -> np.dtype:
        """The dtype of a parameter in the file."""
        if not self.stores(parameter):
            return self.computed[parameter.name].dtype
        return self.file.dtypes[self.stored_name(parameter)]

    def view(self, parameter: Parameter, mapped: bool = False) -> np.ndarray:
        """The values of a parameter in PyTorch's layout; a transposed view where the file has them in Keras' layout."""
        if not self.stores(parameter):
            return self.computed[parameter.name].copy()
        values = self.file.read(self.stored_name(parameter), mapped)
        return parameter.leaf.to_torch(values) if self.mapping.keras_layout else values

    def read(self, parameter: Parameter, mapped: bool = False, keras_layout: bool = False) -> np.ndarray:
        """The values of a parameter, contiguous, in PyTorch's layout or in Keras'."""
        values = self.view(parameter, mapped)
        return contiguous(parameter.leaf.to_keras(values) if keras_layout else values)

    @property
    def stored(self) -> WeightFile:
        """The file as it is, with the integers and scales of int8 matrices."""
        return self.file.stored if isinstance(self.file, Int8File) else self.file

    def stored_tensors(self, parameter: Parameter) -> tuple[str, ...]:
        """The names in the file of what it has of a parameter: int8 matrices have scales too."""
        name = self.stored_name(parameter)
        scales = self.file.scales if isinstance(self.file, Int8File) else {}
        return (name, scales[name]) if name in scales else (name,)

    def is_int8(self, parameter: Parameter) -> bool:
        """Whether the file has a parameter as int8 with scales; `read` gives the numbers that these stand for."""
        return isinstance(self.file, Int8File) and self.names.get(self.key(parameter)) in self.file.scales

    def read_int8(self, parameter: Parameter) -> tuple[np.ndarray, np.ndarray]:  # -> [out, in], [out]
        """The integers and the scales of such a parameter."""
        assert isinstance(self.file, Int8File)
        return self.file.read_int8(self.stored_name(parameter))

    def own_shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of a tensor that is in no name table, by its name; None where the file lacks it."""
        stored = self.names.get(normalize_key(name))
        return None if stored is None else self.file.shapes[stored]

    def own_name(self, name: str) -> str:
        """The name in the file of such a tensor."""
        return self.names[normalize_key(name)]

    def read_own(self, name: str) -> np.ndarray:
        """The values of a tensor that is in no name table, by its name."""
        values = self.file.read(self.own_name(name))
        return contiguous(values) if values.ndim else values  # NumPy would make it an array of one dimension

    def same_values(self, first: str, second: str) -> bool:
        """Whether two tensors, by their names in the file, have one shape and the same values. The result is cached."""
        pair = frozenset((first, second))
        if pair not in self._compared:
            self._compared[pair] = self.file.shapes[first] == self.file.shapes[second] and np.array_equal(
                self.file.read(first), self.file.read(second), equal_nan=True
            )
        return self._compared[pair]

    def arrays(
        self, wanted: Sequence[Parameter], mapped: bool = False, keras_layout: bool = False
    ) -> AbstractContextManager[Iterator[tuple[Parameter, np.ndarray]]]:
        """Read parameters in the background, while the model that takes over their memory is constructed.

        Yields the parameters, each with its values, contiguous. If `mapped`, these may be memory maps of the file (see
        `WeightFile.read`); with `keras_layout` kernels are [in, out].
        """
        return self.reading(wanted, lambda parameter: self.read(parameter, mapped, keras_layout))

    @contextmanager
    def reading(
        self, wanted: Sequence[Parameter], read: Callable[[Parameter], Values]
    ) -> Iterator[Iterator[tuple[Parameter, Values]]]:
        """Yields the parameters, each with what a function returns that reads them in the background."""
        pool = ThreadPoolExecutor(READERS)
        try:
            ahead = deque((p, pool.submit(read, p)) for p in wanted)

            def taken() -> Iterator[tuple[Parameter, Values]]:
                while ahead:
                    parameter, values = ahead.popleft()
                    yield parameter, values.result()

            yield taken()
        finally:
            pool.shutdown(cancel_futures=True)

    def with_int8(self) -> Checkpoint:
        """The checkpoint with the int8 matrices of its file, and their scales, as the numbers that these stand for.

        Raises:
            ValueError: scales that are none.
        """
        rows = all_parameters(self.config) if any(dtype == INT8 for dtype in self.file.dtypes.values()) else ()
        stored = {self.stored_name(p) for p in rows if self.stores(p)}
        scales = {name: name + SCALE for name in stored if self.file.dtypes[name] == INT8}
        scales = {name: scale for name, scale in scales.items() if scale in self.file.shapes}
        if not scales:
            return self
        names = {key: name for key, name in self.names.items() if name not in scales.values()}
        return replace(self, file=Int8File(self.file, scales), names=names)

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
