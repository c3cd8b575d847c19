"""The data set as arrays, the vocabulary of its questions, and the batches that training takes."""

import re
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from lxmert.data.synthetic.augmentation import AugmentedRegions
from lxmert.data.synthetic.batches import IGNORED_LABEL, batches
from lxmert.data.synthetic.easy_vqa import COLOURS, SHAPES, EasyVqa, answer_labels, answer_list, load
from lxmert.data.synthetic.recipe import LXMERT_RECIPE, VISUAL_BERT_RECIPE
from lxmert.data.synthetic.variants import vary
from lxmert.data.synthetic.vocabulary import build_vocabulary
from lxmert.vision.images import open_image
from lxmert.vision.regions import FEATURE_SIZE, RegionBatch, image_regions


@pytest.fixture(scope="module")
def test_split():
    return load("test")


@pytest.fixture(scope="module")
def few():
    """The questions about the first 60 training images."""
    data = load("train")
    rows = np.flatnonzero(data.image_index < 60)
    return EasyVqa(
        split="train",
        questions=[data.questions[row] for row in rows],
        answers=[data.answers[row] for row in rows],
        labels=data.labels[rows],
        image_index=data.image_index[rows],
        image_paths=data.image_paths[:60],
    )


def test_counts(test_split):
    train = load("train")
    assert (len(train), len(train.image_paths)) == (38_575, 4_000)
    assert (len(test_split), len(test_split.image_paths)) == (9_673, 1_000)
    assert len(answer_list()) == len(set(answer_list())) == 13
    assert set(answer_list()) == {*COLOURS, *SHAPES, "yes", "no"}
    for data in (train, test_split):
        assert [answer_list()[label] for label in data.labels[:50]] == data.answers[:50]
        assert all(path.endswith(f"{place}.png") for place, path in enumerate(data.image_paths))


def test_unknown_split_and_answer():
    with pytest.raises(ValueError, match="split must be one of 'train', 'test'; got 'val'"):
        load("val")
    with pytest.raises(ValueError, match="got 'purple'"):
        answer_labels(["red", "purple"])


def test_every_test_image_has_one_shape_of_its_colour(test_split, capfd):
    regions = test_split.regions(progress=True)
    assert "regions of test images" in capfd.readouterr().err
    assert regions["visual_feats"].shape == (1000, 2, FEATURE_SIZE)
    assert LXMERT_RECIPE.config["visual_feat_dim"] == FEATURE_SIZE
    assert VISUAL_BERT_RECIPE.config["visual_embedding_dim"] == FEATURE_SIZE
    assert regions["visual_attention_mask"].all()
    cells = regions["visual_feats"][:, 1].reshape(1000, -1, 4)
    colours = (cells[..., :3].sum(axis=1) / cells[..., 3].sum(axis=1, keepdims=True) + 1) * 127.5
    names = list(COLOURS)
    nearest = np.abs(colours[:, None] - np.array(list(COLOURS.values()))).sum(axis=2).argmin(axis=1)
    for question, answer, image in zip(test_split.questions, test_split.answers, test_split.image_index, strict=True):
        if "color is the shape" in question:
            assert names[nearest[image]] == answer


def test_progress_can_be_silenced(few, capfd):
    few.regions(progress=False)
    assert capfd.readouterr().err == ""


def test_vocabulary_knows_every_word(test_split):
    vocabulary = build_vocabulary(load("train").questions)
    assert vocabulary[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert len(vocabulary) == len(set(vocabulary)) < 150
    assert {word for question in test_split.questions for word in re.findall(r"\w+|\?", question)} <= set(vocabulary)
    assert {"##z", "q", "7"} <= set(vocabulary)
    longest = max(len(re.findall(r"\w+|\?", question)) for question in test_split.questions)
    assert longest + 2 == LXMERT_RECIPE.text_length  # [CLS] and [SEP]
    assert longest + 3 == VISUAL_BERT_RECIPE.text_length  # and [MASK]
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


def _text(count):
    return {"input_ids": np.arange(count * 12).reshape(count, 12), "attention_mask": np.ones((count, 12), np.int64)}


def test_batches_in_order_fill_up_the_last_one():
    regions = RegionBatch(
        visual_feats=np.arange(6, dtype=np.float32).reshape(3, 2, 1),
        visual_pos=np.zeros((3, 2, 4), np.float32),
        visual_attention_mask=np.ones((3, 2), np.float32),
    )
    labels, index = np.array([5, 6, 7, 8, 9]), np.array([0, 2, 2, 1, 0])
    got = list(batches(_text(5), regions, index, labels, 3))
    assert [batch["labels"].tolist() for batch in got] == [[5, 6, 7], [8, 9, IGNORED_LABEL]]
    assert all(batch["input_ids"].shape == (3, 12) for batch in got)
    assert got[0]["visual_feats"][:, 0, 0].tolist() == [0, 4, 4]
    shuffled = [list(batches(_text(5), regions, index, labels, 2, seed=3, epoch=epoch)) for epoch in (0, 0, 1)]
    seen = [[batch["labels"].tolist() for batch in epoch] for epoch in shuffled]
    assert seen[0] == seen[1] != seen[2]
    assert all(len(epoch) == 2 and len({*epoch[0], *epoch[1]}) == 4 for epoch in seen)
    for batch in shuffled[0]:
        np.testing.assert_array_equal(batch["input_ids"][:, 0] // 12, batch["labels"] - 5)
    for bad, message in [
        ({"labels": labels[:4]}, "labels of 4, input_ids of 5"),
        ({"batch_size": 0}, "batch_size must be from 1"),
        ({"batch_size": 6, "seed": 0}, "number of questions, 5; got 6"),
    ]:
        with pytest.raises(ValueError, match=message):
            batches(
                **{"text": _text(5), "images": regions, "image_index": index, "labels": labels}
                | {"batch_size": 2}
                | bad
            )


def test_scenes_change_answers_only_where_the_company_does(few):
    augmented = AugmentedRegions(few, LXMERT_RECIPE, progress=False)
    rows = np.tile(np.arange(len(few)), 3)
    regions, labels = augmented.draw(rows, np.random.default_rng(0))
    again, _ = augmented.draw(rows, np.random.default_rng(0))
    np.testing.assert_array_equal(regions["visual_feats"], again["visual_feats"])
    count = regions["visual_attention_mask"].sum(axis=1)
    assert {2.0, 3.0, 4.0} == set(count.tolist())
    np.testing.assert_array_equal(labels[count == 2], few.labels[rows][count == 2])
    answers = answer_list()
    colours = np.array(list(COLOURS.values()))
    checked = 0
    for row, question in enumerate(few.questions):
        named = [colour for colour in COLOURS if re.search(rf"\b{colour}\b", question)]
        if few.answers[row] not in ("yes", "no") or not named or count[row] == 2:
            continue
        # What the regions show, by the nearest of the eight colours; changed shades are left to the wider test above.
        shown = set()
        for region in range(1, int(count[row])):
            distance = np.abs(colours - _colour(regions["visual_feats"][row, region])).sum(axis=1)
            if distance.min() > 12:
                break
            shown.add(list(COLOURS)[distance.argmin()])
        else:
            denies = re.search(r"\b(not|no)\b", question) is not None
            assert answers[labels[row]] == ("yes" if (named[0] in shown) != denies else "no"), question
            checked += 1
    assert checked > 20
    batch = next(batches(_text(len(few)), augmented, few.image_index, few.labels, 16, seed=0))
    assert batch["visual_feats"].shape == (16, 4, FEATURE_SIZE)
    with pytest.raises(ValueError, match="seed must be given with AugmentedRegions"):
        batches(_text(len(few)), augmented, few.image_index, few.labels, 16)


def test_learning_rate_rises_then_falls():
    rates = [LXMERT_RECIPE.learning_rate_at(step, 100) for step in range(100)]
    assert max(rates) == LXMERT_RECIPE.learning_rate == rates[9] == rates[10]
    assert all(a < b for a, b in pairwise(rates[:10]))
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert 0 < rates[-1] < LXMERT_RECIPE.learning_rate / 50


def test_importing_the_package_is_light():
    code = """
import sys
from lxmert.data.synthetic.easy_vqa import load
from lxmert.vision.images import open_image
from lxmert.vision.regions import image_regions
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
