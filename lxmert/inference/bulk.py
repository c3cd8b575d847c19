"""Many questions about many images, and many sentences held against many images, with the least work.

The model is taken apart: each image is encoded once, each sentence once for some hundred images, and only the
cross layers run for every pair. Sentences go together by their length, so nothing is padded. `lxmert.pt` and
`lxmert.tf` offer the calls; what they share is here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from tqdm import tqdm

from lxmert.common.validation.shared import check_integer
from lxmert.utils.malloc import keep_memory

if TYPE_CHECKING:  # a model is imported without what reads data
    from lxmert.common.tokenizer import LxmertTokenizer
    from lxmert.data.collate.fine_tuning import Regions
    from lxmert.data.collate.pairs import TokenizedTexts
    from lxmert.data.datasets import Questions
    from lxmert.data.features import RegionStore


class Answer(NamedTuple):
    """What was answered.

    Attributes:
        question: the id of the question, or its number where questions have no ids.
        answer: the likeliest answer.
        score: its score, before any softmax.
    """

    question: int | str
    answer: str
    score: float


class PairModel(Protocol):
    """A model taken apart; what it gives in between is its backend's own."""

    def encode_language(self, ids: np.ndarray) -> Any:  # [T, L] -> [T, L, D]
        """Encode texts of one length."""

    def encode_vision(self, regions: Mapping[str, np.ndarray]) -> Any:  # [P, R, F] -> [P, R, D]
        """Encode images from their regions by argument name."""

    def join(self, parts: Sequence[Any]) -> Any:
        """What was encoded in several calls as one, along the first axis."""

    def scores(
        self, language: Any, texts: np.ndarray, visual: Any, images: np.ndarray, mask: np.ndarray | None
    ) -> np.ndarray:  # [T, L, D], [B], [P, R, D], [B], [B, R] -> [B, ...]
        """What a head says of pairs, each a row of the texts and a row of the images."""


def scored_pairs(
    model: PairModel,
    texts: TokenizedTexts,
    regions: Regions,
    text_of: np.ndarray,
    image_of: np.ndarray,
    batch_size: int = 64,
    progress: bool = False,
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """What a head says of pairs of a text and an image.

    Args:
        model: the model, taken apart.
        texts: the texts.
        regions: of the images.
        text_of: int64 ``[K]``, the text of each pair.
        image_of: int64 ``[K]``, the place of its image in their store.
        batch_size: pairs, images or texts that go through the model together.
        progress: whether to show a bar, on standard error.

    Yields:
        Which pairs, int64 ``[B]``, and their scores; every pair once, those of nearby images together.
    """
    from lxmert.data.collate.pairs import windows

    keep_memory()
    with tqdm(total=len(text_of), unit="pair", leave=False, disable=not progress) as bar:
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
                some = None if mask is None else mask[images]
                yield rows, model.scores(language[length], own, visual, images, some)
                bar.update(len(rows))


def answered(
    model: PairModel,
    tokenizer: LxmertTokenizer,
    questions: Questions | Sequence[tuple[str, str]],
    store: RegionStore,
    answers: Sequence[str],
    text_length: int,
    batch_size: int,
    progress: bool,
) -> Iterator[Answer]:
    """The answers in the order of the questions; see `answer_questions` of a backend."""
    from lxmert.data.collate.fine_tuning import Regions
    from lxmert.data.collate.pairs import TokenizedTexts
    from lxmert.data.datasets import Questions

    if isinstance(questions, Questions):
        ids, images, texts = list(questions.ids), list(questions.images), list(questions.texts)
    else:
        questions = list(questions)
        images, texts = [image for image, _ in questions], [text for _, text in questions]
        ids = list(range(len(texts)))
    batch_size = check_integer("batch_size", batch_size)
    tokenized, places = TokenizedTexts(tokenizer, texts, text_length), store.places(images)

    def in_order() -> Iterator[Answer]:
        found: dict[int, Answer] = {}
        following = 0
        numbers = np.arange(len(texts))
        for rows, scores in scored_pairs(model, tokenized, Regions(store), numbers, places, batch_size, progress):
            best = scores.argmax(axis=1)
            highest = scores[np.arange(len(rows)), best]
            for row, number, score in zip(rows.tolist(), best.tolist(), highest.tolist(), strict=True):
                found[row] = Answer(ids[row], answers[number], score)
            while following in found:
                yield found.pop(following)
                following += 1

    return in_order()


def matched(
    model: PairModel,
    tokenizer: LxmertTokenizer,
    sentences: Sequence[str],
    images: Sequence[str],
    store: RegionStore,
    text_length: int,
    batch_size: int,
    progress: bool,
) -> np.ndarray:  # [S, P]
    """How likely each sentence and each image belong together; see `match` of a backend."""
    from lxmert.data.collate.fine_tuning import Regions
    from lxmert.data.collate.pairs import TokenizedTexts

    batch_size = check_integer("batch_size", batch_size)
    for name, texts in (("sentences", sentences), ("images", images)):
        if isinstance(texts, str):
            raise TypeError(f"{name} must be several texts; got one, {texts!r}. Put it into a list.")
    tokenized = TokenizedTexts(tokenizer, list(sentences), text_length)
    places = store.places(images)
    text_of = np.repeat(np.arange(len(sentences)), len(places))
    image_of = np.tile(places, len(sentences))
    scores = np.empty((len(text_of), 2), np.float64)
    for rows, some in scored_pairs(model, tokenized, Regions(store), text_of, image_of, batch_size, progress):
        scores[rows] = some
    return (1 / (1 + np.exp(scores[:, 0] - scores[:, 1]))).astype(np.float32).reshape(len(sentences), len(places))


def check_head(model: Any, name: str, wanted: str, outputs: int | None = None) -> Any:
    """A head of an LXMERT task model.

    Raises:
        TypeError: the model has none of this name, or is no LXMERT.
        ValueError: it has another number of outputs than there are answers.
    """
    head = getattr(getattr(model, "heads", None), name, None)
    if head is None or model.config.model_type != "lxmert":
        raise TypeError(f"{wanted}, with a head that is called {name}; got {type(model).__name__}.")
    if outputs is not None and outputs != model.config.num_qa_labels:
        raise ValueError(f"answers must be as many as the model scores, {model.config.num_qa_labels}; got {outputs}.")
    return head


def _parts(rows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (rows[start : start + size] for start in range(0, len(rows), size))
