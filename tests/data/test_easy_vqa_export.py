"""easy-VQA in every format: the package's own questions, and what is made of them."""

import re

import numpy as np
import pytest

from lxmert.data.datasets import read_gqa, read_nlvr2, read_pretraining, read_vqa
from lxmert.data.features import open_regions
from lxmert.data.synthetic.dataset_export import SPLITS
from lxmert.data.synthetic.easy_vqa import COLOURS, SHAPES, answer_list, load
from lxmert.data.synthetic.easy_vqa_export import write_easy_vqa
from lxmert.vision.shapes.regions import image_regions
from lxmert.weights.answer_vocabulary import read_answer_vocabulary

FIRST = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("easy") / "data"
    write_easy_vqa(folder, max_images=FIRST, progress=False)
    return folder


@pytest.fixture(scope="module")
def truth(folder):
    """Colour and shape of each image as the wanted questions tell, by the image's name."""
    traits: dict[str, dict[str, str]] = {}
    for split in SPLITS:
        questions = read_vqa(folder / "vqa" / f"{split}.json")
        for text, image, answers in zip(questions.texts, questions.images, questions.answers, strict=True):
            (answer,) = answers
            mine = traits.setdefault(image, {})
            words = re.findall(r"\w+", text)
            wanted = answer not in ("yes", "no") or (answer == "yes") == (not {"no", "not"} & set(words))
            for word in [answer, *(words if wanted else ())]:
                if word in COLOURS:
                    mine["colour"] = word
                elif word in SHAPES:
                    mine["shape"] = word
    return traits


def test_the_questions_are_the_packages_own(folder):
    given = {split: load(split).first(FIRST) for split in ("train", "test")}
    mine = {split: read_vqa(folder / "vqa" / f"{split}.json") for split in SPLITS}
    asked = [
        (text, next(iter(answers))) for q in mine.values() for text, answers in zip(q.texts, q.answers, strict=True)
    ]
    wanted = [pair for data in given.values() for pair in zip(data.questions, data.answers, strict=True)]
    assert sorted(asked) == sorted(wanted)
    learned = [*mine["train"].images, *mine["valid"].images]
    assert len(set(learned)) == FIRST
    assert set(mine["train"].images) & set(mine["valid"].images) == set()
    assert len(set(mine["valid"].images)) == FIRST // 10
    assert set(mine["train"].question_types) == {"presence", "color", "shape"}
    assert read_answer_vocabulary(folder / "vqa" / "trainval_label2ans.json") == answer_list()
    for split in SPLITS:
        official = folder / "vqa" / "official"
        same = read_vqa(
            [
                official / f"v2_OpenEnded_easy-vqa_{split}_questions.json",
                official / f"v2_easy-vqa_{split}_annotations.json",
            ]
        )
        assert list(same.images) == list(mine[split].images)
        assert list(same.answers) == list(mine[split].answers)
        assert list(read_gqa(folder / "gqa" / f"{split}.json").texts) == list(mine[split].texts)


def test_regions_and_labels(folder, truth):
    store = open_regions(folder / "regions")
    data = load("test")
    start = len(load("train").image_paths)
    names = [f"easy-vqa_test_{start + place:012d}" for place in range(FIRST)]
    batch = store.batch(store.places(names), 2, labels=True)
    known = 0
    for place, name in enumerate(names):
        features, boxes = image_regions(data.image_paths[place], 1)
        np.testing.assert_array_equal(batch["visual_feats"][place], features)
        np.testing.assert_array_equal(batch["visual_pos"][place], boxes)
        for kind, trait, words in (("object", "shape", SHAPES), ("attribute", "colour", tuple(COLOURS))):
            whole, one = batch[f"{kind}_confidence"][place]
            word = truth[name].get(trait)
            assert (whole, one) == (0.0, float(word is not None))
            if word is not None:
                assert words[batch[f"{kind}_ids"][place, 1]] == word
                known += 1
    assert known > 1.7 * FIRST


def test_captions_and_statements_are_true(folder, truth):
    for split in SPLITS:
        captions = read_pretraining(folder / "pretrain" / f"captions_{split}.json")
        for text, image in zip(captions.texts, captions.images, strict=True):
            told = set(truth[image].values())
            if found := re.fullmatch(r"there is no (\w+)( shape)? in the image", text):
                assert found[1] not in told
            else:
                assert {*text.split()} - {"a", "shape"} == told, text
        statements = read_nlvr2(folder / "nlvr2" / f"{split}.json")
        assert np.mean(statements.labels) == 0.5
        for text, pair, label in zip(statements.texts, statements.images, statements.labels, strict=True):
            named = {word.removesuffix("s") for word in text.split()} & {*COLOURS, *SHAPES}
            left, right = (int(named <= set(truth[name].values())) for name in pair)
            forms = {
                "the left image shows a ": left,
                "the right image shows a ": right,
                "both": left * right,
                "exactly one": left ^ right,
                "the left image shows more": left > right,
                "the right image shows more": right > left,
                "there are two": left + right == 2,
            }
            ((_, wanted),) = [(form, value) for form, value in forms.items() if text.startswith(form)]
            assert label == int(wanted), (text, pair)


def test_equal_seeds_give_equal_files(folder, tmp_path):
    write_easy_vqa(tmp_path / "again", max_images=FIRST, progress=False)
    write_easy_vqa(tmp_path / "other", seed=1, max_images=FIRST, progress=False)
    paths = [path.relative_to(folder) for path in sorted(folder.rglob("*")) if path.is_file()]
    assert all((folder / path).read_bytes() == (tmp_path / "again" / path).read_bytes() for path in paths)
    statements = "nlvr2/train.json"
    assert (tmp_path / "other" / statements).read_bytes() != (folder / statements).read_bytes()
    assert (tmp_path / "other" / "vqa/train.json").read_bytes() == (folder / "vqa/train.json").read_bytes()


def test_variants_are_further_training_images(folder, tmp_path):
    target = tmp_path / "varied"
    summary = write_easy_vqa(target, max_images=FIRST, variants=2, progress=False)
    plain, varied = (read_vqa(data / "vqa/train.json") for data in (folder, target))
    assert list(varied.texts[: len(plain)]) == list(plain.texts)
    assert list(varied.images[: len(plain)]) == list(plain.images)
    added = set(varied.images) - set(plain.images)
    assert summary["splits"]["train"]["images"] == len(set(plain.images)) + len(added)
    assert 1.9 * len(set(plain.images)) < len(added) <= 2 * len(set(plain.images))
    store = open_regions(target / "regions")
    counts = store.counts(store.places(sorted(added)))
    assert {2, 3, 4} == set(counts.tolist())
    for split in ("valid", "test"):
        path = f"vqa/{split}.json"
        assert (target / path).read_bytes() == (folder / path).read_bytes()
    captions = "pretrain/captions_train.json"
    assert set(read_pretraining(target / captions).images) == set(read_pretraining(folder / captions).images)
    assert (target / "nlvr2/train.json").read_bytes() == (folder / "nlvr2/train.json").read_bytes()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"seed": -1}, "seed must be 0 or more; got -1"),
        ({"max_images": 99}, "max_images must be 100 or more.*; got 99"),
        ({"variants": -1}, "variants must be 0 or more; got -1"),
    ],
)
def test_wrong_arguments(tmp_path, given, message):
    with pytest.raises(ValueError, match=message):
        write_easy_vqa(tmp_path / "data", progress=False, **given)
    assert list(tmp_path.iterdir()) == []
