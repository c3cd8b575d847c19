"""Change a model's sizes: words, answers, attention heads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lxmert.utils.counts import check_integer
from lxmert.weights.answer_vocabulary import matching_rows, remap_rows
from lxmert.weights.base_model import MEAN_RESIZING, BaseModel, kept_rows, new_token_count, pruned_paths
from lxmert.weights.naming.tables import ANSWERS

from .layers import Attention, Embedding
from .named_weights import array_of, tensor_of
from .pretrained_base import PreTrainedBase


class Resizable(BaseModel, PreTrainedBase):
    """A model whose vocabulary, answers and attention heads can change; its config changes with it."""

    _input_hook: RemovableHandle | None = None

    def get_input_embeddings(self) -> nn.Embedding:
        """The word embedding."""
        return self.base.embeddings.word

    def set_input_embeddings(self, embeddings: nn.Embedding) -> None:
        """Replace the word embedding [V, D]; a word head stays tied to it, or its own decoder is resized.

        Raises:
            ValueError: the width is not the hidden size.
        """
        count, size = embeddings.weight.shape
        if size != self.config.hidden_size:
            raise ValueError(f"embeddings must be [V, {self.config.hidden_size}] (hidden_size); got [{count}, {size}].")
        self._set_config(vocab_size=count)
        self.base.embeddings.word = embeddings
        word_head = getattr(getattr(self, "heads", None), "word", None)
        if word_head is not None:
            word_head.bias = _resized(word_head.bias, count, 0.0)
            if word_head.decoder is not None:
                decoder = word_head.decoder
                decoder.weight = _resized(decoder.weight, count, self.config.initializer_range)
                decoder.num_embeddings = count

    def get_output_embeddings(self) -> nn.Linear | None:
        """The layer that scores the words, on the parameters of the model; None without a word head.

        A tied one has the word embedding as its weight.
        """
        head = getattr(getattr(self, "heads", None), "word", None)
        if head is None:
            return None
        table = (self.get_input_embeddings() if head.decoder is None else head.decoder).weight
        layer = nn.Linear(table.shape[1], table.shape[0], device="meta")
        layer.weight, layer.bias = table, head.bias
        return layer

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Replace the weight [V, D] of the layer that scores the words, and its bias [V] if it has one.

        Raises:
            ValueError: there is no word head; or it is tied to the word embedding, which is another one; or the sizes
                are not those of the vocabulary.
        """
        head, weight = getattr(getattr(self, "heads", None), "word", None), new_embeddings.weight
        if head is None:
            raise ValueError(f"{type(self).__name__} has no layer that scores words.")
        if head.decoder is None and weight is not self.get_input_embeddings().weight:
            raise ValueError(
                "the word head is tied to the word embedding: use set_input_embeddings, or make the model with "
                "tie_word_embeddings=False."
            )
        sizes = [self.config.vocab_size, self.config.hidden_size]
        if list(weight.shape) != sizes:
            raise ValueError(f"output embeddings must be {sizes}; got {list(weight.shape)}.")
        if head.decoder is not None:
            head.decoder.weight = weight
        if getattr(new_embeddings, "bias", None) is not None:
            head.bias = new_embeddings.bias

    def enable_input_require_grads(self) -> None:
        """Let gradients reach the word vectors though the word embedding is frozen, as adapters need it."""
        self.disable_input_require_grads()
        table = self.get_input_embeddings()
        self._input_hook = table.register_forward_hook(lambda module, given, vectors: vectors.requires_grad_(True))

    def disable_input_require_grads(self) -> None:
        """Undo `enable_input_require_grads`."""
        if self._input_hook is not None:
            self._input_hook.remove()
            self._input_hook = None

    def resize_token_embeddings(
        self,
        new_num_tokens: int | None = None,
        pad_to_multiple_of: int | None = None,
        mean_resizing: bool = True,
    ) -> nn.Embedding:
        """Change the number of words; old rows stay, new ones are newly initialized. Returns the word embedding.

        Args:
            new_num_tokens: the new number of words; None keeps it.
            pad_to_multiple_of: round the number up to a multiple of this.
            mean_resizing: whether new rows are drawn around the mean of the old ones, with 1e-9 of their covariance, as
                in `transformers`; False draws them as in a new model.
        """
        table = self.get_input_embeddings()
        count = new_token_count(table.weight.shape[0], new_num_tokens, pad_to_multiple_of)
        if count != table.weight.shape[0]:
            self.config.replace(vocab_size=count)  # raises if the padding row would be lost
            resized = Embedding(count, 1, table.padding_idx)
            resized.weight = _resized(table.weight, count, self.config.initializer_range, mean_resizing)
            resized.embedding_dim = resized.weight.shape[1]
            self.set_input_embeddings(resized)
        return self.get_input_embeddings()

    def get_qa_logit_layer(self) -> nn.Linear | None:
        """The layer that scores the answers, or VisualBERT's labels; None without one."""
        _, name, *rest = ANSWERS[self.config.model_type][0].split(".")
        head = getattr(getattr(self, "heads", None), name, None)
        return head if head is None or not rest else head.get_submodule(rest[0])

    def resize_num_qa_labels(self, num_labels: int | None = None) -> nn.Linear | None:
        """Change the number of answers; old rows stay, new ones are initialized. Returns the layer, or None."""
        layer = self.get_qa_logit_layer()
        count = None if num_labels is None else check_integer("num_labels", num_labels)
        if layer is None or count is None or count == layer.out_features:
            return layer
        layer.weight = _resized(layer.weight, count, self.config.initializer_range)
        layer.bias = _resized(layer.bias, count, 0.0)
        layer.out_features = count
        self._set_config(**{ANSWERS[self.config.model_type][1]: count})
        return layer

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
        values = {p: remap_rows(array_of(w.detach()), rows) for p, w in self.weights_by_name() if p.module == path}
        self.resize_num_qa_labels(len(new))
        for parameter, array in values.items():
            self._assign(parameter, tensor_of(array))
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
        before, config = self.made_from, self.made_from.with_pruned_heads(heads)
        for path in pruned_paths(before, heads):
            attention: Attention = self.base.get_submodule(path)
            rows = torch.tensor(kept_rows(before, config, path, attention.head_size))
            for layer in (attention.query, attention.key, attention.value):
                layer.weight = nn.Parameter(layer.weight.detach()[rows], layer.weight.requires_grad)
                layer.bias = nn.Parameter(layer.bias.detach()[rows], layer.bias.requires_grad)
                layer.out_features = len(rows)
            attention.out.weight = nn.Parameter(
                attention.out.weight.detach()[:, rows], attention.out.weight.requires_grad
            )
            attention.out.in_features = len(rows)
            attention.num_heads = len(rows) // attention.head_size
        self._set_config(pruned_heads=config.pruned_heads)


def _resized(old: Tensor, count: int, std: float, around_mean: bool = False) -> nn.Parameter:
    """The first `count` rows of `old`, followed by newly initialized ones; frozen if `old` was."""
    new = torch.empty(count, *old.shape[1:], dtype=old.dtype, device=old.device)
    nn.init.normal_(new, std=std) if std else new.zero_()
    kept = min(count, old.shape[0])
    if around_mean and kept < count:
        rows = old.detach().float()
        centered = rows - rows.mean(0)
        # Normal numbers times the centered rows have the rows' covariance, times their number.
        noise = torch.randn(count - kept, kept, device=old.device) @ centered
        new[kept:] = (rows.mean(0) + noise * (MEAN_RESIZING / kept) ** 0.5).to(new.dtype)
    new[:kept] = old.detach()[:kept]
    return nn.Parameter(new, old.requires_grad)
