"""VCR: its lines, the words of its tags, batches for choosing, scores and result files."""

import json

import numpy as np
import pytest

from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.data.collate.choices import MENTIONS, ChoiceData
from lxmert.data.datasets import read_vcr
from lxmert.data.datasets.vcr import named_objects, vcr_text
from lxmert.data.features import RegionWriter, open_regions
from lxmert.data.metrics import join_vcr_results, read_vcr_results, score_result_file, vcr_results, write_vcr_results

# Texts through the authors' code: objects, question, answer, the words of both, and for each object the positions of
# its words, which count words and not the pieces in front of them.
ALIGNED = [
    (
        ["person", "car", "person"],
        ["Does", [2], "feel", "comfortable", "?"],
        ["No", ",", [0, 2], "are", "not", "."],
        "Does Casey feel comfortable ?",
        "No , Casey Casey are not .",
        {0: [9], 2: [2, 10]},
    ),
    (
        ["person", "person", "person", "bottle"],
        ["Why", "is", [1], "uncomfortably", "near", [0, 2], "?"],
        [[1], "misplaced", [3], "."],
        "Why is Casey uncomfortably near Riley Jessie ?",
        "Casey misplaced bottle .",
        {0: [6], 1: [3, 12], 2: [7], 3: [14]},
    ),
    (
        ["person", "cup", "cup", "cup", "diningtable", "person"],
        [[0], "unbuttons", [0]],
        ["everyone", "watches", [4]],
        "Casey unbuttons Casey",
        "everyone watches diningtable",
        {0: [1, 3], 4: [10]},
    ),
]
PIECES = (
    "un ##comfortab ##ly mis ##placed ##but ##ton ##s dining ##table casey riley jessie does feel comfortable no are "
    "not why is near everyone watches bottle ? , . yes"
)


@pytest.fixture
def tokenizer(tmp_path):
    (tmp_path / "vocab.txt").write_text(f"[PAD] [UNK] [CLS] [SEP] [MASK] {PIECES}".replace(" ", "\n"))
    return LxmertTokenizer(tmp_path / "vocab.txt")


def line(number, objects=("person", "car"), question=("Why", [0], "?"), answers=None, reasons=None, **more):
    return {
        "annot_id": f"val-{number}",
        "img_fn": f"movie_{number}/scene@{number}.jpg",
        "objects": list(objects),
        "question": list(question),
        "answer_choices": answers or [["yes"], ["no"], [[1]], ["not", "."]],
        "rationale_choices": reasons or [["is", [1]], ["why"], ["no"], ["are"]],
        "answer_label": 2,
        "rationale_label": 0,
        **more,
    }


def shown(tokenizer, ids):
    """The word pieces of a text without its padding."""
    return " ".join(tokenizer.convert_ids_to_tokens(ids[ids != tokenizer.pad_token_id].tolist()))


def written(path, *lines):
    path.write_text("".join(json.dumps(value) + "\n" for value in lines))
    return str(path)


def store_of(folder, images, size=3):
    """A store of images with some regions each; feature 0 is the number of the region."""
    with RegionWriter(folder) as writer:
        for name, count in images.items():
            features = np.arange(count, dtype=np.float32)[:, None].repeat(size, 1)
            writer.add(name, features, np.tile([0.0, 0, 10, 10], (count, 1)), size=(20, 20))
    return open_regions(folder)


@pytest.mark.parametrize(("objects", "question", "answer", "first", "second", "positions"), ALIGNED)
def test_tags_become_words_and_words_are_aligned(
    objects, question, answer, first, second, positions, tokenizer, tmp_path
):
    context = vcr_text(question, objects)
    assert context.words == first.split()
    assert vcr_text(answer, objects, context.names).words == second.split()
    record = line(0, objects, question, [answer] * 4, [["no"]] * 4)
    questions = read_vcr(written(tmp_path / "val.jsonl", record))
    data = ChoiceData(questions, store_of(tmp_path / "store", {"movie_0/scene@0": len(objects) + 1}), tokenizer, 32)
    inputs, counts = data.batch(np.array([0]), np.random.default_rng(0))
    assert counts == {}
    assert inputs["image_text_alignment"].shape == (1, 4, len(objects) + 1, MENTIONS)
    for region, row in enumerate(inputs["image_text_alignment"][0, 3].tolist()):
        assert [position for position in row if position != -1] == positions.get(region - 1, [])
    # Region 0 is the image; the others are seen where they are named. In the last text "everyone" names all persons.
    named = {
        number for number, name in enumerate(objects) if number in positions or (name == "person" and "cup" in objects)
    }
    assert np.flatnonzero(inputs["visual_attention_mask"][0, 0]).tolist() == [0, *(n + 1 for n in sorted(named))]


def test_batches(tokenizer, tmp_path):
    questions = read_vcr(
        written(tmp_path / "val.jsonl", line(0), line(1, ["car"] * 3, ["why", "?"], rationale_label=3))
    )
    store = store_of(tmp_path / "store", {"scene@0": 2, "scene@1": 3})
    data = ChoiceData(questions, store, tokenizer, 12)
    inputs, _ = data.batch(np.array([1, 0]), np.random.default_rng(0))
    texts = [[shown(tokenizer, ids) for ids in rows] for rows in inputs["input_ids"]]
    assert texts[1] == [f"[CLS] why casey ? [SEP] {end} [SEP]" for end in ("yes", "no", "[UNK]", "not .")]
    assert inputs["token_type_ids"][1, 3].tolist() == [0] * 5 + [1] * 3 + [0] * 4
    assert inputs["attention_mask"][1, 3].tolist() == [1] * 8 + [0] * 4
    assert inputs["visual_embeds"].shape == (2, 4, 3, 3)
    assert inputs["visual_attention_mask"][:, 2].tolist() == [[0, 1, 0], [1, 1, 0]]
    assert not inputs["visual_token_type_ids"].any()
    assert inputs["labels"].tolist() == [2, 2]
    reasons = ChoiceData(questions, store, tokenizer, 12, choices="rationales")
    inputs, _ = reasons.batch(np.array([1, 0]), np.random.default_rng(0))
    assert inputs["labels"].tolist() == [3, 0]
    assert shown(tokenizer, inputs["input_ids"][1, 1]).startswith("[CLS] why casey ? [UNK] [SEP] why [SEP]")
    every = reasons.with_every_answer()
    assert len(every) == 8
    inputs, _ = every.batch(np.array([5]), np.random.default_rng(0))  # question 1 with answer 1
    assert "labels" not in inputs
    assert shown(tokenizer, inputs["input_ids"][0, 3]).startswith("[CLS] why ? no [SEP] are [SEP]")


def test_a_choice_is_cut_from_its_front_and_other_regions_are_not_aligned(tokenizer, tmp_path, caplog):
    questions = read_vcr(written(tmp_path / "val.jsonl", line(0, answers=[["yes"] * 9 + ["no"]] * 4)))
    with caplog.at_level("INFO"):
        data = ChoiceData(questions, store_of(tmp_path / "store", {"scene@0": 7}), tokenizer, 9)
    assert "no word is aligned" in caplog.text
    inputs, _ = data.batch(np.array([0]), np.random.default_rng(0))
    assert shown(tokenizer, inputs["input_ids"][0, 0]) == "[CLS] why casey ? [SEP] yes yes no [SEP]"
    assert "image_text_alignment" not in inputs
    assert inputs["visual_attention_mask"].all()


def test_who_is_named(tmp_path):
    rows = [
        line(0, ["person", "car", "person"], ["Everyone", "?"], [["a"]] * 4, [["b"]] * 4),
        line(1, ["car", "person"], ["who"], [["a"]] * 4, [["b"]] * 4),
        line(2, ["car", "cup"], ["who"], [["a"]] * 4, [["b"]] * 4),
        line(3, ["car", "cup", "person"], ["who"], [["a"], ["b", [1]], ["c"], ["d"]], [["b"]] * 4),
    ]
    questions = read_vcr(written(tmp_path / "val.jsonl", *rows))
    assert [named_objects(questions, row) for row in range(4)] == [{0, 2}, {1}, {0, 1}, {1}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"objects": "person"}, "objects must be a list of the classes"),
        ({"question": "why?"}, "question must be a list of words and tags"),
        ({"question": ["why", [2]]}, r"question: a tag must be a list of numbers of objects, below 2; got \[2\]"),
        ({"answer_choices": [["a"]]}, "answer_choices must be a list of 4 texts"),
        ({"rationale_choices": [["a"], ["b"], ["c"], [True]]}, r"rationale_choices\[3\]: a tag must be"),
        ({"answer_label": 4}, "answer_label must be 0 to 3; got 4"),
        ({"rationale_label": None}, "some questions have rationale_label and some have none"),
        ({"annot_id": "val-0"}, "annot_id 'val-0' is there twice"),
    ],
)
def test_wrong_lines_are_named(change, message, tmp_path):
    path = written(tmp_path / "val.jsonl", line(0), {**line(1), **change})
    with pytest.raises(ValueError, match=message) as caught:
        read_vcr(path)
    assert "val.jsonl" in str(caught.value)


def test_scores_of_two_models_together(tmp_path):
    """The first is right about both, the second about the answer, the third about the reason for the right answer."""
    path = written(tmp_path / "val.jsonl", *(line(number) for number in range(3)))
    answers = np.array([[0, 0, 1, 0], [0.1, 0.2, 0.4, 0.3], [1, 0, 0, 0]])
    reasons = np.zeros((3, 4, 4))
    reasons[:, :, 1] = 0.5
    reasons[[0, 2], 2, 0] = 0.75  # given the right answer
    ids = [f"val-{number}" for number in range(3)]
    write_vcr_results(tmp_path / "a.csv", vcr_results(ids, answers))
    write_vcr_results(tmp_path / "r.csv", vcr_results(ids, reasons.reshape(12, 4)))
    join_vcr_results([tmp_path / "r.csv", tmp_path / "a.csv"], tmp_path / "both.csv")
    header, first, *_ = (tmp_path / "both.csv").read_text().splitlines()
    assert header.split(",")[:6] == ["annot_id", *(f"answer_{n}" for n in range(4)), "rationale_conditioned_on_a0_0"]
    assert header.split(",")[-1] == "rationale_conditioned_on_a3_3"
    assert first.split(",")[:5] == ["val-0", "0", "0", "1", "0"]
    assert len(first.split(",")) == 21
    for files in ([tmp_path / "both.csv"], [tmp_path / "a.csv", tmp_path / "r.csv"]):
        found = score_result_file("vcr", files, [path])
        assert (found.answers, found.rationales, found.both) == pytest.approx((200 / 3, 200 / 3, 100 / 3))
    found = score_result_file("vcr", tmp_path / "a.csv", [path])
    assert (found.rationales, found.both, found.questions) == (None, None, 3)
    assert [name for name, *_ in found.rows()] == ["Q→A"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("annot_id,answer_0\na,1\n", "must have the columns annot_id and answer_0 to answer_3"),
        ("annot_id,answer_0,answer_1,answer_2,answer_3\na,1,2,3,x\n", "line 2: a number is expected"),
        ("annot_id,answer_0,answer_1,answer_2,answer_3\na,1,2,3\n", "line 2: a number is expected"),
        ("annot_id,answer_0,answer_1,answer_2,answer_3\na,1,2,3,nan\n", "line 2: a number is expected"),
        ("annot_id,answer_0,answer_1,answer_2,answer_3\na,1,2,3,4\na,1,2,3,4\n", "line 3: 'a' is there twice"),
        ("", "it has none"),
    ],
)
def test_wrong_result_files(text, message, tmp_path):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_vcr_results([tmp_path / "a.csv"])


def test_results_that_do_not_belong_together(tmp_path):
    write_vcr_results(tmp_path / "a.csv", vcr_results(["x"], np.ones((1, 4))))
    write_vcr_results(tmp_path / "b.csv", vcr_results(["y"], np.ones((4, 4))))
    with pytest.raises(ValueError, match="1 question is not answered: x"):
        read_vcr_results([tmp_path / "a.csv", tmp_path / "b.csv"])
    with pytest.raises(ValueError, match=r"has columns that .* has too: answer_0"):
        read_vcr_results([tmp_path / "a.csv", tmp_path / "a.csv"])
