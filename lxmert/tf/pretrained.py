"""What every Keras model of the package can do: load, save, resize, prune, trade memory for time."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, ClassVar, Self

import keras
import numpy as np
from keras import ops

from lxmert.common.checkpoint import LoadReport, fit, open_checkpoint
from lxmert.common.config import LxmertConfig, config_from_dict
from lxmert.common.convert import Item, stamp_config, write_folder
from lxmert.common.messages import check_keywords
from lxmert.common.names import Parameter, head_names, parameters

from .fitting import OwnLoss
from .layers import Attention, Dropout, Embedding, RepeatedDraws

# Arguments that are no tensors.
_CHOICES = frozenset(("output_attentions", "output_hidden_states", "return_dict", "vision_output"))


def run_layer(model: PreTrainedModel, layer: keras.layers.Layer, *inputs: Any, **options: Any) -> Any:
    """Run one layer; with gradient checkpointing on, its inner values are recomputed in the backward pass."""
    if not (model.gradient_checkpointing and options["training"]):
        return layer(*inputs, **options)
    # Keras recomputes functions of tensors only, so what is None on the way in or out is put back afterwards. And it
    # would draw other dropout masks the second time, so those of the first time are kept.
    drops = [part for part in layer._flatten_layers() if isinstance(part, Dropout) and part.rate > 0]
    draws = [RepeatedDraws(drop.seed_generator) for drop in drops]
    is_none = keras.tree.map_structure(lambda x: x is None, inputs)
    structure: list[Any] = []

    def of_tensors(*tensors: Any) -> list[Any]:
        rest = iter(tensors)
        given = keras.tree.map_structure(lambda none: None if none else next(rest), is_none)
        with ExitStack() as repeating:
            for drop, drawn in zip(drops, draws, strict=True):
                repeating.enter_context(drop.repeating(drawn))
            out = layer(*given, **options)
        structure[:] = [out]
        return [x for x in keras.tree.flatten(out) if x is not None]

    tensors = [x for x in keras.tree.flatten(inputs) if x is not None]
    rest = iter(keras.remat(of_tensors)(*tensors))
    return keras.tree.map_structure(lambda x: None if x is None else next(rest), structure[0])


class PreTrainedModel(OwnLoss):
    """Base of all models: weights by name, loading and saving, resizing, pruning.

    A model is built when it is made: the config knows every size.
    """

    config_class: ClassVar[type[LxmertConfig]]
    load_report: LoadReport | None = None
    gradient_checkpointing = False
    # Keras would offer SavedModel a signature of one float input, which no model here can answer; see `export`.
    _default_save_signature = None

    def __init__(self, config: LxmertConfig, **kwargs: Any):
        # Labels travel in the input dict; casting them to a small number format would change them. Layers cast.
        super().__init__(**{"autocast": False, **kwargs})
        if not isinstance(config, self.config_class):
            raise TypeError(
                f"{type(self).__name__} is made from a {self.config_class.__name__}; got {type(config).__name__}. "
                f"To load weights use {type(self).__name__}.from_pretrained(path)."
            )
        self.config = config

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Refuse unknown names, and call the model."""
        first = args[0] if args else kwargs.get("input_ids")
        names = [*(first if isinstance(first, Mapping) else ()), *kwargs]
        check_keywords(type(self).__name__, names, (*self.keywords(), "training"))
        if args and isinstance(first, Mapping) and not _CHOICES.isdisjoint(first):
            # Keras lets tensors alone pass as a positional argument, so what is chosen in the dict goes beside it.
            args = ({name: value for name, value in first.items() if name not in _CHOICES}, *args[1:])
            kwargs = {**{name: first[name] for name in _CHOICES if name in first}, **kwargs}
        return super().__call__(*args, **kwargs)

    def __dir__(self) -> list[str]:
        # Keras names the groups of a weight file by walking over this list. `layers` repeats what the attributes hold,
        # and would name whatever follows it in the alphabet by its place: layers/transformer_layer_9, not pooler. And
        # `base` of a backbone is itself: the walk would not end.
        return [name for name in super().__dir__() if name not in ("layers", "base")]

    @classmethod
    def keywords(cls) -> tuple[str, ...]:
        """The argument names of `call`, in order, without `training`."""
        return tuple(name for name in inspect.signature(cls.call).parameters if name not in ("self", "training"))

    @classmethod
    def architecture(cls) -> str:
        """The class name that config.json records: that of the PyTorch class."""
        return cls.__name__.removeprefix("TF")

    @classmethod
    def head_names(cls, config: LxmertConfig) -> tuple[str, ...]:
        """The heads that this class has under a config."""
        return head_names(cls.architecture(), config)

    @property
    def base(self) -> Any:
        """The backbone; a backbone is its own."""
        return getattr(self, "backbone", self)

    def gather(self, first: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """All arguments of a call by name, whether they came as keywords, as one dict, or as a list in order.

        Args:
            first: the first argument: a dict or a list of all inputs, or `input_ids` alone.
            arguments: the arguments by name, as Python bound them.

        Raises:
            TypeError: a list longer than there are arguments.
        """
        names = self.keywords()
        given = {name: arguments[name] for name in names}
        if isinstance(first, Mapping):
            return {**given, "input_ids": None, **first}
        if isinstance(first, (list, tuple)):
            if len(first) > len(names):
                raise TypeError(f"{type(self).__name__} takes at most {len(names)} inputs; got {len(first)}.")
            return {**given, **dict(zip(names, first, strict=False))}
        return given

    # Weights by name

    def locate(self, parameter: Parameter) -> tuple[keras.layers.Layer, str]:
        """The layer that holds a parameter of the name table, and the attribute under which it does."""
        owner = self if parameter.head else self.base
        path = parameter.module if parameter.leaf.keras else parameter.module.rpartition(".")[0]
        return _sublayer(owner, path), parameter.leaf.keras or parameter.module.rpartition(".")[2]

    def weights_by_name(self) -> Iterator[tuple[Parameter, keras.Variable]]:
        """Every variable with its row of the name table."""
        for parameter in parameters(self.config, self.head_names(self.config)):
            layer, attribute = self.locate(parameter)
            yield parameter, getattr(layer, attribute)

    def num_parameters(self, only_trainable: bool = False) -> int:
        """How many numbers the model holds, tied ones once."""
        return sum(int(np.prod(w.shape)) for _, w in self.weights_by_name() if w.trainable or not only_trainable)

    # Loading and saving

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        config: LxmertConfig | None = None,
        dtype: str | None = None,
        only: str | None = None,
        allow_new_head: bool = False,
        **overrides: Any,
    ) -> Self:
        """Load a model. `model.load_report` tells what was left out or made fresh.

        Args:
            source: a folder with config.json and model.safetensors, or a .safetensors, .weights.h5 or .keras file.
            config: the configuration, where the file has none or another is wanted.
            dtype: number format or policy of the model ("float32", "mixed_bfloat16", ...); Keras' default by default.
            only: "backbone" leaves every head fresh.
            allow_new_head: whether a head that the file does not have, or has in another size, may stay fresh.
            overrides: config fields that take other values than the file's.

        Raises:
            FileNotFoundError, ValueError: no such file, or a damaged or foreign one.
            CheckpointMismatchError: names or shapes do not fit; all are listed, and nothing is loaded.
        """
        with open_checkpoint(source, config, **overrides) as file:
            taken, report = fit(file, cls.architecture(), only, allow_new_head)
            model = cls(file.config, dtype=dtype)
            for parameter in taken:
                model._assign(parameter, file.read(parameter))
        model.load_report = report
        return model

    def _assign(self, parameter: Parameter, values: np.ndarray) -> None:
        layer, attribute = self.locate(parameter)
        getattr(layer, attribute).assign(values.T if parameter.leaf.transposed else values)

    def _arrays(self) -> dict[str, np.ndarray]:
        """Every parameter's values by name, PyTorch's way round."""
        return {p.name: _turned(p, ops.convert_to_numpy(w)) for p, w in self.weights_by_name()}

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors in Hugging Face's spelling; `transformers` reads the folder too."""

        def item(p: Parameter, w: keras.Variable) -> Item:
            return Item(p, np.dtype(w.dtype), lambda: np.ascontiguousarray(_turned(p, ops.convert_to_numpy(w))))

        write_folder(folder, self.config, self.architecture(), [item(p, w) for p, w in self.weights_by_name()])

    def save_weights(self, filepath: str | Path, overwrite: bool = True, **kwargs: Any) -> None:
        """Write a .weights.h5 file, as Keras does, and the config into it, so that the file describes itself."""
        super().save_weights(filepath, overwrite=overwrite, **kwargs)
        if str(filepath).endswith(".weights.h5"):
            stamp_config(filepath, self.config, self.architecture())

    def export(self, filepath: str | Path, format: str = "tf_saved_model", **kwargs: Any) -> None:
        """Write the model for serving; it answers without this package.

        Its input is a dict of `input_ids`, `visual_feats`, `visual_pos`, the two masks and `token_type_ids`, of any
        batch size, length and number of regions; its output a dict of the scores. For other inputs wrap the model in a
        functional `keras.Model` and export that.
        """
        config = self.config
        shapes = {
            "input_ids": (None,),
            "visual_feats": (None, config.visual_feat_dim),
            "visual_pos": (None, config.visual_pos_dim),
            "attention_mask": (None,),
            "visual_attention_mask": (None,),
            "token_type_ids": (None,),
        }
        floats = ("visual_feats", "visual_pos")
        inputs = {
            name: keras.Input(shape, dtype=self.variable_dtype if name in floats else "int32", name=name)
            for name, shape in shapes.items()
        }
        scores = self(inputs, output_attentions=False, output_hidden_states=False, return_dict=True)
        keras.Model(inputs, dict(scores.items())).export(str(filepath), format=format, **kwargs)

    # Changing sizes

    def get_input_embeddings(self) -> keras.layers.Embedding:
        """The word embedding."""
        return self.base.embeddings.word

    def set_input_embeddings(self, embeddings: keras.layers.Embedding) -> None:
        """Put another word embedding [V, D] in place; a word head stays tied to it.

        Raises:
            ValueError: the width is not the hidden size.
        """
        count, size = embeddings.input_dim, embeddings.output_dim
        if size != self.config.hidden_size:
            raise ValueError(f"embeddings must be [V, {self.config.hidden_size}] (hidden_size); got [{count}, {size}].")
        old = self._arrays()
        self._set_config(vocab_size=count)
        _replace(self.base.embeddings, "word", embeddings, (None, None))
        word_head = getattr(getattr(self, "heads", None), "word", None)
        if word_head is not None:
            new = type(word_head)(self.config, dtype=self.dtype_policy, name="word")
            _replace(self.heads, "word", new)
            new.trainable = word_head.trainable
            old["heads.word.bias"] = _resized(old["heads.word.bias"], count, 0.0)
            self._restore("heads.word.", old)

    def resize_token_embeddings(self, count: int | None = None, pad_to_multiple_of: int | None = None) -> Any:
        """Change the number of words; old rows stay, new ones are drawn afresh. Gives the word embedding.

        A compiled model has to be compiled again: its optimizer knows the old variables.

        Args:
            count: the new number of words; None keeps it.
            pad_to_multiple_of: round the number up to a multiple of this.
        """
        table = self.get_input_embeddings()
        old = ops.convert_to_numpy(table.embeddings)
        count = len(old) if count is None else count
        if pad_to_multiple_of:
            count = -(-count // pad_to_multiple_of) * pad_to_multiple_of
        if count < 1:
            raise ValueError(f"count must be at least 1; got {count}.")
        if count != len(old):
            resized = Embedding(count, old.shape[1], dtype=self.dtype_policy, name="word")
            self.set_input_embeddings(resized)
            resized.embeddings.assign(_resized(old, count, self.config.initializer_range))
            resized.trainable = table.trainable
        return self.get_input_embeddings()

    def get_qa_logit_layer(self) -> keras.layers.Dense | None:
        """The last layer of the answer head, None without one."""
        head = getattr(getattr(self, "heads", None), "answer", None)
        return None if head is None else head.out

    def resize_num_qa_labels(self, count: int | None = None) -> keras.layers.Dense | None:
        """Change the number of answers; old rows stay, new ones are drawn afresh. Gives the layer, None without one.

        A compiled model has to be compiled again: its optimizer knows the old variables.
        """
        layer = self.get_qa_logit_layer()
        if layer is None or count is None or count == layer.units:
            return layer
        if count < 1:
            raise ValueError(f"count must be at least 1; got {count}.")
        old, head = self._arrays(), self.heads.answer
        self._set_config(num_qa_labels=count)
        _replace(head, "out", head.linear(count, "out"), (None, 2 * self.config.hidden_size))
        for name, std in (("weight", self.config.initializer_range), ("bias", 0.0)):
            old[f"heads.answer.out.{name}"] = _resized(old[f"heads.answer.out.{name}"], count, std)
        self._restore("heads.answer.out.", old)
        head.out.trainable = layer.trainable
        return self.get_qa_logit_layer()

    def prune_heads(self, heads: Mapping[str, Iterable[int]]) -> None:
        """Remove attention heads for good: their rows leave the weights, and the config remembers it.

        A compiled model has to be compiled again: its optimizer knows the old variables.

        Args:
            heads: for an attention's path in the backbone ("language_layers.0.attention") the heads to remove,
                counted as in the unpruned model. Heads already gone are left alone.

        Raises:
            ValueError: an unknown path or head, or all heads of an attention.
        """
        gone = self.config.pruned_heads
        asked = {path: set(map(int, numbers)) | set(gone.get(path, ())) for path, numbers in heads.items()}
        config = self.config.replace(pruned_heads={**gone, **{path: tuple(lost) for path, lost in asked.items()}})
        old = self._arrays()
        self._set_config(pruned_heads=config.pruned_heads)
        for path in asked:
            parent, name = _sublayer(self.base, path.rpartition(".")[0]), path.rpartition(".")[2]
            attention: Attention = getattr(parent, name)
            before = [head for head in range(config.num_attention_heads) if head not in gone.get(path, ())]
            kept = [i for i, head in enumerate(before) if head not in asked[path]]
            size, trained = attention.head_size, attention.trainable
            rows = [i * size + j for i in kept for j in range(size)]
            for part in ("query", "key", "value"):
                for leaf in ("weight", "bias"):
                    old[f"{path}.{part}.{leaf}"] = old[f"{path}.{part}.{leaf}"][rows]
            old[f"{path}.out.weight"] = old[f"{path}.out.weight"][:, rows]
            new = Attention(config, config.pruned_heads.get(path, ()), dtype=self.dtype_policy, name=name)
            _replace(parent, name, new)
            new.trainable = trained
            self._restore(f"{path}.", old)

    def _restore(self, prefix: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Give the parameters under `prefix` these values."""
        for parameter, _ in self.weights_by_name():
            if parameter.name.startswith(prefix):
                self._assign(parameter, arrays[parameter.name])

    def _set_config(self, **changes: Any) -> None:
        """Replace the config, here and in every layer."""
        config = self.config.replace(**changes)
        for layer in (self, *self._flatten_layers()):
            if hasattr(layer, "config"):
                layer.config = config

    # Memory

    def gradient_checkpointing_enable(self) -> None:
        """Keep only each layer's input in training and recompute the rest: less memory, more time, equal gradients."""
        self.base.gradient_checkpointing = True

    def gradient_checkpointing_disable(self) -> None:
        """Keep everything again."""
        self.base.gradient_checkpointing = False

    # What Keras saves beside the weights

    def get_config(self) -> dict[str, Any]:
        """What the constructor needs."""
        values = {**self.config.to_dict(), "architectures": [self.architecture()]}
        return {**super().get_config(), "config": values}

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Self:
        """Make the model from what `get_config` gave."""
        config = {**config, "config": config_from_dict(config["config"])}
        if isinstance(config.get("dtype"), dict):
            config["dtype"] = keras.dtype_policies.deserialize(config["dtype"])
        return cls(**config)

    def get_build_config(self) -> None:
        """Nothing: the constructor builds."""

    def build_from_config(self, config: Any) -> None:
        """Nothing to do: the constructor builds."""


def _sublayer(owner: Any, path: str) -> Any:
    """What lies at an attribute path; a number is a place in a list."""
    for part in path.split("."):
        owner = owner[int(part)] if part.isdigit() else getattr(owner, part)
    return owner


def _turned(parameter: Parameter, values: np.ndarray) -> np.ndarray:
    """A variable's values PyTorch's way round."""
    return values.T if parameter.leaf.transposed else values


def _replace(parent: keras.layers.Layer, name: str, layer: keras.layers.Layer, shape: Any = None) -> None:
    """Put another sub-layer in place of `parent.name`, which Keras allows before building only."""
    tracker = parent._tracker
    tracker.unlock()
    tracker.untrack(getattr(parent, name))
    setattr(parent, name, layer)
    if not layer.built:
        with parent._open_name_scope():
            layer.build(shape)
    tracker.lock()


def _resized(old: np.ndarray, count: int, std: float) -> np.ndarray:
    """The first `count` rows of `old`, continued by fresh ones."""
    kept = min(count, len(old))
    fresh = keras.random.normal((count - kept, *old.shape[1:]), stddev=std) if std else np.zeros((count - kept,))
    return np.concatenate([old[:kept], ops.convert_to_numpy(fresh).astype(old.dtype)])
