"""Questions, statements and sentences: read in both layouts, and written so that the readers give the same again."""

import json
from pathlib import Path

import pytest

from lxmert.data.datasets import (
    Questions,
    Sentences,
    Statements,
    check_disjoint,
    read_gqa,
    read_nlvr2,
    read_pretraining,
    read_vqa,
    soft_scores,
    write_gqa,
    write_nlvr2,
    write_official_gqa,
    write_official_nlvr2,
    write_official_vqa,
    write_pretraining,
    write_vqa,
)
from lxmert.data.text_normalization import process_answer, tidy_answer

GOLDEN = Path(__file__).parents[1] / "golden" / "vqa-metric"
GOLDEN_QUESTIONS = GOLDEN / "v2_OpenEnded_mscoco_val2014_questions.json"
GOLDEN_ANNOTATIONS = GOLDEN / "v2_mscoco_val2014_annotations.json"


def put(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def same(given, wanted):
    """Equal but for the files they were read from."""
    for name in type(wanted).__dataclass_fields__:
        if name not in ("files", "layout"):
            assert getattr(given, name) == getattr(wanted, name), name


VQA = Questions(
    ids=[9, 3, 2**40],
    texts=["what is it?", "wie heißt es?", ""],
    images=["COCO_val2014_000000000042", "COCO_val2014_000000000007", "COCO_val2014_000000000042"],
    answers=[{"net": 1.0, "netting": 0.3}, {"2": 0.9, "3": 0.9, "4": 0.9, "5": 0.3}, {"yes": 1.0}],
    question_types=["what is", "none of the above", "what is"],
    answer_types=["other", "number", "yes/no"],
)


def test_vqa_of_the_original(tmp_path):
    records = [
        {
            "answer_type": "other",
            "img_id": "COCO_train2014_000000458752",
            "label": {"net": 1, "rare": 0},
            "question_id": 458752000,
            "question_type": "what is this",
            "sent": "What is this?",
        },
        {"img_id": "COCO_train2014_000000000009", "label": {}, "question_id": 5, "sent": "Why?"},
    ]
    questions = read_vqa(put(tmp_path / "train.json", records))
    assert len(questions) == 2
    assert questions.ids == [458752000, 5]
    assert questions.texts == ["What is this?", "Why?"]
    assert questions.images == ["COCO_train2014_000000458752", "COCO_train2014_000000000009"]
    assert questions.answers == [{"net": 1.0}, {}]  # a score of 0 is no answer
    assert questions.question_types == ["what is this", ""]
    assert questions.answer_types == ["other", ""]
    assert questions.files == (str(tmp_path / "train.json"),)


def test_vqa_files_are_joined_in_order(tmp_path):
    one = put(tmp_path / "train.json", [{"img_id": "b", "label": {"x": 0.3}, "question_id": 2, "sent": "first"}])
    two = put(tmp_path / "nominival.json", [{"img_id": "a", "label": {"x": 0.3}, "question_id": 1, "sent": "second"}])
    questions = read_vqa([one, two])
    assert questions.texts == ["first", "second"]
    assert questions.files == (str(one), str(two))
    assert questions.answers[0] is questions.answers[1]  # one object for equal labels


def test_vqa_test_set_has_no_answers(tmp_path):
    path = put(tmp_path / "test.json", [{"img_id": "a", "question_id": 1, "sent": "?"}])
    questions = read_vqa(path)
    assert questions.answers is None
    assert questions.question_types is None
    assert questions.answer_types is None


def test_official_vqa_names_images_as_the_original():
    questions = read_vqa([GOLDEN_ANNOTATIONS, GOLDEN_QUESTIONS])  # in any order
    raw = json.loads(GOLDEN_QUESTIONS.read_text())["questions"]
    assert questions.ids == [record["question_id"] for record in raw]
    assert questions.images == [f"COCO_val2014_{record['image_id']:012d}" for record in raw]
    by_id = {record["question_id"]: record for record in json.loads(GOLDEN_ANNOTATIONS.read_text())["annotations"]}
    assert questions.question_types == [by_id[number]["question_type"] for number in questions.ids]
    assert questions.answer_types == [by_id[number]["answer_type"] for number in questions.ids]
    assert read_vqa(GOLDEN_QUESTIONS).answers is None


def test_soft_scores_are_what_the_official_evaluation_gives():
    """A soft label holds the accuracy of every answer that one can give, on each of the hard cases."""
    questions = read_vqa([GOLDEN_QUESTIONS, GOLDEN_ANNOTATIONS])
    official = json.loads((GOLDEN / "official.json").read_text())["per_question"]
    given = {record["question_id"]: record["answer"] for record in json.loads((GOLDEN / "results.json").read_text())}
    annotations = json.loads(GOLDEN_ANNOTATIONS.read_text())["annotations"]
    different = {
        record["question_id"]: len({tidy_answer(answer["answer"]) for answer in record["answers"]}) > 1
        for record in annotations
    }
    assert len(questions) == len(official) == 400
    for number, label in zip(questions.ids, questions.answers, strict=True):
        answer = process_answer(given[number]) if different[number] else tidy_answer(given[number])
        assert round(100 * label.get(answer, 0), 2) == official[str(number)], number


def test_the_most_frequent_answer_comes_first(tmp_path):
    questions = read_vqa([GOLDEN_QUESTIONS, GOLDEN_ANNOTATIONS])
    annotations = json.loads(GOLDEN_ANNOTATIONS.read_text())["annotations"]
    frequent = {record["question_id"]: record["multiple_choice_answer"] for record in annotations}
    first = [next(iter(label)) for label in questions.answers]
    expected = [{prepare(frequent[number]) for prepare in (tidy_answer, process_answer)} for number in questions.ids]
    assert sum(answer in either for answer, either in zip(first, expected, strict=True)) == len(questions)
    # The order stays when they are written in the original's layout.
    write_vqa(tmp_path / "valid.json", questions)
    again = read_vqa(tmp_path / "valid.json")
    same(again, questions)
    assert [list(label) for label in again.answers] == [list(label) for label in questions.answers]


@pytest.mark.parametrize(
    ("answers", "first", "wanted"),
    [
        (["a dog"] * 10, None, {"a dog": 1.0}),  # all the same: as it is
        ([" a\tdog\n"] * 10, None, {"a dog": 1.0}),
        (["a dog"] * 9 + ["dog"], None, {"dog": 1.0}),
        (["red"] * 4 + ["two"] * 3 + ["Blue."] * 2 + ["x"], None, {"red": 1.0, "2": 0.9, "blue": 0.6, "x": 0.3}),
        (["red"] * 4 + ["two"] * 6, "two", {"2": 1.0, "red": 1.0}),
        (["red"] * 4 + ["two"] * 6, "blue", {"red": 1.0, "2": 1.0}),
        # Fewer than ten people: their share.
        (["x"] * 3, None, {"x": 1.0}),
        (["x"], None, {"x": 1.0}),
        (["blue", "Blue.", "green"], None, {"blue": 2 / 3, "green": 1 / 3}),
        (["x"] * 8 + ["y"], None, {"x": 8 / 9, "y": 1 / 9}),
    ],
)
def test_soft_scores(answers, first, wanted):
    scores = soft_scores(answers, first)
    assert scores == wanted
    assert list(scores) == list(wanted)


def test_the_formula_of_soft_scores():
    assert soft_scores(["x"] * 3, formula="official") == {"x": 2 / 3}
    assert soft_scores(["x"], formula="official") == {}
    assert soft_scores(["x"] * 5 + ["y"] * 5, formula="share") == {"x": 0.5, "y": 0.5}
    with pytest.raises(ValueError, match="must be one of auto, official, share; got 'best'"):
        read_vqa(GOLDEN_QUESTIONS, formula="best")


@pytest.mark.parametrize(("subtype", "folder"), [("test2015", "test2015"), ("test-dev2015", "test2015")])
def test_images_of_the_test_server(subtype, folder, tmp_path):
    content = {
        "questions": [{"image_id": 7, "question": "?", "question_id": 1}],
        "data_subtype": subtype,  # behind the questions, too
        "data_type": "mscoco",
    }
    assert read_vqa(put(tmp_path / "q.json", content)).images == [f"COCO_{folder}_000000000007"]


def test_vqa_is_written_and_read(tmp_path):
    write_vqa(tmp_path / "valid.json", VQA)
    same(read_vqa(tmp_path / "valid.json"), VQA)
    write_official_vqa(tmp_path / "q.json", tmp_path / "a.json", VQA, "mscoco", "val2014")
    same(read_vqa([tmp_path / "q.json", tmp_path / "a.json"]), VQA)
    content = json.loads((tmp_path / "a.json").read_text())
    assert (content["data_type"], content["data_subtype"]) == ("mscoco", "val2014")
    assert [len(record["answers"]) for record in content["annotations"]] == [10, 10, 10]
    assert content["annotations"][0]["answers"][9]["answer_id"] == 10


def test_official_vqa_of_other_images(tmp_path):
    names = ["scenes_test_000000000001", "scenes_test_000000000002"]
    write_official_vqa(tmp_path / "q.json", None, Questions([1, 2], ["?", "?"], names), "scenes", "test")
    assert read_vqa(tmp_path / "q.json").images == names
    with pytest.raises(ValueError, match=r"names such as scenes_test_000000000007; got 'one'"):
        write_official_vqa(tmp_path / "q.json", None, Questions([1], ["?"], ["one"]), "scenes", "test")


@pytest.mark.parametrize("scores", [{"x": 0.9}, {"x": 0.5}, {"x": 1.0, "a dog": 0.3}, {"x": 0.9, "y": 0.6}, {}])
def test_scores_that_ten_answers_cannot_have(scores, tmp_path):
    questions = Questions([8], ["?"], ["COCO_val2014_000000000001"], [scores])
    with pytest.raises(ValueError, match="question_id 8: scores must be those of ten people's answers"):
        write_official_vqa(tmp_path / "q.json", tmp_path / "a.json", questions, "mscoco", "val2014")
    assert list(tmp_path.iterdir()) == []


GQA = Questions(
    ids=["02930152", "5"],
    texts=["Is the sky dark?", "What is on the wall?"],
    images=["2354786", "n161313"],
    answers=[{"yes": 1.0}, {"pipe": 1.0}],
    question_types=["verify", "query"],
)


def test_gqa_of_the_original(tmp_path):
    records = [{"img_id": "2354786", "label": {"yes": 1.0}, "question_id": "02930152", "sent": "Is the sky dark?"}]
    questions = read_gqa(put(tmp_path / "train.json", records))
    assert (questions.ids, questions.texts) == (["02930152"], ["Is the sky dark?"])
    assert (questions.images, questions.answers) == (["2354786"], [{"yes": 1.0}])
    assert questions.question_types is None


def test_official_gqa(tmp_path):
    content = {
        "02930152": {
            "semantic": [{"operation": "select", "dependencies": [], "argument": "sky (2486325)"}],
            "entailed": ["02930160"],
            "question": "Is the sky dark?",
            "imageId": "2354786",
            "isBalanced": True,
            "groups": {"global": None, "local": "06-sky_dark"},
            "answer": "yes",
            "types": {"detailed": "verifyAttr", "semantic": "attr", "structural": "verify"},
            "fullAnswer": "Yes, the sky is dark.",
        },
        "5": {
            "question": "What is on the wall?",
            "imageId": "n161313",
            "answer": "pipe",
            "types": {"structural": "query"},
        },
    }
    same(read_gqa(put(tmp_path / "train_balanced_questions.json", content)), GQA)


def test_gqa_shards_and_test_sets(tmp_path):
    shards = [
        put(tmp_path / f"{number}.json", {str(number): {"imageId": "x", "question": "?", "isBalanced": False}})
        for number in range(3)
    ]
    questions = read_gqa(shards)
    assert questions.ids == ["0", "1", "2"]
    assert questions.answers is None


def test_gqa_is_written_and_read(tmp_path):
    write_gqa(tmp_path / "train.json", GQA)
    same(read_gqa(tmp_path / "train.json"), GQA)
    write_official_gqa(tmp_path / "official.json", GQA)
    same(read_gqa(tmp_path / "official.json"), GQA)
    with pytest.raises(ValueError, match=r"one answer to each question; question '5' has \{'a': 1.0, 'b': 1.0\}"):
        write_official_gqa(tmp_path / "two.json", Questions(["5"], ["?"], ["x"], [{"a": 1.0, "b": 1.0}]))
    assert not (tmp_path / "two.json").exists()


NLVR2 = Statements(
    ids=["dev-850-0-0", "dev-850-0-1", "test1-0-1-0"],
    texts=["One.", "Two.", "Three."],
    images=[
        ("dev-850-0-img0", "dev-850-0-img1"),
        ("dev-850-0-img0", "dev-850-0-img1"),
        ("test1-0-1-img0", "test1-0-1-img1"),
    ],
    labels=[0, 1, 1],
)


def test_nlvr2_of_the_original(tmp_path):
    records = [
        {"identifier": "x-0", "img0": "left", "img1": "right", "label": 1, "sent": "A.", "uid": "nlvr2_train_0"},
        {"identifier": "x-1", "img0": "left", "img1": "right", "label": False, "sent": "B."},
    ]
    statements = read_nlvr2(put(tmp_path / "train.json", records))
    assert statements.images == [("left", "right")] * 2
    assert statements.labels == [1, 0]


def test_official_nlvr2(tmp_path):
    lines = [
        {"validation": {"4": "False"}, "sentence": "One.", "label": "False", "identifier": "dev-850-0-0"},
        {"sentence": "Two.", "label": "True", "identifier": "dev-850-0-1", "synset": "ox"},
        {"sentence": "Three.", "label": "True", "identifier": "test1-0-1-0"},
    ]
    text = "\n".join(map(json.dumps, lines)) + "\n\n"
    same(read_nlvr2(put(tmp_path / "dev.json", text)), NLVR2)


def test_nlvr2_is_written_and_read(tmp_path):
    write_nlvr2(tmp_path / "valid.json", NLVR2)
    same(read_nlvr2(tmp_path / "valid.json"), NLVR2)
    assert [record["uid"] for record in json.loads((tmp_path / "valid.json").read_text())][2] == "nlvr2_valid_2"
    write_official_nlvr2(tmp_path / "dev.json", NLVR2)
    same(read_nlvr2(tmp_path / "dev.json"), NLVR2)
    with pytest.raises(ValueError, match="those of 'a-1' must be a-img0 and a-img1; got left and right"):
        write_official_nlvr2(tmp_path / "dev.json", Statements(["a-1"], ["."], [("left", "right")]))
    same(read_nlvr2(tmp_path / "dev.json"), NLVR2)  # the file that was there stays


def test_hidden_statements(tmp_path):
    path = put(tmp_path / "hidden.json", '{"sentence": "One.", "identifier": "test2-1-0"}')
    assert read_nlvr2(path).labels is None


PRETRAINING = [
    {
        "img_id": "COCO_1",
        "sentf": {"mscoco": ["a cat", "two cats"], "vqa": ["how many?", "why?"]},
        "labelf": {"vqa": [{"2": 1.0, "3": 0.3}, {}]},
    },
    {"img_id": 7, "sentf": {"vg": ["a dog"], "gqa": []}, "labelf": {"gqa": []}},
    {"img_id": "no sentence", "sentf": {}},
    {"img_id": "COCO_2", "sentf": {"vqa": ["how many?"]}, "labelf": {"vqa": [{"2": 0}]}},
]
SENTENCES = Sentences(
    texts=["a cat", "two cats", "how many?", "why?", "a dog", "how many?"],
    images=["COCO_1", "COCO_1", "COCO_1", "COCO_1", "7", "COCO_2"],
    sources=["mscoco", "mscoco", "vqa", "vqa", "vg", "vqa"],
    answers=[None, None, {"2": 1.0, "3": 0.3}, None, None, None],
)


def test_pretraining(tmp_path):
    sentences = read_pretraining(put(tmp_path / "mscoco_train.json", PRETRAINING))
    same(sentences, SENTENCES)
    assert sentences.image_names == ["COCO_1", "7", "COCO_2"]  # none without a sentence
    assert sentences.image_numbers.tolist() == [0, 0, 0, 0, 1, 2]


def test_pretraining_on_some_sources(tmp_path):
    path = put(tmp_path / "mscoco_train.json", PRETRAINING)
    same(read_pretraining(path, {"vg", "mscoco"}), SENTENCES.take([0, 1, 4]))
    with pytest.raises(
        ValueError, match=r"mscoco_train.json: there are no sentences of visual7w; the sources are mscoco, "
    ):
        read_pretraining(path, {"visual7w", "vqa"})


def test_pretraining_is_written_and_read(tmp_path):
    write_pretraining(tmp_path / "a.json", SENTENCES)
    same(read_pretraining(tmp_path / "a.json"), SENTENCES)
    # Sentences that do not lie together come together.
    write_pretraining(tmp_path / "b.json", SENTENCES.take([0, 4, 2, 1, 5, 3]))
    same(read_pretraining(tmp_path / "b.json"), SENTENCES.take([0, 1, 2, 3, 4, 5]))


def test_one_image_in_two_records_of_different_sources(tmp_path):
    captions = put(tmp_path / "captions.json", [{"img_id": "a", "sentf": {"mscoco": ["x"]}}])
    questions = put(
        tmp_path / "questions.json", [{"img_id": "a", "sentf": {"vqa": ["y"]}, "labelf": {"vqa": [{"b": 1}]}}]
    )
    assert read_pretraining([captions, questions]).images == ["a", "a"]


def test_training_and_validation_are_apart(tmp_path):
    train = Questions([1, 2, 3], ["a", "b", "c"], ["x", "y", "z"], files=("train.json",))
    check_disjoint(train, Questions([4], ["a"], ["x"]))
    message = "2 ids are in both: 3, 1. Training: train.json. Validation: minival.json."
    with pytest.raises(ValueError, match=message):
        check_disjoint(train, Questions([3, 4, 1], ["a"] * 3, ["p"] * 3, files=("minival.json",)))
    texts = Questions([f"q{i}" for i in range(70_000)], ["?"] * 70_000, ["x"] * 70_000)  # more than one block
    check_disjoint(texts, Questions(["q70000", "q-1"], ["?"] * 2, ["x"] * 2))
    with pytest.raises(ValueError, match="3 ids are in both: q69999, q0, q65536"):
        check_disjoint(texts, Questions(["q69999", "new", "q0", "q65536"], ["?"] * 4, ["x"] * 4))
    # Two different values of one hash.
    assert hash(-1) == hash(-2)
    check_disjoint(Questions([-1], ["?"], ["x"]), Questions([-2], ["?"], ["x"]))
    check_disjoint(SENTENCES, Sentences(["a cat"], ["other"], ["vqa"], [None]))
    with pytest.raises(ValueError, match="1 images are in both: 7"):
        check_disjoint(SENTENCES, Sentences(["a", "b"], ["7", "7"], ["vqa", "vg"], [None, None]))
    check_disjoint(NLVR2, Statements(["dev-1-0-0"], ["."], [("dev-850-0-img0", "dev-850-0-img1")]))
