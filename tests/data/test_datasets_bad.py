"""Files that are wrong: each error names the file, the record or line, the id, and what was expected."""

import json
import re

import pytest

from lxmert.data.datasets import Questions, Sentences, Statements, read_gqa, read_nlvr2, read_pretraining, read_vqa

VQA = {"question_id": 5, "img_id": "a", "sent": "?", "label": {"x": 1.0}}
GQA = {"question_id": "5", "img_id": "a", "sent": "?", "label": {"x": 1.0}}
NLVR2 = {"identifier": "a-0", "img0": "l", "img1": "r", "sent": ".", "label": 1}
PRETRAINING = {"img_id": "a", "sentf": {"vqa": ["?"]}, "labelf": {"vqa": [{"x": 1.0}]}}
QUESTION = {"question_id": 5, "image_id": 7, "question": "?"}
ANNOTATION = {"question_id": 5, "image_id": 7, "answers": [{"answer": "x"}] * 10}


def without(record, key):
    return {name: value for name, value in record.items() if name != key}


BAD = {
    read_vqa: [
        ("", "f.json is empty; questions in JSON, JSON lines or CSV are expected"),
        (" \n", "f.json is empty"),
        ("question_id,answer\n", "f.json: there are no questions"),
        ("question_id,answer\n1,a\n", "f.json is in no known layout of questions: its first record has the keys quest"),
        ("image,question,answer\na,b\n", "f.json, record 1: a row must have 3 cells, as the header; it has 2."),
        ("nothing", "f.json is neither JSON nor a table: its first line must name two columns or more, each once; it"),
        ([{"a": 1}], 'an image and a question, such as {"image": "42.jpg", "question": "is it red?", "answer": "yes"}'),
        ([{"image": "a", "question": "?", "answer": True}], "record 1: answer must be a text, or a list of texts; got"),
        ([{"image": "a", "question": "?", "answers": {"x": 2}}], "record 1: label must have scores of 0 to 1; the ans"),
        (
            [{"image": "a", "question": "?", "answers": ["x", "y"], "weights": [1]}],
            "record 1: there must be one weight for each of the 2 answers; got [1].",
        ),
        (
            [{"image": "a", "question": "?", "id": 1, "answer": "x"}, {"image": "a", "question": "?", "answer": "x"}],
            "record 2: some questions have an id and some have none; give all of them one, or none.",
        ),
        ('[{"question_id": 5, "question_id": 5, "img_id": "a", "sent": "?"}]', "the key 'question_id' is there twice"),
        ('[{"question_id": 5, "img_id": "a", "sent": "?", "label": {"x": 1, "x": 0.3}}]', "the key 'x' is there twice"),
        ('{"questions": [], "questions": []}', "the key 'questions' is there twice in one object (line 1, column 32)"),
        (
            '[{"question_id": 5',
            "f.json is not a JSON file: it ends in the middle; perhaps it was not completely written",
        ),
        ('[{"question_id": "a', "it ends in the middle; perhaps it was not completely written or copied (line 1"),
        (f"[{json.dumps(VQA)}", "it ends in the middle"),
        (f"[{json.dumps(VQA)},", "it ends in the middle"),
        (f"[{json.dumps(VQA)}\n,]", "f.json is not a JSON file: Expecting value (line 2, column 2)"),
        (f"[{json.dumps(VQA)}\n {json.dumps(VQA)}]", "a comma or ] is expected (line 2, column 2)"),
        (f"[{json.dumps(VQA)}] []", "there is text after the end of the JSON value (line 1, column 71)"),
        ("[" * 100_000, "f.json is not a JSON file: maximum recursion depth exceeded"),
        (b"[\xff]", "f.json is not text in UTF-8 (invalid start byte); save it in this encoding"),
        ([], "f.json: there are no questions; at least one is expected."),
        ({"questions": [], "data_type": "a", "data_subtype": "b"}, "f.json: there are no questions"),
        ([VQA, 3], "f.json, record 2: an object of keys and values is expected; got 3."),
        ([without(VQA, "img_id")], "record 1 (question_id 5): img_id must be a string; the keys are "),
        ([VQA | {"img_id": ""}], "f.json, record 1 (question_id 5): img_id must not be empty."),
        ([VQA | {"img_id": ["a"]}], "(question_id 5): img_id must be a string; got ['a']."),
        ([VQA | {"sent": None}], "(question_id 5): sent must be a string; got None."),
        ([VQA | {"sent": "\ud800"}], "(question_id 5): sent has half a character"),
        ([VQA | {"sent": " " * 10**6 + "?"}], "sent must have at most 100,000 characters; it has 1,000,001."),
        (
            [without(VQA, "question_id")],
            "f.json, record 1: question_id must be an integer of 0 or more, or a text; the",
        ),
        ([VQA, VQA | {"question_id": "5"}], "question_id 5 is there twice"),
        ([VQA | {"question_id": ""}], "question_id must be an integer of 0 or more, or a text; got ''."),
        ([VQA | {"question_id": True}], "question_id must be an integer of 0 or more, or a text; got True."),
        ([VQA | {"question_id": -5}], "question_id must be an integer of 0 or more, or a text; got -5."),
        ([VQA | {"label": ["x"]}], "(question_id 5): label must be an object of answers and scores; got ['x']."),
        ([VQA | {"label": {"x": 1.5}}], "(question_id 5): label must have scores of 0 to 1; the answer 'x' has 1.5"),
        ([VQA | {"label": {"x": -0.1}}], "the answer 'x' has -0.1."),
        ([VQA | {"label": {"x": True}}], "the answer 'x' has True."),
        ([VQA | {"label": {"x": "1"}}], "the answer 'x' has '1'."),
        ([VQA | {"label": {"x": []}}], "the answer 'x' has []."),
        ('[{"question_id": 5, "img_id": "a", "sent": "?", "label": {"x": NaN}}]', "the answer 'x' has nan."),
        ([VQA | {"label": {"\ud800": 1}}], "(question_id 5): label has half a character"),
        ([VQA | {"label": {}}], "f.json: not one of the 1 questions has an answer: every label is empty."),
        ([VQA | {"question_type": 1}], "(question_id 5): question_type must be a string; got 1."),
        ([VQA, VQA], "question_id 5 is there twice: PLACE/f.json, record 1 and PLACE/f.json, record 2."),
        ([VQA, VQA, VQA], "record 1 and PLACE/f.json, record 2, and 1 more ids are."),
        (
            [VQA, without(VQA, "label") | {"question_id": 6}],
            "f.json, record 2 (question_id 6): the question has no answer, and those before it (PLACE/f.json) have one",
        ),
        ({"info": {}}, 'f.json has neither "questions" nor "annotations"; its keys are info.'),
        ({"annotations": [ANNOTATION]}, "f.json: annotations alone; pass the file of their questions too."),
        ({"questions": [QUESTION], "annotations": [ANNOTATION]}, "f.json holds both questions and annotations"),
        ({"questions": {}}, "f.json: questions must be a list; got {}."),
        ({"questions": [QUESTION]}, "f.json: data_type must be a string such as 'mscoco', a part"),
        (
            {"questions": [QUESTION], "data_type": "mscoco", "data_subtype": "../x"},
            "f.json: data_subtype must be a string such as 'train2014', a part of the images' names; got",
        ),
        (
            {"questions": [without(QUESTION, "image_id")]},
            "f.json, record 1 (question_id 5): image_id must be an integer of 0 or more; the keys are question_id,",
        ),
    ],
    read_pretraining: [
        ("", "f.json is empty; a JSON list or object is expected"),
        ("7", "f.json is not a JSON file: a JSON list or object is expected (line 1, column 1)"),
        ({"a": 1}, "f.json must hold a JSON list of records; it holds an object of keys and values"),
        ([{"img_id": "a", "sentf": {"vqa": []}}], "f.json: there are no sentences"),
        ([without(PRETRAINING, "img_id")], "f.json, record 1: img_id must be a string; the keys are"),
        ([without(PRETRAINING, "sentf")], "(img_id 'a'): sentf must be an object of sources and their"),
        ([PRETRAINING | {"sentf": {"vqa": "?"}}], "their lists; got {'vqa': '?'}."),
        ([PRETRAINING | {"sentf": {"vqa": ["a" * 10**6]}}], "sentf must have at most 100,000 characters"),
        ([PRETRAINING | {"sentf": {"vqa": [7]}}], "f.json, record 1 (img_id 'a'): sentf must hold strings"),
        ([PRETRAINING | {"labelf": {"vqa": []}}], "the source 'vqa' has 1 sentences and 0 labels."),
        ([PRETRAINING | {"labelf": {"gqa": []}}], "labelf has the source 'gqa', and sentf has only vqa."),
        ([PRETRAINING | {"labelf": {"vqa": [{"x": 2}]}}], "the answer 'x' has 2."),
        (
            [PRETRAINING | {"img_id": "b"}, PRETRAINING, PRETRAINING],
            "f.json, record 3 (img_id 'a'): the image has sentences of vqa in an earlier record too (the first about "
            "it is PLACE/f.json, record 2); join them in one record",
        ),
    ],
    read_gqa: [
        ('{"5" {}}', "a colon is expected (line 1, column 6)"),
        ("{5: {}}", "a key in double quotes is expected (line 1, column 2)"),
        ('{"5": {"question": tru}}', "Expecting value (line 1, column 20)"),
        ({}, "f.json: there are no questions"),
        (
            [GQA | {"question_id": None}],
            "f.json, record 1: question_id must be an integer of 0 or more, or a text; got None.",
        ),
        ([GQA, GQA], "question_id '5' is there twice"),
        ({"5": 7}, "f.json, (question_id '5'): an object of keys and values is expected; got 7."),
        ({"5": {"question": "?"}}, "f.json, (question_id '5'): imageId must be a string; the keys are question."),
        ({"5": {"imageId": "a", "question": "?", "answer": 1}}, "(question_id '5'): answer must be a string; got 1."),
        ({"5": {"imageId": "a", "question": "?", "types": []}}, "(question_id '5'): types must be an object; got"),
        ('{"5": {"imageId": "a", "question": "?"}, "5": {"imageId": "a", "question": "?"}}', "'5' is there twice"),
        ({"questions": [QUESTION]}, "not a file of GQA questions: 'questions' has a list"),
    ],
    read_nlvr2: [
        ([], "f.json: there are no statements"),
        ([NLVR2 | {"label": "true"}], '(identifier \'a-0\'): label must be "True" or "False", or 1 or 0; got'),
        ([NLVR2 | {"label": 2}], "or 1 or 0; got 2."),
        ([NLVR2 | {"label": 1.0}], "or 1 or 0; got 1.0."),
        ([NLVR2 | {"label": []}], "or 1 or 0; got []."),
        ([without(NLVR2, "img1")], "f.json, record 1 (identifier 'a-0'): img1 must be a string; the keys are"),
        ([NLVR2, without(NLVR2, "label") | {"identifier": "b"}], "(identifier 'b'): some statements have a label"),
        ([NLVR2, NLVR2], "identifier 'a-0' is there twice"),
        ('{"identifier": "a-0", "sentence": "."}\n\n{"identifier"', "f.json, line 3, is not JSON: Expecting ':'"),
        ('{"identifier": "a-0", "sentence": "."}\n[]', "f.json, line 2: an object of keys and values is expected"),
        ('{"identifier": "a-0"}', "f.json, line 1 (identifier 'a-0'): sentence must be a string; the keys are"),
        ('{"identifier": "a", "sentence": "."}', "identifier must have parts with dashes between them"),
    ],
}


@pytest.mark.parametrize(("read", "content", "message"), [(read, *case) for read in BAD for case in BAD[read]])
def test_bad_files(read, content, message, tmp_path):
    path = tmp_path / "f.json"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(ValueError, match=re.escape(message.replace("PLACE", str(tmp_path)))) as error:
        read(path)
    assert str(path) in str(error.value)


def official(tmp_path, questions, annotations):
    header = {"data_type": "mscoco", "data_subtype": "val2014"}
    (tmp_path / "q.json").write_text(json.dumps(header | {"questions": questions}))
    (tmp_path / "a.json").write_text(json.dumps(header | {"annotations": annotations}))
    return [tmp_path / "q.json", tmp_path / "a.json"]


@pytest.mark.parametrize(
    ("questions", "annotations", "message"),
    [
        (
            [QUESTION, QUESTION | {"question_id": 6}],
            [ANNOTATION, ANNOTATION | {"question_id": 8}, ANNOTATION | {"question_id": 9}],
            "q.json and PLACE/a.json do not belong together: 1 of 2 questions have no annotation (question_id 6), and "
            "2 of 3 annotations have no question (question_id 8, 9). Pass both files of each split.",
        ),
        (
            [QUESTION],
            [],
            "1 of 1 questions have no annotation (question_id 5), and 0 of 0 annotations have no question.",
        ),
        (
            [QUESTION],
            [ANNOTATION, ANNOTATION],
            "question_id 5 is there twice: PLACE/a.json, record 1 and PLACE/a.json, rec",
        ),
        (
            [QUESTION, QUESTION],
            [ANNOTATION],
            "question_id 5 is there twice: PLACE/q.json, record 1 and PLACE/q.json, rec",
        ),
        (
            [QUESTION],
            [ANNOTATION | {"image_id": 8}],
            "question_id 5 is about image_id 7 in PLACE/q.json, and about 8 in",
        ),
        (
            [QUESTION],
            [ANNOTATION | {"answers": []}],
            "a.json, record 1 (question_id 5): answers must be a list of people's answ",
        ),
        (
            [QUESTION],
            [ANNOTATION | {"answers": ["x"]}],
            'answers must be a list of objects with a string "answer"; got',
        ),
        (
            [QUESTION],
            [ANNOTATION | {"answers": [{"answer": "\ud800"}]}],
            "(question_id 5): answer has half a character",
        ),
        ([QUESTION], [without(ANNOTATION, "answers")], "ten in VQA; got None."),
    ],
)
def test_questions_and_annotations_that_do_not_fit(questions, annotations, message, tmp_path):
    with pytest.raises(ValueError, match=re.escape(message.replace("PLACE", str(tmp_path)))):
        read_vqa(official(tmp_path, questions, annotations))


def test_several_files(tmp_path):
    train, test = tmp_path / "train.json", tmp_path / "test.json"
    train.write_text(json.dumps([VQA]))
    test.write_text(json.dumps([without(VQA, "label") | {"question_id": 6}]))
    with pytest.raises(
        ValueError, match=r"test.json, record 1 \(question_id 6\): the question has no answer, and those"
    ):
        read_vqa([train, test])
    with pytest.raises(ValueError, match=r"train.json is given twice; name each file once"):
        read_vqa([train, train])
    copy = tmp_path / "copy.json"
    copy.write_text(train.read_text())
    with pytest.raises(
        ValueError, match=r"question_id 5 is there twice: .*train.json, record 1 and .*copy.json, record 1\."
    ):
        read_vqa([train, copy])
    with pytest.raises(
        ValueError, match=r"files of one layout can be read together; .*train.json has the layout 'the original"
    ):
        read_vqa([train, *official(tmp_path, [QUESTION], [])])
    with pytest.raises(ValueError, match="paths must name one file or more; got none"):
        read_vqa([])
    with pytest.raises(ValueError, match="paths must be a path; got an empty string"):
        read_vqa("")
    with pytest.raises(FileNotFoundError, match=r"missing\.json"):
        read_gqa([tmp_path / "missing.json"])
    with pytest.raises(IsADirectoryError, match=re.escape(str(tmp_path))):
        read_pretraining(tmp_path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Questions([1], ["a", "b"], ["x", "y"]), "one value for each of the 2 texts; ids has 1."),
        (lambda: Questions([1], ["a"], ["x"], []), "answers has 0."),
        (lambda: Statements(["a"], ["a"], [("x", "y")], [1, 0]), "Statements: every column must have one value"),
        (lambda: Sentences(["a"], ["x"], [], [None]), "sources has 0."),
        (lambda: Questions([1], ["a"], ["x"]).first(0), "count must be 1 or more; got 0."),
    ],
)
def test_columns_that_do_not_fit(make, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        make()
