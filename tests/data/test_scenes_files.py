"""Drawn scenes on disk: every format holds the same, equal seeds give equal bytes, and what fails leaves nothing."""

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.data.datasets import Questions, read_gqa, read_nlvr2, read_pretraining, read_vqa
from lxmert.data.features import open_regions
from lxmert.data.synthetic.baselines import image_only, question_only
from lxmert.data.synthetic.dataset_export import SPLITS
from lxmert.data.synthetic.scenes import generate
from lxmert.data.synthetic.scenes.generate import image_split, make_scenes
from lxmert.data.synthetic.scenes.questions import ANSWERS, KINDS
from lxmert.data.synthetic.scenes.scene import SHAPES
from lxmert.vision.shapes.regions import image_regions
from lxmert.weights.answer_vocabulary import read_answer_vocabulary

IMAGES = 160


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes") / "data"
    make_scenes(folder, IMAGES, seed=5, keep_images=True, progress=False)
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_equal_seeds_give_equal_bytes_whatever_the_number_of_processes(folder, tmp_path):
    make_scenes(tmp_path / "two", IMAGES, seed=5, keep_images=True, processes=2, progress=False)
    assert files(tmp_path / "two") == files(folder)
    make_scenes(tmp_path / "other", 80, seed=6, progress=False)
    assert files(tmp_path / "other")["vqa/train.json"] != files(folder)["vqa/train.json"]
    assert files(tmp_path / "other")["regions/features.npy"] != files(folder)["regions/features.npy"]


def test_splits_share_no_image(folder):
    counts = Counter(image_split(number, IMAGES) for number in range(IMAGES))
    assert counts == {"train": 128, "valid": 16, "test": 16}
    images = {split: set(read_vqa(folder / "vqa" / f"{split}.json").images) for split in SPLITS}
    assert {split: len(names) for split, names in images.items()} == counts
    assert len(set.union(*images.values())) == IMAGES
    assert images["test"] == set(read_pretraining(folder / "pretrain" / "captions_test.json").images)


@pytest.mark.parametrize("split", SPLITS)
def test_official_files_hold_the_same_questions(folder, split):
    own = read_vqa(folder / "vqa" / f"{split}.json")
    official = folder / "vqa" / "official"
    same = read_vqa(
        [official / f"v2_OpenEnded_scenes_{split}_questions.json", official / f"v2_scenes_{split}_annotations.json"]
    )
    for column in ("ids", "texts", "images", "answers", "question_types", "answer_types"):
        assert list(getattr(same, column)) == list(getattr(own, column)), column
    assert set(own.question_types) == set(KINDS)
    assert set(own.answer_types) == {"yes/no", "number", "other"}

    gqa = read_gqa(folder / "gqa" / f"{split}.json")
    name = {"train": "train", "valid": "val", "test": "testdev"}[split]
    same = read_gqa(folder / "gqa" / "official" / f"{name}_balanced_questions.json")
    for column in ("ids", "texts", "images", "answers"):
        assert list(getattr(same, column)) == list(getattr(gqa, column)), column
    assert list(gqa.texts) == list(own.texts)
    assert [kind == "verify" for kind in same.question_types] == [kind == "yes/no" for kind in own.answer_types]


def test_official_pairs_are_the_same_images(folder):
    own, same = read_nlvr2(folder / "nlvr2" / "train.json"), read_nlvr2(folder / "nlvr2" / "official" / "train.json")
    for column in ("ids", "texts", "labels"):
        assert list(getattr(same, column)) == list(getattr(own, column)), column
    assert np.mean(own.labels) == 0.5
    store, paired = open_regions(folder / "regions"), open_regions(folder / "nlvr2" / "official" / "regions")
    for side in range(2):
        mine = store.batch(store.places([pair[side] for pair in own.images]), 7)
        theirs = paired.batch(paired.places([pair[side] for pair in same.images]), 7)
        np.testing.assert_equal(theirs, mine)


def test_the_store_holds_the_regions_of_the_images(folder):
    from PIL import Image

    store = open_regions(folder / "regions")
    assert (len(store), store.feature_size) == (IMAGES, 256)
    for path in sorted((folder / "images").iterdir())[::20]:
        features, boxes = image_regions(np.asarray(Image.open(path)))
        batch = store.batch(store.places([path.stem]), labels=True)
        np.testing.assert_array_equal(batch["visual_feats"][0], features)
        np.testing.assert_array_equal(batch["visual_pos"][0], boxes)
        for kind in ("object", "attribute"):
            confidence = batch[f"{kind}_confidence"][0]
            assert confidence.tolist() == [0.0] + [1.0] * (len(boxes) - 1)
    assert len(list((folder / "images").iterdir())) == IMAGES


def test_questions_and_labels_agree(folder):
    """Who reads the labels of the regions can count."""
    store, questions = open_regions(folder / "regions"), read_vqa(folder / "vqa" / "train.json")
    words = (folder / "objects.txt").read_text().split()
    assert words == list(SHAPES)
    seen = 0
    for text, image, answers in zip(questions.texts, questions.images, questions.answers, strict=True):
        for place, word in enumerate(words):
            if text == f"how many {word}s are there?":
                labels = store.batch(store.places([image]), labels=True)
                count = ((labels["object_ids"] == place) & (labels["object_confidence"] > 0)).sum()
                assert answers == {str(count): 1.0}
                seen += 1
    assert seen > 10


def test_tables_vocabulary_and_sentences(folder):
    tables = ("vqa/trainval_ans2label.json", "vqa/trainval_label2ans.json", "gqa/trainval_ans2label.json")
    for table in (*tables, "gqa/trainval_label2ans.json", "pretrain/all_ans.json"):
        assert read_answer_vocabulary(folder / table) == list(ANSWERS)
    tokenizer = LxmertTokenizer(folder / "vocab.txt")
    captions = read_pretraining(folder / "pretrain" / "captions_train.json")
    asked = read_pretraining(folder / "pretrain" / "questions_train.json")
    assert set(captions.sources) == {"scenes_captions"}
    assert set(captions.answers) == {None}
    questions = read_vqa(folder / "vqa" / "train.json")
    assert sorted(zip(asked.texts, asked.images, strict=True)) == sorted(
        zip(questions.texts, questions.images, strict=True)
    )
    statements = read_nlvr2(folder / "nlvr2" / "train.json")
    ids = tokenizer([*captions.texts, *questions.texts, *statements.texts], return_tensors="np", padding=True)
    assert ids["input_ids"].shape[1] <= 20
    assert tokenizer.unk_token_id not in ids["input_ids"]


def test_the_summary_tells_counts_and_baselines(folder):
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["splits"]["test"]["images"] == 16
    assert summary["splits"]["train"]["questions"] == len(read_vqa(folder / "vqa" / "train.json"))
    train, test = (read_vqa(folder / "vqa" / f"{split}.json") for split in ("train", "test"))
    assert summary["baselines"]["question only"] == question_only(train, test)
    assert summary["baselines"]["image only"].keys() == {*KINDS, "all"}


def few(*rows):
    """Questions of (text, image, type, answer)."""
    texts, images, kinds, answers = zip(*rows, strict=True)
    return Questions(
        ids=list(range(len(rows))),
        texts=list(texts),
        images=list(images),
        answers=[{answer: 1.0} for answer in answers],
        question_types=list(kinds),
    )


def test_baselines_by_hand():
    train = few(
        ("what color?", "a", "color", "red"),
        ("what color?", "b", "color", "red"),
        ("what color?", "c", "color", "blue"),
        ("which color?", "c", "color", "blue"),
        ("which color?", "b", "color", "blue"),
        ("is it?", "a", "yes or no", "yes"),
    )
    test = few(
        ("what color?", "c", "color", "red"),  # red, as most often
        ("which color?", "d", "color", "red"),  # blue: wrong
        ("never asked?", "d", "color", "blue"),  # the commonest of its type: blue
        ("is it?", "d", "yes or no", "no"),
    )
    assert question_only(train, test) == {"color": 2 / 3, "yes or no": 0.0, "all": 0.5}
    shown = {"a": {"": 1, "red": 1}, "b": {"": 1, "red": 1}, "c": {"": 1, "blue": 1}, "d": {"": 1, "blue": 1}}
    # Where blue is shown, and no red, the answer was always blue.
    assert image_only(train, test, shown) == {"color": 1 / 3, "yes or no": 0.0, "all": 0.25}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"images": 79}, "images must be 80 or more; got 79"),
        ({"seed": -1}, "seed must be 0 or more; got -1"),
        ({"processes": 0}, "processes must be 1 or more; got 0"),
        ({"side": 63}, "size must be from 64 to 512 pixels; got 63"),
        ({"side": 513}, "size must be from 64 to 512 pixels; got 513"),
        ({"dtype": "float8"}, "dtype must be float16 or float32; got 'float8'"),
    ],
)
def test_wrong_arguments_leave_nothing(tmp_path, given, message):
    with pytest.raises(ValueError, match=message):
        make_scenes(tmp_path / "data", progress=False, **{"images": 80, **given})
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_replaced(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="data is not empty; pass another folder"):
        make_scenes(tmp_path / "data", 80, progress=False)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(NotADirectoryError, match="file is a file; pass a folder"):
        make_scenes(tmp_path / "file", 80, progress=False)
    with pytest.raises(ValueError, match="must be a path; got an empty string"):
        make_scenes("", 80, progress=False)
    assert files(tmp_path) == {"data/mine.txt": b"mine", "file": b"mine"}


@pytest.mark.parametrize("fails", ["draw", "set_statements"])
def test_a_failure_leaves_nothing(tmp_path, monkeypatch, fails):
    done = getattr(generate, fails)
    calls = []

    def full(*arguments):
        calls.append(arguments)
        if len(calls) > 3:
            raise OSError(28, "No space left on device")
        return done(*arguments)

    monkeypatch.setattr(generate, fails, full)
    with pytest.raises(OSError, match="No space left"):
        make_scenes(tmp_path / "data", 80, progress=False)
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed(tmp_path):
    left = tmp_path / ".data.0123456789ab.tmp"
    left.mkdir()
    (left / "half").write_text("half")
    os.utime(left, (0, 0))  # long ago
    make_scenes(tmp_path / "data", 80, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / "data").mkdir()
    make_scenes(tmp_path / "data", 80, dtype="float16", progress=False)
    assert (tmp_path / "data" / "summary.json").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert json.loads((tmp_path / "data" / "regions" / "regions.json").read_text())["dtype"] == "float16"
