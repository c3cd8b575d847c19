"""The data set, the vocabulary of its questions, and the changed versions of its images."""

import re
import subprocess
import sys

import numpy as np
import pytest

from lxmert.data.synthetic.augmentation import augment
from lxmert.data.synthetic.easy_vqa import COLOURS, SHAPES, answer_list, denies, load, trait_in
from lxmert.data.synthetic.variants import vary
from lxmert.data.synthetic.vocabulary import build_vocabulary
from lxmert.vision.images import open_image
from lxmert.vision.shapes.regions import image_regions


@pytest.fixture(scope="module")
def test_split():
    return load("test")


@pytest.fixture(scope="module")
def few():
    """The questions about the first 60 training images."""
    return load("train").first(60)


def test_counts(test_split):
    train = load("train")
    assert (len(train), len(train.image_paths)) == (38_575, 4_000)
    assert (len(test_split), len(test_split.image_paths)) == (9_673, 1_000)
    assert len(answer_list()) == len(set(answer_list())) == 13
    assert set(answer_list()) == {*COLOURS, *SHAPES, "yes", "no"}
    for data in (train, test_split):
        assert set(data.answers) <= set(answer_list())
        assert all(path.endswith(f"{place}.png") for place, path in enumerate(data.image_paths))


def test_unknown_split():
    with pytest.raises(ValueError, match="split must be one of 'train', 'test'; got 'val'"):
        load("val")


def test_every_test_image_has_one_shape_of_its_colour(test_split):
    names = list(COLOURS)
    for image in test_split.images()[:200]:
        features, boxes = image_regions(image.path, 1)
        assert len(boxes) == 2
        distance = np.abs(_colour(features[1]) - np.array(list(COLOURS.values()))).sum(axis=1)
        assert image.colour in ("", names[distance.argmin()])


def test_vocabulary_knows_every_word(test_split):
    vocabulary = build_vocabulary(load("train").questions)
    assert vocabulary[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert len(vocabulary) == len(set(vocabulary)) < 150
    assert {word for question in test_split.questions for word in re.findall(r"\w+|\?", question)} <= set(vocabulary)
    assert {"##z", "q", "7"} <= set(vocabulary)
    longest = max(len(re.findall(r"\w+|\?", question)) for question in test_split.questions)
    assert longest + 3 == 13, "the text_length of its config files: [CLS], [MASK] and [SEP]"
    with pytest.raises(TypeError, match="got one str"):
        build_vocabulary("is it red?")


def test_variants_keep_shape_and_colour(few):
    random = np.random.default_rng(0)
    found = 0
    for path in few.image_paths[:20]:
        features, _ = image_regions(path)
        for version in vary(open_image(path), random, 3):
            assert version.dtype == np.uint8
            assert min(version.shape[:2]) >= 24
            assert max(version.shape[:2]) < 110
            changed, boxes = image_regions(version)
            found += len(boxes) == 2
            if len(boxes) == 2:
                assert np.abs(_colour(changed[1]) - _colour(features[1])).max() < 170
    assert found >= 58
    blank = np.full((30, 40, 3), 200, np.uint8)
    np.testing.assert_array_equal(vary(blank, random)[0], blank)


def _colour(features):
    cells = features.reshape(-1, 4)
    return (cells[:, :3].sum(axis=0) / cells[:, 3].sum() + 1) * 127.5


def test_augmented_images_change_answers_only_where_the_added_shapes_do(few):
    images = few.images()
    made = augment(images, 3, np.random.default_rng(0), progress=False)
    again = augment(images, 3, np.random.default_rng(0), progress=False)
    other = augment(images, 3, np.random.default_rng(1), progress=False)
    assert [len(versions) for versions in made] == [3] * 60
    counts, checked = set(), 0
    for image, versions, same in zip(images, made, again, strict=True):
        for version, twin in zip(versions, same, strict=True):
            np.testing.assert_array_equal(version.regions[0], twin.regions[0])
            assert version.questions == twin.questions
            features, boxes = version.regions
            assert len(features) == len(boxes)
            assert np.abs(features[0]).max() <= 1, "the sum of the whole images"
            counts.add(len(version.shapes))
            assert version.shapes[0] == (image.shape, image.colour)
            if len(version.shapes) == 1:
                assert version.questions == image.questions
                continue
            assert all(map(all, version.shapes[1:])), "only images whose shape and colour are known are added"
            for question, answer in version.questions:
                asked = trait_in(question)
                shown = {word for shape in version.shapes for word in shape}
                assert asked, "what is asked about 'the shape' is not certain any more"
                if answer in ("yes", "no"):
                    assert answer == ("yes" if (asked in shown) != denies(question) else "no"), question
                    checked += 1
                else:
                    assert sum(asked in shape for shape in version.shapes) == 1, "the only one of its kind"
    assert counts == {1, 2, 3}
    assert checked > 200
    assert any(
        (a.regions[0] != b.regions[0]).any()
        for a, b in zip(made[0], other[0], strict=True)
        if len(a.shapes) == len(b.shapes)
    )


def test_importing_the_package_is_light():
    code = """
import sys
from lxmert.data.synthetic.easy_vqa import load
from lxmert.vision.images import open_image
from lxmert.vision.shapes.regions import image_regions
for name in ("torch", "keras", "tensorflow", "PIL", "scipy", "easy_vqa"):
    assert name not in sys.modules, name
sys.modules["PIL"] = sys.modules["PIL.Image"] = sys.modules["easy_vqa"] = None
for call in (lambda: load("train"), lambda: open_image("a.png")):
    try:
        call()
    except (ImportError, FileNotFoundError) as error:
        print(error)
"""
    result = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert 'needs pillow, scipy and easy-vqa. Install them with: pip install "lxmert[data]".' in result.stdout
