"""A weight file joined with the name table: which mapping it has, what it holds, and whether a model fits it.

Both backends and the converter take their weights from here.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.common.config import CONFIGS, LxmertConfig, config_class
from lxmert.common.config.base import ModelConfig
from lxmert.common.specs import architectures
from lxmert.utils.atomic_files import is_settled
from lxmert.utils.paths import CONFIG_NAME
from lxmert.weights.formats.raw_io import contiguous
from lxmert.weights.naming.key_mapping import BERT, DECODER_BIAS, TIED_DECODER, KeyMapping, Parameter, parameters
from lxmert.weights.naming.recognize import CheckpointMismatchError, Recognized, recognize
from lxmert.weights.naming.tables import LAYERS, every_head, head_names

from .config_from_bert import is_bert_config, layers_from_bert, values_from_bert
from .download import download_weights
from .formats import WeightFile, find_weights, open_weights
from .infer_config import config_from_shapes

READERS = 2  # threads; as many tensors more than are wanted are in memory
FROM_SHAPES = "inferred from the shapes"  # where a configuration is from


@dataclass
class Checkpoint:
    """A weight file whose mapping is known; `nested` tells whether its backbone is a task model's.

    `names` has the file's names by the names that the table would write (`names.plain`). `config_source` says where the
    configuration is from. A context: the file is let go at the end of a `with` block.
    """

    file: WeightFile
    config: ModelConfig
    mapping: KeyMapping
    nested: bool
    names: Mapping[str, str] = field(repr=False)
    config_source: str = ""
    # Whether it was told by the values alone that the word head has a decoder of its own.
    found_untied: bool = False
    _compared: dict[frozenset[str], bool] = field(default_factory=dict, repr=False)

    @property
    def is_bert(self) -> bool:
        """Whether the file is a plain BERT, which fills the part of a model that reads words."""
        return self.mapping is BERT

    @property
    def heads(self) -> tuple[str, ...]:
        """The heads that the file holds, whole or in part."""
        every = every_head(self.config.model_type)
        held = {p.head for p in parameters(self.config, every) if self.has(p)}
        for rivals in (("classifier", "choice"), ("answer", "reasoning")):  # two heads under one name
            if held.issuperset(rivals):
                held.remove(rivals[self._right_one(rivals) == rivals[0]])
        return tuple(head for head in every if head in held)

    def _right_one(self, rivals: tuple[str, str]) -> str:
        """Which of two heads under one name a file holds: the config says so, or else the shapes do."""
        classes = architectures(self.config.model_type)
        named = set(classes[self._stated].heads if self._stated in classes else ()) & set(rivals)
        if len(named) == 1:
            return named.pop()
        wrong = {
            head: sum(self.shape(p) != p.shape for p in parameters(self.config, (head,)) if p.head) for head in rivals
        }
        # A classifier of one label has the shape of a choice, and is more likely that.
        return min(reversed(rivals), key=wrong.__getitem__)

    @property
    def has_pooler(self) -> bool:
        """Whether the file holds the pooler; a backbone may be without one."""
        return any(self.has(p) for p in parameters(self.config, ()) if "pooler" in p.module)

    @property
    def architectures(self) -> tuple[str, ...]:
        """The model classes that the file's heads make up: one, or several that the config does not choose from."""
        own = {name: head_names(name, self.config) for name in architectures(self.config.model_type)}
        fitting = tuple(name for name, heads in own.items() if heads == self.heads)
        if self._stated in fitting:
            return (str(self._stated),)
        return fitting or (max(own, key=lambda name: len(set(own[name]) & set(self.heads))),)

    @property
    def architecture(self) -> str:
        """The model class that the file's heads make up; where several do, the one that the config names.

        Raises:
            CheckpointMismatchError: several do, and the config names none of them.
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
        """Whether a model made from the file has a pooler: every task model has, a backbone as the file says."""
        return bool(self.heads) or self.has_pooler

    @property
    def _stated(self) -> str | None:
        """The model class that the config names, without the prefix TF."""
        stated = self.config.extra.get("architectures")
        first = stated[0] if isinstance(stated, list) and stated else None
        return first.removeprefix("TF") if isinstance(first, str) else None

    def key(self, parameter: Parameter) -> str:
        """The name of a parameter as the file's mapping writes it."""
        return self.mapping.key(parameter, self.nested)

    def has(self, parameter: Parameter) -> bool:
        """Whether the file has a parameter."""
        return self.key(parameter) in self.names

    def stored_name(self, parameter: Parameter) -> str:
        """The name of a parameter in the file."""
        return self.names[self.key(parameter)]

    def shape(self, parameter: Parameter) -> tuple[int, ...] | None:
        """The shape of a parameter in the file, PyTorch's way round; None where the file has none."""
        if not self.has(parameter):
            return None
        shape = self.file.shapes[self.stored_name(parameter)]
        return shape[::-1] if self._is_transposed(parameter) else shape

    def dtype(self, parameter: Parameter) -> np.dtype:
        """The dtype of a parameter in the file."""
        return self.file.dtypes[self.stored_name(parameter)]

    def view(self, parameter: Parameter, mapped: bool = False) -> np.ndarray:
        """The values of a parameter, PyTorch's way round; a transposed view where the file has them the other way."""
        values = self.file.read(self.stored_name(parameter), mapped)
        return values.T if self._is_transposed(parameter) else values

    def read(self, parameter: Parameter, mapped: bool = False, keras_layout: bool = False) -> np.ndarray:
        """The values of a parameter, contiguous, PyTorch's way round, or Keras' (`keras_layout`)."""
        values = self.view(parameter, mapped)
        return contiguous(values.T if keras_layout and parameter.leaf.transposed else values)

    def same_values(self, first: str, second: str) -> bool:
        """Whether two tensors, by their names in the file, have one shape and the same values; looked at once."""
        pair = frozenset((first, second))
        if pair not in self._compared:
            self._compared[pair] = self.file.shapes[first] == self.file.shapes[second] and np.array_equal(
                self.file.read(first), self.file.read(second), equal_nan=True
            )
        return self._compared[pair]

    @contextmanager
    def arrays(
        self, wanted: Sequence[Parameter], mapped: bool = False, keras_layout: bool = False
    ) -> Iterator[Iterator[tuple[Parameter, np.ndarray]]]:
        """Read parameters in the background, while the model is made that takes their memory over.

        Args:
            wanted: the parameters.
            mapped: whether arrays may be maps of the file; see `WeightFile.read`.
            keras_layout: Keras' way round, rather than PyTorch's.

        Yields:
            The parameters, each with its values, contiguous.
        """
        pool = ThreadPoolExecutor(READERS)
        try:
            ahead = deque((p, pool.submit(self.read, p, mapped, keras_layout)) for p in wanted)

            def taken() -> Iterator[tuple[Parameter, np.ndarray]]:
                while ahead:
                    parameter, values = ahead.popleft()
                    yield parameter, values.result()

            yield taken()
        finally:
            pool.shutdown(cancel_futures=True)

    def _is_transposed(self, parameter: Parameter) -> bool:
        return self.mapping.transposed and parameter.leaf.transposed

    def close(self) -> None:
        """Let the file go."""
        self.file.close()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def open_checkpoint(
    source: str | Path,
    config: ModelConfig | None = None,
    kind: type[ModelConfig] | None = None,
    hub: Mapping[str, Any] | None = None,
    **overrides: Any,
) -> Checkpoint:
    """Open a weight file or folder, find out which mapping it has, and what its configuration is.

    Args:
        source: see `weight_files.open_weights`; or a model on the hub.
        config: the model's configuration, where the file has none or another is wanted.
        kind: the class of the configuration, where only one kind of model will do.
        hub: `revision`, `cache_dir`, `token` and `local_files_only` for a model on the hub.
        overrides: config fields that take other values than the file's.

    Raises:
        FileNotFoundError: no weights.
        ValueError: a damaged or foreign file.
        TypeError: an override that is no field, a value of the wrong kind, or another model's configuration.
    """
    if not isinstance(source, (str, os.PathLike)):
        raise TypeError(
            f"source must be a path or a model on the hub; got {type(source).__name__}. A state dict in memory goes "
            "into a model of this package by load_state_dict; any other one has to be saved first."
        )
    wanted = kind or ModelConfig
    if config is not None and not isinstance(config, wanted):
        raise TypeError(f"config must be a {wanted.__name__}; got {type(config).__name__}.")
    if not Path(source).exists():
        source = download_weights(source, **(hub or {}))  # says what is wrong with a name that is none
    file, stored = _open_with_config(source, config is None)
    try:
        found = recognize(file, _model_types(file, config, kind, stored))
        config, config_source = _configuration(file, found, config, kind, stored, overrides)
        checkpoint = Checkpoint(file, config, found.mapping, found.nested, found.names, config_source)
        _check_layer_counts(checkpoint)
        return _with_decoder(checkpoint, "tie_word_embeddings" in overrides)
    except BaseException:
        file.close()
        raise


def _open_with_config(source: str | Path, with_config: bool) -> tuple[WeightFile, dict[str, Any] | None]:
    """Weights and the configuration that belongs to them, though another process may be replacing both.

    Raises:
        OSError: they are replaced again and again.
    """
    for _ in range(_ATTEMPTS):
        path = find_weights(source)
        before = path.stat()
        file = open_weights(path)
        try:
            stored = file.config if with_config else None
            if is_settled(path.parent) and path.exists() and os.path.samestat(before, path.stat()):
                return file, stored
        except BaseException:
            file.close()
            raise
        file.close()
        time.sleep(0.01)
    raise OSError(f"{source} is replaced by another process again and again; it was not opened.")


_ATTEMPTS = 500


def _model_types(
    file: WeightFile, config: ModelConfig | None, kind: type[ModelConfig] | None, stored: Mapping[str, Any] | None
) -> tuple[str, ...]:
    """The kinds of models that a file may be of, as far as its configuration says."""
    if config is not None:
        return (config.model_type,)
    if stored is None or is_bert_config(stored):
        return (kind.model_type,) if kind else tuple(CONFIGS)
    try:
        # Without a model type the file is taken for LXMERT's, as its authors' files have none.
        named = kind or config_class(stored, default=LxmertConfig)
        if stored.get("model_type", named.model_type) != named.model_type:
            named.from_dict(stored)  # says whose it is
    except (TypeError, ValueError) as error:
        raise type(error)(f"the configuration of {file.path}: {error}") from None
    return (named.model_type,)


def _configuration(
    file: WeightFile,
    found: Recognized,
    config: ModelConfig | None,
    kind: type[ModelConfig] | None,
    stored: Mapping[str, Any] | None,
    overrides: Mapping[str, Any],
) -> tuple[ModelConfig, str]:
    """The configuration, and where it is from: given, stored, or inferred from the shapes."""
    if config is not None:
        return (config.replace(**overrides) if overrides else config), "given"
    kind = kind or CONFIGS[found.model_type]
    try:
        if stored is not None and not is_bert_config(stored):
            return kind.from_dict(stored, **overrides), CONFIG_NAME
        if stored is not None:
            return kind.from_dict(
                values_from_bert(stored, kind, found.layer_counts), **overrides
            ), f"a BERT's {CONFIG_NAME}"
    except (TypeError, ValueError) as error:
        also = " with the values given beside it" if overrides else ""
        raise type(error)(f"the configuration of {file.path}{also}: {error}") from None

    def shape_of(parameter: Parameter) -> tuple[int, ...] | None:
        name = found.names.get(found.mapping.key(parameter, found.nested))
        if name is None and parameter.module == "embeddings.word":  # the decoder may be kept in its place
            name = found.names.get(found.mapping.head_prefix + TIED_DECODER)
        transposed = found.mapping.transposed and parameter.leaf.transposed
        return None if name is None else file.shapes[name][::-1] if transposed else file.shapes[name]

    counts = layers_from_bert(kind, found.layer_counts) if found.mapping is BERT else found.layer_counts
    return config_from_shapes(kind, counts, shape_of, str(file.path), overrides), FROM_SHAPES


def _check_layer_counts(checkpoint: Checkpoint) -> None:
    """Refuse a configuration of far more layers than the file can have: names are made for every one of them.

    Raises:
        CheckpointMismatchError: naming the field.
    """
    file, config = checkpoint.file, checkpoint.config
    for name in LAYERS[config.model_type]:
        if getattr(config, name) > max(1000, len(file.shapes)):
            raise CheckpointMismatchError(
                f"{file.path} holds {len(file.shapes)} tensors, which cannot be a model of "
                f"{name}={getattr(config, name)}; give the {CONFIG_NAME} that belongs to it."
            )


def _differ(checkpoint: Checkpoint, first: Parameter, second: Parameter) -> bool:
    """Whether two parameters of one shape have different values in a file."""
    if checkpoint.shape(first) != checkpoint.shape(second):
        return False  # one of them does not fit the model, which is told later
    return not checkpoint.same_values(checkpoint.stored_name(first), checkpoint.stored_name(second))


def _with_decoder(checkpoint: Checkpoint, chosen: bool) -> Checkpoint:
    """A checkpoint whose configuration says truly whether the word head has a decoder of its own.

    As in `transformers`: where the file has one that differs from the word embedding, the two are not tied; where it
    has one of the two, that is both.

    Args:
        checkpoint: the file.
        chosen: whether the caller says whether they are tied.
    """
    config, held = checkpoint.config, dict(checkpoint.names)
    untied = config.replace(tie_word_embeddings=False)
    both = {p.module: p for p in parameters(untied, every_head(config.model_type))}
    decoder, word = both["heads.word.decoder"], both["embeddings.word"]
    if not checkpoint.mapping.tied:  # it holds a decoder if the model has one
        told = checkpoint.config_source == FROM_SHAPES and not chosen
        return replace(checkpoint, config=untied) if told and checkpoint.has(decoder) else checkpoint
    if not (checkpoint.has(word) or checkpoint.has(decoder)):
        return checkpoint
    if not checkpoint.has(word):
        held[checkpoint.key(word)] = checkpoint.stored_name(decoder)
    elif not checkpoint.has(decoder):
        if not config.tie_word_embeddings and checkpoint.has(both["heads.word.transform"]):
            held[checkpoint.key(decoder)] = checkpoint.stored_name(word)
    elif config.tie_word_embeddings and not chosen and _differ(checkpoint, decoder, word):
        config = untied
    bias = checkpoint.mapping.head_prefix + DECODER_BIAS
    if config.untied_words and bias in held:
        held[checkpoint.key(both["heads.word.bias"])] = held[bias]
    found_untied = config.untied_words and checkpoint.config.tie_word_embeddings
    return replace(checkpoint, config=config, names=held, found_untied=found_untied)
