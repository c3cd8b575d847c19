"""Many questions answered, many sentences matched with images, by a model that is taken apart (`inference.bulk`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from lxmert.inference.bulk import Answer, answered, check_head, matched
from lxmert.pt.cpu_kernels.packing import PackedWeights
from lxmert.pt.pretrained import PreTrainedModel

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
        model: `LxmertForQuestionAnswering`, or `LxmertForPreTraining` with an answer head, on any device and in any
            dtype: `from_pretrained(…, dtype="bfloat16")` is the fastest one on processors that know it. It is
            set to evaluation.
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
        model: `LxmertForPreTraining`; it is set to evaluation.
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
    head = check_head(model, "match", "match needs LxmertForPreTraining")
    return matched(SplitEncoder(model, head), tokenizer, sentences, images, store, text_length, batch_size, progress)


class SplitEncoder:
    """A model with one of its heads, taken apart."""

    def __init__(
        self, model: PreTrainedModel, head: Any, computing: Callable[[], AbstractContextManager[Any]] = nullcontext
    ):
        self.computing = computing
        self.packed, self.calls = PackedWeights(), 0
        self.model, self.backbone, self.head = model, model.backbone, head
        self.device = next(model.parameters()).device

    @torch.inference_mode()
    def encode_language(self, ids: np.ndarray) -> Tensor:  # [T, L] -> [T, L, D]
        """Encode texts of one length."""
        with self._computing():
            return self.backbone.encode_language(self._tensor(ids))

    @torch.inference_mode()
    def encode_vision(self, regions: Mapping[str, np.ndarray]) -> Tensor:  # [P, R, F] -> [P, R, D]
        """Encode images from their regions by argument name."""
        with self._computing():
            return self.backbone.encode_vision(**{name: self._tensor(array) for name, array in regions.items()})

    @torch.inference_mode()
    def join(self, parts: Sequence[Tensor]) -> Tensor:
        """What was encoded in several calls as one, along the first axis."""
        return torch.cat(list(parts)) if len(parts) > 1 else parts[0]

    @torch.inference_mode()
    def scores(
        self, language: Tensor, texts: np.ndarray, visual: Tensor, images: np.ndarray, mask: np.ndarray | None
    ) -> np.ndarray:  # [T, L, D], [B], [P, R, D], [B], [B, R] -> [B, ...]
        """What the head says of pairs, each a row of the texts and a row of the images."""
        with self._computing():
            states = self.backbone.cross(
                language[self._tensor(texts)],
                visual[self._tensor(images)],
                None,
                None if mask is None else self._tensor(mask),
                language_output=False,
                vision_output=False,
            )
            scores = self.head(states.pooled_output)
        return (scores if scores.dtype == torch.float64 else scores.float()).cpu().numpy()

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """How the model is to compute; after some calls also with its weights laid out, if they take little place."""
        if self.model.training:  # since the last answer
            self.model.eval()
        self.calls += 1
        worth = self.calls > _FEW and next(self.model.parameters()).itemsize <= 2
        with self.computing(), self.packed if worth else nullcontext():
            yield

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)


_FEW = 16  # calls for which it does not pay to lay weights out
