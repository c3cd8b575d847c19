"""Every reader of records gets odd values in every place: it takes them, or its error is short and names the file."""

import time
import warnings
from pathlib import Path

import pytest

from lxmert.data.datasets import read_gqa, read_nlvr2, read_pretraining, read_vcr, read_vqa
from lxmert.data.datasets.flickr30k import read_flickr30k
from lxmert.data.datasets.vcr_metadata import read_vcr_metadata
from lxmert.data.features.label_names import read_label_names
from lxmert.data.features.sources.ids import ids_beside, read_sizes
from lxmert.data.features.sources.text.json_cells import parse_content
from lxmert.data.metrics.flickr30k import read_flickr30k_results
from lxmert.data.metrics.result_reader import read_result_file
from lxmert.data.metrics.vcr import read_vcr_results
from lxmert.training.plots import read_curves
from lxmert.training.progress import read_progress
from lxmert.weights.answer_vocabulary import read_answer_vocabulary

_HUGE = "9" * 4000  # digits that `json` takes, of no float
ODD = (
    *("null", "true", "-1", "1e400", "NaN", "9" * 5000, _HUGE, f'"{_HUGE}"', f"[[{_HUGE}, 1, 1, 1]]"),
    *('""', '"\\ud800"', '"\\u0000"', '"\\u202e\\u001b"', f'"{"x" * 100_000}"', '"\u0663"'),
    *("[]", "{}", "[[]]", '{"a": [1]}', "[null]", "[{}]", "[" * 900 + "]" * 900, '{"a":' * 900 + "1" + "}" * 900),
    *("[" * 20_000, f'"[{"-" * 5000}1]"', '"{1: 0.5}"', "\"['a', b'a', 1j]\"", '"{[1]: 2}"'),
)
_CHOICES = '"answer_choices": [["a"], ["b"], ["c"], ["d"]], "rationale_choices": [["a"], ["b"], ["c"], ["d"]]'
_VCR = (
    '{"annot_id": "a", "objects": ["person"], "question": ["a"], "img_fn": "x", "answer_label": 0, ' + _CHOICES + "}\n"
)
_RUN = '{"format": 3, "settings": {"task": "vqa", "output": "a", "epochs": 1, "learning_rate": 1, "model_config": {}}}'
READERS = {
    "vqa": (read_vqa, '[{"question_id": 1, "img_id": "a", "sent": "b", "label": {"c": 1}}]'),
    "people": (read_vqa, '[{"image": "a", "question": "b", "answers": ["a"], "weights": [1]}]'),
    "one": (read_vqa, '[{"image": "a", "question": "b", "answer": "a"}]'),
    "answers": (read_vqa, '{"annotations": [{"question_id": 1, "image_id": 1, "answers": [{"answer": "a"}]}]}'),
    "gqa": (read_gqa, '{"1": {"question": "a", "imageId": "b", "answer": "c", "types": {"structural": "d"}}}'),
    "nlvr2": (read_nlvr2, '[{"identifier": "d", "img0": "a", "img1": "b", "sent": "c", "label": 1}]'),
    "pretraining": (read_pretraining, '[{"img_id": "a", "sentf": {"a": ["b"]}, "labelf": {"a": [{"c": 1}]}}]'),
    "vcr": (read_vcr, _VCR),
    "metadata": (
        read_vcr_metadata,
        '{"boxes": [[1, 1, 2, 2]], "names": ["a"], "segms": [[[[1, 2]]]], "width": 1, "height": 1}',
    ),
    "vqa results": (lambda path: read_result_file("vqa", path), '[{"question_id": 1, "answer": "a", "proba": 1}]'),
    "nlvr2 results": (lambda path: read_result_file("nlvr2", path), '"a","True"\n'),
    "vcr results": (
        lambda path: read_vcr_results([path]),
        f"annot_id,{','.join(f'answer_{n}' for n in range(4))}\na,1,1,1,1",
    ),
    "flickr30k results": (
        read_flickr30k_results,
        '[{"id": "a", "phrases": [{"entity": "1", "boxes": [[1, 1, 1, 1]]}]}]',
    ),
    "table": (read_answer_vocabulary, '[{"ans": "a"}, {"ans": "b"}]'),
    "indices": (read_answer_vocabulary, '{"0": "a"}'),
    "log": (lambda path: (read_curves(path),), '{"step": 1, "train/loss": 1}\n'),
    "progress": (read_progress, _RUN),
    "sizes": (read_sizes, '{"images": [{"id": 1, "height": 2, "width": 3}]}'),
    "pairs": (read_sizes, '{"a": [2, 3]}'),
    "ids": (lambda path: ids_beside(path, Path("features"), 1), '{"a": 0}'),
    "cell": (lambda path: parse_content(path.read_bytes()), '[{"height": 1, "width": 2}]'),
    "objects": (lambda path: parse_content(path.read_bytes()), '{"objects": [{"rect": [1, 1, 2, 2]}], "image_h": 5}'),
    "names": (read_label_names, '"a"\n"b"'),
}


def _places(text):
    """The values in a text of JSON: where they begin and end."""
    import json

    decoder = json.JSONDecoder()
    for start in range(len(text)):
        before = text[:start].rstrip()[-1:]
        if before in ("", ":", "[", ",", "{") and not text[start].isspace():
            try:
                yield start, decoder.raw_decode(text, start)[1]
            except ValueError:
                continue


@pytest.mark.parametrize("name", READERS)
def test_odd_values(name, tmp_path):
    read, text = READERS[name]
    path = tmp_path / "file"
    file = path.open("wb", buffering=0)  # to open it each time would take most of the time
    tried, wrong = 0, []
    for start, end in _places(text):
        for odd in ODD:
            file.seek(0)
            file.write((text[:start] + odd + text[end:]).encode())
            file.truncate()
            tried += 1
            try:
                with warnings.catch_warnings(action="ignore"):
                    read(path)
            except ValueError as error:
                message = str(error)
                named = str(path) in message or name in ("cell", "objects")  # whose callers name the file
                wrong += [] if named and len(message) < 1500 and message.isprintable() else [(odd[:40], message[:200])]
    file.close()
    assert tried >= len(ODD)
    assert wrong == []


@pytest.mark.parametrize(
    "line", ["[/EN#1" + " " * 10**6, "[/EN#" * 200_000, "[/EN#" + "a/" * 400_000, "[/EN#1/a " + "b " * 400_000]
)
def test_a_sentence_of_flickr30k_is_gone_through_once(line, tmp_path):
    for name, content in (("Sentences/1.txt", line), ("Annotations/1.xml", "<annotation/>"), ("train.txt", "1")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    start = time.process_time()
    with pytest.raises(ValueError, match=r"1\.txt, line 1: a phrase must be written as"):
        read_flickr30k(tmp_path / "train.txt")
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("xml", "told"),
    [
        ("<a>" * 100_000, "is not an XML file"),
        ("<a/><b/>", "is not an XML file"),
        ("\0", "is not an XML file"),
        *(
            (
                f"<a><object><name>1</name><bndbox><xmin>{value}</xmin></bndbox></object></a>",
                "as integers; got {'xmin':",
            )
            for value in ("9" * 400, "9" * 5000, "inf", "")
        ),
    ],
)
def test_odd_annotations_of_flickr30k(xml, told, tmp_path):
    for name, content in (("Sentences/1.txt", "a"), ("Annotations/1.xml", xml), ("train.txt", "1")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=told) as caught:
        read_flickr30k(tmp_path / "train.txt")
    assert str(caught.value).startswith(str(tmp_path / "Annotations" / "1.xml"))
    assert len(str(caught.value)) < 600
