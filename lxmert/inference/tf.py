"""Many questions answered, many sentences matched with images, by a model that is taken apart (`inference.bulk`)."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from lxmert.inference.bulk import Answer, answered, check_head, matched
from lxmert.tf.pretrained import PreTrainedModel

if TYPE_CHECKING:
    from lxmert.common.tokenizer import LxmertTokenizer
    from lxmert.data.datasets import Questions
    from lxmert.data.features import RegionStore


def answer_questions(
    model: PreTrainedModel,
    tokenizer: LxmertTokenizer,
    questions: Questions | Sequence[tuple[str, str]],
    store: RegionStore,
    answers: Sequence[str],
    *,
    text_length: int = 20,
    batch_size: int = 64,
    progress: bool = False,
) -> Iterator[Answer]:
    """Answer many questions about the images of a store, one after the other.

    Each image is encoded once for all of its questions, if they are not far apart; questions of one length go
    together without padding, and of the last layer only what the answer needs is computed. The answers are those of the
    model on each question alone.

    Args:
        model: `TFLxmertForQuestionAnswering`, or `TFLxmertForPreTraining` with an answer head, in any dtype:
            `from_pretrained(…, dtype="bfloat16")` is the fastest one on processors that know it.
        tokenizer: the model's.
        questions: of `read_vqa` or `read_gqa`; or pairs of the name of an image and a question.
        store: the regions, of `open_regions`.
        answers: the table, in the order of the model's scores.
        text_length: tokens that a question is cut to.
        batch_size: questions that go through the model together.
        progress: whether to show a bar, on standard error.

    Yields:
        An `Answer` for each question, in their order, as soon as it is there.

    Raises:
        ValueError: an image that is not in the store, or another number of answers.
        TypeError: a model without an answer head.
    """
    head = check_head(model, "answer", "answer_questions needs an LXMERT that answers questions", len(answers))
    return answered(SplitEncoder(model, head), tokenizer, questions, store, answers, text_length, batch_size, progress)


def match(
    model: PreTrainedModel,
    tokenizer: LxmertTokenizer,
    sentences: Sequence[str],
    images: Sequence[str],
    store: RegionStore,
    *,
    text_length: int = 20,
    batch_size: int = 64,
    progress: bool = False,
) -> np.ndarray:  # [S, P]
    """Hold every sentence against every image: the probability that they belong together, float32 ``[S, P]``.

    Args:
        model: `TFLxmertForPreTraining`.
        tokenizer: the model's.
        sentences: S sentences.
        images: the names of P images.
        store: the regions, of `open_regions`.
        text_length: tokens that a sentence is cut to.
        batch_size: pairs that go through the model together.
        progress: whether to show a bar, on standard error.

    Raises:
        ValueError: an image that is not in the store.
        TypeError: a model without a head that tells whether sentence and image match.
    """
    head = check_head(model, "match", "match needs TFLxmertForPreTraining")
    return matched(SplitEncoder(model, head), tokenizer, sentences, images, store, text_length, batch_size, progress)


class SplitEncoder:
    """A model with one of its heads, taken apart; its parts are graphs that are traced once, for every size."""

    def __init__(self, model: PreTrainedModel, head: Any):
        # A layer that was replaced (other tables, other heads, other dtypes) has other variables.
        known, graphs = _GRAPHS.get(model, ([], {}))
        variables = model.variables
        same = len(known) == len(variables) and all(a is b for a, b in zip(known, variables, strict=True))
        _GRAPHS[model] = (variables, graphs if same else {})
        self._graphs = _GRAPHS[model][1]
        self.backbone, self.head = model.backbone, head

    def encode_language(self, ids: np.ndarray) -> Any:  # [T, L] -> [T, L, D]
        """Encode texts of one length."""
        return self._graph("language", self.backbone.encode_language)(tf.constant(ids, tf.int32))

    def encode_vision(self, regions: Mapping[str, np.ndarray]) -> Any:  # [P, R, F] -> [P, R, D]
        """Encode images from their regions by argument name."""
        return self._graph("vision", self.backbone.encode_vision)(**{n: tf.constant(x) for n, x in regions.items()})

    def join(self, parts: Sequence[Any]) -> Any:
        """What was encoded in several calls as one, along the first axis."""
        return tf.concat(list(parts), 0) if len(parts) > 1 else parts[0]

    def scores(
        self, language: Any, texts: np.ndarray, visual: Any, images: np.ndarray, mask: np.ndarray | None
    ) -> np.ndarray:  # [T, L, D], [B], [P, R, D], [B], [B, R] -> [B, ...]
        """What the head says of pairs, each a row of the texts and a row of the images."""

        def crossed(language: Any, texts: Any, visual: Any, images: Any, mask: Any = None) -> Any:
            states = self.backbone.cross(
                tf.gather(language, texts),
                tf.gather(visual, images),
                None,
                mask,
                language_output=False,
                vision_output=False,
            )
            scores = self.head(states.pooled_output)
            return scores if scores.dtype == tf.float64 else tf.cast(scores, tf.float32)

        given = [language, tf.constant(texts), visual, tf.constant(images)]
        graph = self._graph(f"cross {self.head.name}", crossed)
        return graph(*given, *([] if mask is None else [tf.constant(mask)])).numpy()

    def _graph(self, name: str, function: Callable[..., Any]) -> Any:
        """A graph of a function, the same one for a model whenever it is asked for."""
        if name not in self._graphs:
            self._graphs[name] = tf.function(function, reduce_retracing=True, autograph=False)
        return self._graphs[name]


_GRAPHS: Any = weakref.WeakKeyDictionary()  # each model's variables, and its graphs by name: tracing takes seconds
