"""Change a model's sizes: words, answers, attention heads. A compiled model has to be compiled again afterwards."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from lxmert.utils.counts import check_integer
from lxmert.weights.answer_vocabulary import matching_rows, remap_rows
from lxmert.weights.base_model import MEAN_RESIZING, BaseModel, kept_rows, new_token_count, pruned_paths
from lxmert.weights.naming.tables import ANSWERS

from ._compat import replace_layer
from .added_layers import mark_replaced
from .layers import Attention, Embedding
from .named_weights import sublayer
from .pretrained_base import PreTrainedBase


class Resizable(BaseModel, PreTrainedBase):
    """A model whose vocabulary, answers and attention heads can change; its config changes with it."""

    def get_input_embeddings(self) -> keras.layers.Embedding:
        """The word embedding."""
        return self.base.embeddings.word

    def set_input_embeddings(self, embeddings: keras.layers.Embedding) -> None:
        """Replace the word embedding [V, D]; a word head stays tied to it, or its own decoder is resized.

        Raises:
            ValueError: the width is not the hidden size.
        """
        count, size = embeddings.input_dim, embeddings.output_dim
        if size != self.config.hidden_size:
            raise ValueError(f"embeddings must be [V, {self.config.hidden_size}] (hidden_size); got [{count}, {size}].")
        old = self._arrays("heads.word.")
        self._set_config(vocab_size=count)
        replace_layer(self.base.embeddings, "word", embeddings, (None, None))
        word_head = getattr(getattr(self, "heads", None), "word", None)
        if word_head is not None:
            new = type(word_head)(self.config, dtype=self.dtype_policy, name="word")
            replace_layer(self.heads, "word", new)
            mark_replaced(self.heads, "word", new)
            new.trainable = word_head.trainable
            old["heads.word.bias"] = _resized(old["heads.word.bias"], count, 0.0)
            if word_head.decoder is not None:
                new.decoder.trainable = word_head.decoder.trainable
                decoder = "heads.word.decoder.weight"
                old[decoder] = _resized(old[decoder], count, self.config.initializer_range)
            self._restore(old)

    def resize_token_embeddings(
        self,
        new_num_tokens: int | None = None,
        pad_to_multiple_of: int | None = None,
        mean_resizing: bool = True,
    ) -> Any:
        """Change the number of words; old rows stay, new ones are newly initialized. Returns the word embedding.

        Args:
            new_num_tokens: the new number of words; None keeps it.
            pad_to_multiple_of: round the number up to a multiple of this.
            mean_resizing: whether new rows are drawn around the mean of the old ones, with 1e-9 of their covariance, as
                in `transformers`; False draws them as in a new model.
        """
        table = self.get_input_embeddings()
        old = ops.convert_to_numpy(table.embeddings)
        count = new_token_count(len(old), new_num_tokens, pad_to_multiple_of)
        if count != len(old):
            self.config.replace(vocab_size=count)  # raises if the padding row would be lost
            padding_idx = getattr(table, "padding_idx", None)
            resized = Embedding(count, old.shape[1], padding_idx, dtype=self.dtype_policy, name="word")
            self.set_input_embeddings(resized)
            mark_replaced(self.base.embeddings, "word", resized)
            resized.embeddings.assign(_resized(old, count, self.config.initializer_range, mean_resizing))
            resized.trainable = table.trainable
        return self.get_input_embeddings()

    def get_qa_logit_layer(self) -> keras.layers.Dense | None:
        """The layer that scores the answers, or VisualBERT's labels; None without one."""
        _, name, *rest = ANSWERS[self.config.model_type][0].split(".")
        head = getattr(getattr(self, "heads", None), name, None)
        return head if head is None or not rest else getattr(head, rest[0])

    def resize_num_qa_labels(self, num_labels: int | None = None) -> keras.layers.Dense | None:
        """Change the number of answers; old rows stay, new ones are initialized. Returns the layer, or None."""
        layer = self.get_qa_logit_layer()
        count = None if num_labels is None else check_integer("num_labels", num_labels)
        if layer is None or count is None or count == layer.units:
            return layer
        path, field = ANSWERS[self.config.model_type]
        old, parent, name = self._arrays(f"{path}."), sublayer(self, path.rpartition(".")[0]), path.rpartition(".")[2]
        self._set_config(**{field: count})
        new = parent.linear(count, name)
        replace_layer(parent, name, new, (None, layer.kernel.shape[0]))
        mark_replaced(parent, name, new)
        for leaf, std in (("weight", self.config.initializer_range), ("bias", 0.0)):
            old[f"{path}.{leaf}"] = _resized(old[f"{path}.{leaf}"], count, std)
        self._restore(old)
        new.trainable = layer.trainable
        return new

    def remap_answers(self, old: Sequence[str], new: Sequence[str]) -> int:
        """Change the table of answers: each new answer gets the row of the same old answer, or zeros.

        Args:
            old: the answers in the order of the model's scores.
            new: the answers that the model is to score.

        Returns:
            How many of the new answers the old table has.

        Raises:
            ValueError: another number of old answers than the model scores.
        """
        path, field = ANSWERS[self.config.model_type]
        if len(old) != getattr(self.config, field):
            raise ValueError(
                f"the old table has {len(old)} answers, and the model scores {getattr(self.config, field)}; pass the "
                "table that the model was trained with."
            )
        rows = matching_rows(old, new)
        values = {name: remap_rows(array, rows) for name, array in self._arrays(f"{path}.").items()}
        self.resize_num_qa_labels(len(new))
        self._restore(values)
        # As in `transformers`: the labels of the old table would be wrong for the new head.
        id2label = dict(enumerate(new))
        label2id = {answer: number for number, answer in enumerate(new)}
        self._set_config(id2label=id2label, label2id=label2id)
        return int((rows >= 0).sum())

    def prune_heads(self, heads: Mapping[str, Iterable[int]]) -> None:
        """Prune attention heads: remove their rows from the weights, and record them in the config.

        Args:
            heads: for an attention's path in the backbone ("language_layers.0.attention"), or the number of a layer
                where no other attention has it, the heads to remove, counted as in the unpruned model. Pruned heads
                are ignored.

        Raises:
            ValueError: an unknown path or head, or all heads of an attention.
            TypeError: heads that are not a list of integers.
        """
        # By what the layers are: another model may share the config, and have pruned its own.
        before, config = copy.deepcopy(self.made_from), self.config
        pruned_heads = before.with_pruned_heads(heads).pruned_heads
        pruned = pruned_paths(before, heads)
        old = {name: values for path in pruned for name, values in self._arrays(f"{path}.").items()}
        self._set_config(pruned_heads=pruned_heads)
        for path in pruned:
            parent, name = sublayer(self.base, path.rpartition(".")[0]), path.rpartition(".")[2]
            attention: Attention = getattr(parent, name)
            rows, trained = kept_rows(before, config, path, attention.head_size), attention.trainable
            for part in ("query", "key", "value"):
                for leaf in ("weight", "bias"):
                    old[f"{path}.{part}.{leaf}"] = old[f"{path}.{part}.{leaf}"][rows]
            old[f"{path}.out.weight"] = old[f"{path}.out.weight"][:, rows]
            new = Attention(config, config.pruned_heads.get(path, ()), dtype=self.dtype_policy, name=name)
            replace_layer(parent, name, new)
            mark_replaced(parent, name, new)
            new.trainable = trained
        self._restore(old)

    def _restore(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Give the parameters that are named here these values."""
        for parameter, _ in self.weights_by_name():
            if parameter.name in arrays:
                self._assign(parameter, arrays[parameter.name])


def _resized(old: np.ndarray, count: int, std: float, around_mean: bool = False) -> np.ndarray:
    """The first `count` rows of `old`, followed by newly initialized ones."""
    kept = min(count, len(old))
    if around_mean and kept < count:
        rows = old.astype("float32")
        # Normal numbers times the centered rows have the rows' covariance, times their number.
        noise = ops.convert_to_numpy(keras.random.normal((count - kept, kept))) @ (rows - rows.mean(0))
        return np.concatenate([old, (rows.mean(0) + noise * (MEAN_RESIZING / kept) ** 0.5).astype(old.dtype)])
    fresh = keras.random.normal((count - kept, *old.shape[1:]), stddev=std) if std else np.zeros((count - kept,))
    return np.concatenate([old[:kept], ops.convert_to_numpy(fresh).astype(old.dtype)])
