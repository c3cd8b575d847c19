"""The test of explanations by removal: what is removed, what is counted, and curves that were computed by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from lxmert.explain import perturbation
from lxmert.explain.curves import REGION_FRACTIONS, WORD_FRACTIONS, PerturbationCurves, curve_areas
from lxmert.explain.perturbation import perturbation_curves
from lxmert.explain.removal import keep_places, kept_count, real_places, removable, removal_order
from lxmert.inference.answering import VisualQuestionAnswering
from lxmert.vision.detections import ImageDetections
from lxmert.vision.shapes.regions import FEATURE_SIZE

CLS, SEP, MASK = 101, 102, 103
ANSWERS = ["no", "yes"]


@pytest.mark.parametrize(
    ("fractions", "count", "kept"),
    [
        (WORD_FRACTIONS, 36, [36, 27, 18, 9, 7, 5, 3, 1, 0]),
        (WORD_FRACTIONS, 10, [10, 7, 5, 2, 1, 1, 0, 0, 0]),  # 1 - 0.8 and 1 - 0.9 are below 0.2 and 0.1
        (WORD_FRACTIONS, 20, [20, 15, 10, 5, 3, 3, 1, 1, 0]),
        (WORD_FRACTIONS, 5, [5, 3, 2, 1, 0, 0, 0, 0, 0]),
        (REGION_FRACTIONS["visual_bert"], 100, [100, 50, 25, 5, 4, 3, 2, 1, 0]),
    ],
)
def test_rounding(fractions, count, kept):
    assert [kept_count(fraction, count) for fraction in fractions] == kept


def test_positive_is_the_order_of_negated_scores_and_ties_have_an_order_of_their_own():
    relevance, ties = np.array([0.0, 3.0, 0.0, -1.0, 0.0]), np.array([2, 0, 1, 3, 4])
    positive = removal_order(relevance, ties, "positive")
    assert positive.tolist() == [1, 2, 0, 4, 3]
    assert removal_order(relevance, ties, "negative").tolist() == [3, 2, 0, 4, 1]
    np.testing.assert_array_equal(positive, removal_order(-relevance, ties, "negative"))


@pytest.mark.parametrize(("model_type", "stay"), [("lxmert", [0, 5]), ("visual_bert", [0, 4, 5])])
def test_words_that_always_stay(model_type, stay):
    """With padding before and behind: [CLS] and [SEP], and the token where VisualBERT reads the answer."""
    for mask, first in (([1, 1, 1, 1, 1, 1, 0, 0], 0), ([0, 0, 1, 1, 1, 1, 1, 1], 2)):
        (places,) = real_places({"attention_mask": np.array([mask])}, "words")
        left = set(range(6)) - {place - first for place in removable(places, "words", model_type)}
        assert sorted(left) == stay


def test_what_is_kept_moves_to_the_front():
    inputs = {
        "input_ids": np.array([[1, 2, 3, 4], [5, 6, 7, 0]]),
        "attention_mask": np.array([[1, 1, 1, 1], [1, 1, 1, 0]]),
        "visual_feats": np.arange(12.0).reshape(2, 3, 2) + 1,
        "visual_attention_mask": np.ones((2, 3)),
    }
    words = keep_places(inputs, "words", np.array([1, 0, 1]), [np.array([0, 2]), np.array([0, 2, 3]), np.array([2])])
    assert words["input_ids"].tolist() == [[5, 7, 0], [1, 3, 4], [7, 0, 0]]
    assert words["attention_mask"].tolist() == [[1, 1, 0], [1, 1, 1], [1, 0, 0]]
    np.testing.assert_array_equal(words["visual_feats"], inputs["visual_feats"][[1, 0, 1]])
    none = keep_places(inputs, "regions", np.array([0]), [np.array([], int)])
    assert none["visual_attention_mask"].tolist() == [[0]], "one region, which is padding"
    assert none["visual_feats"].tolist() == [[[0, 0]]]
    assert inputs["visual_feats"].min() == 1, "the inputs are as they were"


class Model:
    """Says yes as long as it reads the word 7 and a region of 7. It checks that what is left is in order."""

    def __init__(self, model_type="lxmert"):
        self.config = SimpleNamespace(model_type=model_type)
        self.end = [SEP] if model_type == "lxmert" else [MASK, SEP]
        self.calls = []

    def __call__(self, inputs):
        words, word_mask = inputs["input_ids"], inputs["attention_mask"] > 0
        features, mask = inputs["visual_feats"][..., 0], inputs["visual_attention_mask"] > 0
        self.calls.append(len(words))
        for row, own in zip(words, word_mask, strict=True):
            real = row[own].tolist()
            assert own[: len(real)].all()
            assert [real[0], *real[-len(self.end) :]] == [CLS, *self.end]
        yes = ((words == 7) & word_mask).any(1) & ((features == 7) & mask).any(1)
        scores = np.stack([np.full(len(yes), 0.5), yes], axis=1)
        return {"question_answering_score": scores, "logits": scores}


class Answerer:
    """Questions are lists of ids, images lists of numbers: one for each region."""

    answers = ANSWERS

    def __init__(self, model_type="lxmert"):
        self.model = Model(model_type)

    def find_regions(self, images):
        return [SimpleNamespace(features=np.array(image), normalized_boxes=None) for image in images]

    def inputs(self, regions, questions):
        def padded(rows):
            array, mask = np.zeros((2, len(rows), max(map(len, rows))), int)
            for place, row in enumerate(rows):
                array[place, : len(row)], mask[place, : len(row)] = row, 1
            return array, mask

        ids, mask = padded([[CLS, *question, *self.model.end] for question in questions])
        features, visual_mask = padded([features for features, _ in regions])
        return {
            "input_ids": ids,
            "attention_mask": mask,
            "visual_feats": features[..., None],
            "visual_attention_mask": visual_mask,
        }


IMAGES = [[1, 7, 2, 3], [7, 9, 8, 1, 2, 3], [1, 2, 3, 4]]
QUESTIONS = [[4, 7, 5], [7, 8, 9, 1], [7, 1]]
LABELS = [{"yes": 1.0}, {"yes": 0.3, "maybe": 1.0}, {"yes": 1.0}]  # the last is answered with no


@pytest.fixture
def curves_of(monkeypatch):
    """The test of the model above. Relevance is the number of each word and region; of raw attention, its negative."""

    def explain_methods(model, inputs, methods):
        words, regions = inputs["input_ids"].astype(float), inputs["visual_feats"][..., 0].astype(float)
        signs = {"relevancy": 1.0, "raw_attention": -1.0}
        return {name: SimpleNamespace(words=signs[name] * words, regions=signs[name] * regions) for name in methods}

    def run(answerer=None, images=IMAGES, questions=QUESTIONS, labels=LABELS, **options):
        given = {"methods": ["relevancy"], "fractions": [0, 0.5, 1], **options}
        return perturbation_curves(answerer or Answerer(), images, questions, labels, **given)

    monkeypatch.setattr(perturbation, "explain_methods", explain_methods)
    monkeypatch.setattr(perturbation, "numpy_model", lambda model: model)
    return run


def test_curves_by_hand(curves_of):
    """Scores of the answer that is given, divided by the number of questions; and the areas of straight lines."""
    curves = curves_of()
    expected = {
        ("regions", "positive"): [[100, 0, 0], [30, 0, 0], [0, 0, 0]],  # of the second, 9, 8 and 7 go first
        ("regions", "negative"): [[100, 100, 0], [30, 30, 0], [0, 0, 0]],
        ("words", "positive"): [[100, 0, 0], [30, 30, 0], [0, 0, 0]],  # 9 and 8 go before 7
        ("words", "negative"): [[100, 100, 0], [30, 0, 0], [0, 0, 0]],
    }
    for (stream, order), accuracies in expected.items():
        np.testing.assert_allclose(
            curves.accuracies["relevancy", stream, order], accuracies, err_msg=f"{stream} {order}"
        )
    np.testing.assert_allclose(curves.curve("relevancy", "regions", "negative"), [130 / 3, 130 / 3, 0])
    mean, error = curves.area("relevancy", "regions", "negative")
    assert (mean, error) == pytest.approx((97.5 / 3, np.std([75, 22.5, 0], ddof=1) / np.sqrt(3)))
    random = curves.accuracies["random", "regions", "positive"]
    assert curves.above_random("relevancy", "regions", "negative").mean == pytest.approx(
        97.5 / 3 - curve_areas([0, 0.5, 1], random).mean()
    )
    assert curves.methods == ("relevancy", "random")
    assert curves.summary()["questions"] == 3
    ends = curves.at([0, 1])
    assert ends.area("relevancy", "words", "positive").mean == pytest.approx(130 / 6)
    assert ends.fractions == {"regions": (0.0, 1.0), "words": (0.0, 1.0)}
    with pytest.raises(ValueError, match=r"fractions must be among 0, 0\.5, 1; got 0\.25"):
        curves.at([0, 0.25, 1])


def test_areas_are_mean_heights_whatever_the_widths():
    assert curve_areas([0, 0.25, 1], np.array([100.0, 60.0, 20.0])) == pytest.approx(0.25 * 80 + 0.75 * 40)
    assert curve_areas([0.2, 0.6], np.array([[50.0, 50.0], [0.0, 100.0]])) == pytest.approx([50, 50])


def test_the_negated_relevance_has_the_orders_exchanged(curves_of):
    curves = curves_of(methods=["relevancy", "raw_attention"], fractions=None)
    for stream in ("regions", "words"):
        for order, other in (("positive", "negative"), ("negative", "positive")):
            np.testing.assert_array_equal(
                curves.accuracies["relevancy", stream, order], curves.accuracies["raw_attention", stream, other]
            )


def test_the_answer_of_visual_bert_is_read_where_it_was(curves_of):
    """The model refuses inputs without [MASK] before [SEP]; the regions have the fractions of the published code."""
    curves = curves_of(Answerer("visual_bert"), fractions=None)
    assert curves.fractions == {"regions": REGION_FRACTIONS["visual_bert"], "words": WORD_FRACTIONS}
    assert curves.curve("relevancy", "words", "negative")[0] == pytest.approx(130 / 3)


def test_batches_and_seeds(curves_of):
    def arrays(**options):
        return curves_of(draws=2, fractions=None, **options).accuracies

    first = arrays(batch_size=64)
    for size in (1, 2):
        other = arrays(batch_size=size)
        assert first.keys() == other.keys()
        for curve, accuracies in first.items():
            np.testing.assert_array_equal(accuracies, other[curve])
    random = first["random", "regions", "positive"]
    assert (random == first["random", "regions", "negative"]).all()
    assert (arrays(seed=1)["random", "regions", "positive"] != random).any()


def test_equal_inputs_run_once(curves_of):
    """Of two draws and two orders with nine fractions each, many remove the same."""
    answerer = Answerer()
    curves_of(answerer, draws=2, fractions=None)
    assert sum(answerer.model.calls) < 0.6 * 2 * 4 * 9 * len(QUESTIONS)
    assert max(answerer.model.calls) <= 64


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ["lime"]}, "methods must be among relevancy, .*; got lime"),
        ({"fractions": [0, 0.5, 0.5]}, r"fractions must be two or more, ascending, from 0 to 1; got 0, 0\.5, 0\.5"),
        ({"fractions": [0, 50, 100]}, "from 0 to 1; got 0, 50, 100"),
        ({"fractions": [0.5]}, "two or more"),
        ({"draws": 0}, "draws must be at least 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"labels": LABELS[:1]}, "as many of each, at least one; got 3, 3 and 1"),
        (
            {"labels": [{"red": 1.0}] * 3},
            "none of the right answers of 3 questions is among the 2 answers of the model",
        ),
    ],
)
def test_refused(changes, message, curves_of):
    with pytest.raises(ValueError, match=message):
        curves_of(**changes)


def test_one_question_has_no_standard_error():
    curves = PerturbationCurves(("random",), {"words": (0.0, 1.0)}, {("random", "words", "positive"): np.ones((1, 2))})
    assert np.isnan(curves.area("random", "words", "positive").error)


@pytest.mark.parametrize("source", ["easy-vqa", "easy-vqa-visual-bert"])
def test_a_trained_model(source):
    """Nothing removed: its answers. No region, first or last: its answers without any. Batches change nothing."""
    answerer = VisualQuestionAnswering.from_pretrained(source)
    random = np.random.default_rng(0)
    images = [
        ImageDetections(random.random((count, FEATURE_SIZE), np.float32), random.random((count, 4), np.float32), (1, 1))
        for count in (1, 3, 0)
    ]
    questions = ["what color is the circle?", "is there a red shape in the image?", "what shape is in the image?"]
    labels = [{answer[0]["answer"]: 1.0} for answer in answerer(images, questions)]
    none, some = ((image.features, image.normalized_boxes) for image in (empty(images[0]), images[0]))
    blind = [answerer.answers[answerer.scores([none, some], [text] * 2)[0].argmax()] for text in questions]
    options = {"methods": ["relevancy", "attention_grad_cam"], "draws": 2}
    curves = perturbation_curves(answerer, images, questions, labels, **options)
    one_by_one = perturbation_curves(answerer, images, questions, labels, batch_size=1, **options)
    for (method, stream, order), accuracies in curves.accuracies.items():
        np.testing.assert_array_equal(accuracies, one_by_one.accuracies[method, stream, order])
        assert (accuracies[:, 0] == 100).all()
        if stream == "regions":
            assert accuracies[:, -1].tolist() == [100 * label.get(a, 0) for label, a in zip(labels, blind, strict=True)]


@pytest.mark.full
def test_both_backends():
    images = [ImageDetections(np.eye(3, FEATURE_SIZE, dtype=np.float32), np.full((3, 4), 0.5, np.float32), (1, 1))]
    questions, labels = ["what color is the circle?"], [{"red": 0.6, "blue": 1.0}]
    first, second = (
        perturbation_curves(
            VisualQuestionAnswering.from_pretrained("easy-vqa", backend),
            images,
            questions,
            labels,
            methods=["relevancy", "input_x_gradient"],
        )
        for backend in ("pt", "tf")
    )
    for curve, accuracies in first.accuracies.items():
        np.testing.assert_array_equal(accuracies, second.accuracies[curve])


def empty(image):
    """An image in which nothing was detected."""
    return ImageDetections(image.features[:0], image.boxes[:0], image.size)
