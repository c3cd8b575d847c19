"""Many questions about many images, and every sentence matched with every image, with the least work.

Each image is encoded once, each sentence once for some hundred images, and only the cross layers run for every pair.
Sentences of one length go together, so nothing is padded. `SplitEncoder` of a backend runs the parts of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from lxmert.inference.backends import split_encoder
from lxmert.utils.counts import check_integer
from lxmert.utils.messages import shown
from lxmert.utils.progress import ProgressBar
from lxmert.utils.softmax import softmax

if TYPE_CHECKING:
    from lxmert.common.tokenizer import LxmertTokenizer
    from lxmert.data.collate.padding import PaddedRegions
    from lxmert.data.collate.pairs import TokenizedTexts
    from lxmert.data.datasets import Questions
    from lxmert.data.features import RegionStore
    from lxmert.inference.backends import AnyModel


class Answer(NamedTuple):
    """The likeliest answer to a question.

    Attributes:
        question: the id of the question, or its number where questions have no ids.
        answer: the text of the answer.
        score: its probability, 0 to 1, as of `VisualQuestionAnswering`.
        logit: its score before the softmax.
    """

    question: int | str
    answer: str
    score: float
    logit: float


class PairModel(Protocol):
    """A model whose encoders run separately; they return tensors of its backend."""

    def encode_language(self, ids: np.ndarray) -> Any:  # [T, L] -> [T, L, D]
        """Encode texts of one length."""

    def encode_vision(self, regions: Mapping[str, np.ndarray]) -> Any:  # [P, R, F] -> [P, R, D]
        """Encode images from their regions by argument name."""

    def join(self, parts: Sequence[Any]) -> Any:
        """Concatenate the outputs of several calls along the first axis."""

    def scores(
        self, language: Any, texts: np.ndarray, visual: Any, images: np.ndarray, mask: np.ndarray | None
    ) -> np.ndarray:  # [T, L, D], [B], [P, R, D], [B], [B, R] -> [B, ...]
        """A head's scores of pairs, each a row of the texts and a row of the images."""


def answer_questions(
    model: AnyModel,
    tokenizer: LxmertTokenizer,
    questions: Questions | Sequence[tuple[str, str]],
    store: RegionStore,
    answers: Sequence[str],
    *,
    text_length: int = 20,
    batch_size: int = 64,
    progress: bool = False,
) -> Iterator[Answer]:
    """Answer many questions about the images of a store.

    Each image is encoded once for all of its questions, if they are near each other; questions of one length go
    together without padding, and of the last layer only what the answer needs is computed. The answers are those of the
    model on each question alone. A process that does nothing else is faster after `lxmert.utils.malloc.keep_memory()`.

    Args:
        model: `LxmertForQuestionAnswering`, or `LxmertForPreTraining` with an answer head, of either backend, on any
            device and in any dtype: `from_pretrained(…, dtype="bfloat16")` is the fastest on CPUs that compute in it.
            In PyTorch it is set to evaluation mode.
        tokenizer: the model's.
        questions: of `read_vqa` or `read_gqa`; or pairs of the name of an image and a question.
        store: the regions, of `open_regions`.
        answers: the text of each answer, in the order of the model's scores.
        text_length: tokens that a question is cut to.
        batch_size: questions that go through the model together.
        progress: whether to show how far it is, on standard error.

    Yields:
        An `Answer` for each question, in their order, as soon as it is computed.

    Raises:
        ValueError: an image that is not in the store, another number of answers, or scores that are NaN.
        TypeError: a model without an answer head.
    """
    from lxmert.data.collate.padding import PaddedRegions
    from lxmert.data.collate.pairs import TokenizedTexts
    from lxmert.data.datasets import Questions

    head = _head(model, "answer", "answer_questions needs an LXMERT that answers questions")
    if len(answers) != model.config.num_qa_labels:
        raise ValueError(
            f"answers must be as many as the model scores, {model.config.num_qa_labels}; got {len(answers)}."
        )
    if isinstance(questions, Questions):
        ids, images, texts = list(questions.ids), list(questions.images), list(questions.texts)
    else:
        pairs = list(questions)
        ids, images, texts = list(range(len(pairs))), [image for image, _ in pairs], [text for _, text in pairs]
    batch_size = check_integer("batch_size", batch_size)
    tokenized, places = TokenizedTexts(tokenizer, texts, text_length), store.places(images)
    numbers = np.arange(len(texts))
    scored = scored_pairs(
        split_encoder(model, head), tokenized, PaddedRegions(store), numbers, places, batch_size, progress
    )

    def in_order() -> Iterator[Answer]:
        found: dict[int, Answer] = {}
        following = 0
        for rows, scores in scored:
            best = scores.argmax(axis=1)
            at_best = np.arange(len(rows)), best
            columns = best, softmax(scores)[at_best], scores[at_best]
            for row, number, score, logit in zip(rows.tolist(), *(c.tolist() for c in columns), strict=True):
                found[row] = Answer(ids[row], answers[number], score, logit)
            while following in found:
                yield found.pop(following)
                following += 1

    return in_order()


def match(
    model: AnyModel,
    tokenizer: LxmertTokenizer,
    sentences: Sequence[str],
    images: Sequence[str],
    store: RegionStore,
    *,
    text_length: int = 20,
    batch_size: int = 64,
    progress: bool = False,
) -> np.ndarray:  # [S, P]
    """The probability that each sentence and each image belong together, float32 ``[S, P]``.

    Args:
        model: `LxmertForPreTraining` of either backend. In PyTorch it is set to evaluation mode.
        tokenizer: the model's.
        sentences: S sentences.
        images: the names of P images.
        store: the regions, of `open_regions`.
        text_length: tokens that a sentence is cut to.
        batch_size: pairs that go through the model together.
        progress: whether to show how far it is, on standard error.

    Raises:
        ValueError: an image that is not in the store.
        TypeError: a model without the head that scores whether sentence and image match.
    """
    from lxmert.data.collate.padding import PaddedRegions
    from lxmert.data.collate.pairs import TokenizedTexts

    head = _head(model, "match", "match needs LxmertForPreTraining")
    batch_size = check_integer("batch_size", batch_size)
    for name, texts in (("sentences", sentences), ("images", images)):
        if isinstance(texts, str):
            raise TypeError(f"{name} must be several texts; got one, {shown(texts)}. Put it into a list.")
    tokenized, places = TokenizedTexts(tokenizer, list(sentences), text_length), store.places(images)
    text_of, image_of = np.repeat(np.arange(len(sentences)), len(places)), np.tile(places, len(sentences))
    scores = np.empty((len(text_of), 2), np.float64)
    encoder = split_encoder(model, head)
    for rows, some in scored_pairs(encoder, tokenized, PaddedRegions(store), text_of, image_of, batch_size, progress):
        scores[rows] = some
    return (1 / (1 + np.exp(scores[:, 0] - scores[:, 1]))).astype(np.float32).reshape(len(sentences), len(places))


def scored_pairs(
    model: PairModel,
    texts: TokenizedTexts,
    regions: PaddedRegions,
    text_of: np.ndarray,
    image_of: np.ndarray,
    batch_size: int = 64,
    progress: bool = False,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """A head's scores of pairs of a text and an image.

    Args:
        model: the model.
        texts: the texts.
        regions: of the images.
        text_of: int64 ``[K]``, the text of each pair.
        image_of: int64 ``[K]``, the place of its image in the store.
        batch_size: pairs, images or texts that go through the model together.
        progress: whether to show how far it is, on standard error.

    Yields:
        Which pairs, int64 ``[B]``, and their scores; every pair once, those of nearby images together.
    """
    from lxmert.data.collate.pairs import windows

    def described(row: int) -> str:
        return f"a text and image {shown(regions.store.names[image_of[row]])}"

    with ProgressBar("scoring pairs", len(text_of), "pairs", progress) as bar:
        for window in windows(texts, text_of, image_of, batch_size):
            encoded, masks = [], []
            for places in _parts(window.images, batch_size):
                batch = regions.batch(places)
                encoded.append(model.encode_vision(batch))
                masks += [batch["visual_attention_mask"]] if regions.masked else []
            visual = model.join(encoded)
            mask = np.concatenate(masks) if masks else None
            language = {
                length: model.join([model.encode_language(part) for part in _parts(ids, batch_size)])
                for length, ids in window.texts.items()
            }
            for rows, length, own, images in window.crossings:
                scores = model.scores(language[length], own, visual, images, None if mask is None else mask[images])
                check_scores(scores, rows, described)
                yield rows, scores
                bar.update(len(rows))


def check_scores(scores: np.ndarray, rows: np.ndarray, described: Callable[[int], str]) -> None:
    """Refuse scores that are NaN: the place of one would be an answer like any other.

    Args:
        scores: ``[B, ...]``.
        rows: int ``[B]``, which examples they are of.
        described: says what an example is.

    Raises:
        ValueError: naming the first such row.
    """
    wrong = np.flatnonzero(np.isnan(scores).reshape(len(scores), -1).any(axis=1))
    if len(wrong):
        raise ValueError(
            f"the scores of {described(int(rows[wrong[0]]))} are NaN, though its regions are not: the model's weights "
            'are damaged, or it overflows in its dtype. Compute in "float32", or take other weights.'
        )


def _head(model: AnyModel, name: str, wanted: str) -> Any:
    """A head of an LXMERT with heads.

    Raises:
        TypeError: the model has none of this name, or is not an LXMERT.
    """
    head = getattr(getattr(model, "heads", None), name, None)
    if head is None or model.config.model_type != "lxmert":
        raise TypeError(f"{wanted}, with a head that is called {name}; got {type(model).__name__}.")
    return head


def _parts(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (rows[start : start + size] for start in range(0, len(rows), size))
