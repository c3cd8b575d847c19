"""Questions about photographs: the regions of a detector go to the model, as often as asked, and fit it."""

import numpy as np
import pytest

from lxmert import LxmertTokenizer, RegionDetector, VisualQuestionAnswering
from lxmert.data.features import RegionWriter
from tests.detection.colours import Colours
from tests.weights.weight_folders import CONFIG_OF, make_folder

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "what", "?"]
ANSWERS = ["yes", "no", "2", "man", "gray"]


class Counted(Colours):
    """Counts the images that it is given."""

    images = 0

    def detect(self, images):
        self.images += len(images)
        return super().detect(images)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A small model of each kind that reads three numbers a region, and a vocabulary."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    made = {}
    for name, size in (
        ("LxmertForQuestionAnswering", {"visual_feat_dim": 3, "visual_pos_dim": 4}),
        ("VisualBertForQuestionAnswering", {"visual_embedding_dim": 3}),
    ):
        made[name] = make_folder(folder / name, name, CONFIG_OF[name].replace(**size))
    return made, folder / "vocab.txt"


def load(sources, name="LxmertForQuestionAnswering", **options):
    models, vocabulary = sources
    return VisualQuestionAnswering.from_pretrained(models[name], vocabulary=vocabulary, answers=ANSWERS, **options)


@pytest.fixture
def photographs():
    return list(np.random.default_rng(0).integers(0, 256, (2, 20, 30, 3)).astype(np.uint8))


@pytest.mark.parametrize(
    ("backend", "name"), [("pt", "LxmertForQuestionAnswering"), ("tf", "VisualBertForQuestionAnswering")]
)
def test_the_answers_are_those_about_the_regions(sources, photographs, name, backend):
    detector = Counted()
    ask = load(sources, name, detector=detector, backend=backend)
    first, second = photographs
    found = ask([first, second, first], ["what?", "what?", "what what?"], top_k=5)
    assert detector.images == 2, "a photograph is looked at once"
    regions = ask.find_regions(photographs)
    again = ask([regions[0], second, regions[0]], ["what?", "what?", "what what?"], top_k=5)
    assert detector.images == 5
    assert again == found
    assert ask(detector(photographs), "what?", top_k=5) == ask(regions, "what?", top_k=5)
    np.testing.assert_array_equal(ask.find_regions(first)[0].features, regions[0].features)
    assert found[0] != found[1]
    by_hand = ask.scores([(each.features, each.normalized_boxes) for each in regions], ["what?"] * 2)
    np.testing.assert_allclose([row[0]["score"] for row in found[:2]], by_hand.max(axis=1), rtol=1e-6)


def test_a_store_answers_as_the_detector_that_it_was_made_with(sources, photographs, tmp_path):
    detector = Colours()
    with RegionWriter(tmp_path / "store") as writer:
        for name, found in zip("ab", detector(photographs), strict=True):
            writer.add(name, found.features, found.boxes, found.size)
    asked, stored = load(sources, detector=detector), load(sources, features=tmp_path / "store")
    assert stored(["a", "b"], "what?", top_k=5) == asked(photographs, "what?", top_k=5)


def test_one_source_of_regions_whose_size_the_model_reads(sources, photographs, tmp_path):
    with pytest.raises(ValueError, match="features and detector exclude each other"):
        load(sources, features=tmp_path, detector=Colours())
    with pytest.raises(ValueError, match=r"detector must give regions of 3 numbers, as .*ForQuestionAnswering reads"):
        load(sources, detector="shapes")
    with pytest.raises(ValueError, match="reads; those of colours have 3"):
        VisualQuestionAnswering.from_pretrained("easy-vqa", detector=Colours())
    with pytest.raises(ValueError, match="detector_options are of a detector that is given by its source"):
        load(sources, detector=Colours(), detector_options={"profile": "hf"})
    with pytest.raises(ValueError, match=r"detector_options are of a detector .* which must be given too"):
        VisualQuestionAnswering.from_pretrained("easy-vqa", detector_options={"max_shapes": 2})
    with pytest.raises(ValueError, match="must be given: detector, the detector whose regions of 3 numbers"):
        load(sources)
    model = load(sources, detector=Colours()).model
    ask = VisualQuestionAnswering(model, LxmertTokenizer(str(sources[1])), ANSWERS)
    with pytest.raises(ValueError, match="This must be given: detector, the detector whose regions of 3 numbers"):
        ask(photographs[0], "what?")
    found = RegionDetector.from_pretrained("shapes", max_shapes=2)
    shapes = VisualQuestionAnswering.from_pretrained("easy-vqa", detector="shapes", detector_options={"max_shapes": 2})
    assert shapes.detector.settings == found.settings
