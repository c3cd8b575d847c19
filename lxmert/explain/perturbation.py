"""The test of explanations by removal: how the accuracy falls when words or regions are removed by their relevance.

As in Chefer, Gur and Wolf 2021 (arXiv 2103.15679): positive perturbation removes the most relevant first, so a good
explanation makes the accuracy fall early and has a small area under its curve; negative perturbation removes the
least relevant first, and a large area is good.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lxmert.inference.backends import numpy_model
from lxmert.inference.bulk import check_scores
from lxmert.inference.question_models import scores_name
from lxmert.utils.counts import check_integer
from lxmert.utils.messages import shown
from lxmert.utils.progress import ProgressBar
from lxmert.utils.setting_names import setting

from .curves import RANDOM, REGION_FRACTIONS, WORD_FRACTIONS, Curve, PerturbationCurves, check_fractions
from .explaining import explain_methods
from .methods import methods_of
from .removal import ORDERS, STREAMS, Cases, keep_places, kept_count, real_places, removable, removal_order

if TYPE_CHECKING:
    from lxmert.inference.answering import VisualQuestionAnswering

    from .explanation import Explanation

_TIES, _DRAWS = 0, 1  # what a seed is for


def perturbation_curves(
    answerer: VisualQuestionAnswering,
    images: Sequence[Any],
    questions: Sequence[str],
    labels: Sequence[Mapping[str, float]],
    *,
    methods: Sequence[str] | None = None,
    fractions: Sequence[float] | None = None,
    draws: int = 5,
    seed: int = 0,
    batch_size: int = 64,
    progress: bool = False,
) -> PerturbationCurves:
    """Remove words and regions of each question in the order of their relevance, and count right answers.

    What is removed is cut out, not masked. The explanation is that of the model's own answer to the whole question. Of
    n words or regions int((1 - fraction) · n) are left, as the published code rounds; [CLS], [SEP] and the token where
    VisualBERT's answer is read always stay, and do not count. Regions and words are removed in turn, never both.
    Equally relevant ones are in a random order. The results depend on the seed, not on the batch size.

    `curves = perturbation_curves(answerer, questions.images, questions.texts, questions.answers)` takes what `read_vqa`
    read.

    Args:
        answerer: the model, LXMERT or VisualBERT of either backend; in PyTorch in evaluation mode.
        images: N images as the answerer takes them: names of its region store, files, or regions of `find_regions`.
        questions: N questions.
        labels: for each the right answers with their scores, 0 to 1: what an answer scores.
        methods: names of `METHODS`; by default all that the model has.
        fractions: removed from words and from regions, ascending from 0 to 1; by default those of the published code,
            `WORD_FRACTIONS` and `REGION_FRACTIONS`.
        draws: random orders of each question, whose mean is the baseline.
        seed: of the random numbers, from 0.
        batch_size: questions that are explained together, and inputs that go through the model together.
        progress: whether to show how far it is, on standard error.

    Raises:
        ValueError: no questions, different numbers of them, no right answer that the model knows, an unknown method, or
            fractions out of order.
    """
    if not len(images) == len(questions) == len(labels) > 0:
        raise ValueError(
            "images, questions and labels must be as many of each, at least one; got "
            f"{len(images)}, {len(questions)} and {len(labels)}."
        )
    if not any(answer in label for label in labels for answer in answerer.answers):
        raise ValueError(
            f"none of the right answers of {len(labels):,} questions is among the {len(answerer.answers):,} answers of "
            "the model. Take questions of the data set that it was trained on."
        )
    batch_size = check_integer(setting("batch_size"), batch_size)
    test = _RemovalTest(
        answerer, methods, fractions, check_integer(setting("draws"), draws), check_integer(setting("seed"), seed, 0)
    )
    found: dict[Curve, list[np.ndarray]] = {}
    with ProgressBar("removing words and regions", len(questions), "questions", progress) as bar:
        for start in range(0, len(questions), batch_size):
            part = slice(start, start + batch_size)
            for curve, scores in test.batch(start, images[part], questions[part], labels[part], batch_size):
                found.setdefault(curve, []).append(scores)
            bar.update(len(questions[part]))
    accuracies = {curve: np.concatenate(parts) for curve, parts in found.items()}
    return PerturbationCurves((*test.methods, RANDOM), test.fractions, accuracies)


class _RemovalTest:
    """The test of a model by some methods; the arguments are those of `perturbation_curves`."""

    def __init__(
        self,
        answerer: VisualQuestionAnswering,
        methods: Sequence[str] | None,
        fractions: Sequence[float] | None,
        draws: int,
        seed: int,
    ):
        self.answerer, self.draws, self.seed = answerer, draws, seed
        self.model_type = answerer.model.config.model_type
        known = methods_of(self.model_type)
        self.methods = known if methods is None else list(dict.fromkeys(methods))
        unknown = [name for name in self.methods if name not in known]
        if unknown:
            raise ValueError(f"{setting('methods')} must be among {', '.join(known)}; got {', '.join(unknown)}.")
        own = None if fractions is None else check_fractions(fractions)
        self.fractions = {"regions": own or REGION_FRACTIONS[self.model_type], "words": own or WORD_FRACTIONS}
        self._run = numpy_model(answerer.model)
        self._scores = scores_name(self.model_type)

    def batch(
        self,
        start: int,
        images: Sequence[Any],
        questions: Sequence[str],
        labels: Sequence[Mapping[str, float]],
        batch_size: int,
    ) -> Iterator[tuple[Curve, np.ndarray]]:
        """The accuracies of some questions, [B, F] for each curve, in percent.

        Args:
            start: the number of the first.
        """
        regions = [(found.features, found.normalized_boxes) for found in self.answerer.find_regions(list(images))]
        inputs = self.answerer.inputs(regions, questions)
        explanations = explain_methods(self.answerer.model, inputs, methods=self.methods)
        for stream in STREAMS:
            cases = Cases(real_places(inputs, stream))
            numbers: dict[Curve, list[list[list[int]]]] = {}
            for row, places in enumerate(cases.places):
                own = removable(places, stream, self.model_type)
                for (method, order), places_in_order in self._orders(stream, start + row, row, own, explanations):
                    counts = [len(own) - kept_count(fraction, len(own)) for fraction in self.fractions[stream]]
                    rows = numbers.setdefault((method, stream, order), [[] for _ in cases.places])
                    rows[row].append([cases.number(row, places_in_order[:count]) for count in counts])
            scores = self._case_scores(inputs, stream, cases, questions, labels, batch_size)
            for curve, taken in numbers.items():
                accuracies = 100 * scores[np.array(taken)].mean(axis=1)  # over the draws of a random order
                yield curve, accuracies
                if curve[0] == RANDOM:
                    yield (RANDOM, stream, ORDERS[1]), accuracies

    def _orders(
        self, stream: str, number: int, row: int, places: np.ndarray, explanations: Mapping[str, Explanation]
    ) -> Iterator[tuple[tuple[str, str], np.ndarray]]:
        """The orders in which the words or regions of a question are removed, by method and order."""
        kind = STREAMS.index(stream)
        ties = np.random.default_rng([self.seed, _TIES, number, kind]).permutation(len(places))
        for method, explanation in explanations.items():
            relevance = getattr(explanation, stream)[row, places]
            for order in ORDERS:
                yield (method, order), places[removal_order(relevance, ties, order)]
        random = np.random.default_rng([self.seed, _DRAWS, number, kind])
        for _ in range(self.draws):
            yield (RANDOM, ORDERS[0]), random.permutation(places)

    def _case_scores(
        self,
        inputs: Mapping[str, np.ndarray],
        stream: str,
        cases: Cases,
        questions: Sequence[str],
        labels: Sequence[Mapping[str, float]],
        batch_size: int,
    ) -> np.ndarray:
        """The score, 0 to 1, of the answer to each case."""
        found = np.zeros(len(cases.rows))
        # Cases of one length together, so that little is padded.
        by_length = np.argsort([len(kept) for kept in cases.kept], kind="stable")
        for start in range(0, len(by_length), batch_size):
            numbers = by_length[start : start + batch_size]
            rows = np.array([cases.rows[number] for number in numbers])
            reduced = keep_places(inputs, stream, rows, [cases.kept[number] for number in numbers])
            scores = self._run(reduced)[self._scores]
            check_scores(scores, rows, lambda row: f"the question {shown(questions[row])}")
            for number, row, best in zip(numbers, rows, scores.argmax(axis=1), strict=True):
                found[number] = labels[row].get(self.answerer.answers[best], 0.0)
        return found
