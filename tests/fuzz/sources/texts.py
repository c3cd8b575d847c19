"""Configurations, tokenizers, data sets, result files, settings and lists, in every layout that is read."""

from __future__ import annotations

import csv
import io
import json
import pickle
from pathlib import Path

import yaml
from tokenizers import Tokenizer

from lxmert.common.config import DetectorConfig, LxmertConfig, VisualBertConfig
from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.data.datasets import (
    write_gqa,
    write_nlvr2,
    write_official_gqa,
    write_official_nlvr2,
    write_official_vqa,
    write_pretraining,
    write_vqa,
)
from lxmert.data.metrics.vcr import ANSWERS
from tests.common.tokenizers import TINY
from tests.data.test_datasets import GQA, NLVR2, SENTENCES, VQA
from tests.data.test_flickr30k import make_files
from tests.data.test_question_layouts import LAYOUTS, written
from tests.data.test_vcr import line
from tests.data.test_vcr_metadata import RIGHT
from tests.weights.detector_files import VCR, YAML

from . import Files, Source, read_files


def sources(folder: Path) -> dict[str, Source]:
    """By what they are."""
    found = {f"config/{name}": source for name, source in _configs().items()}
    found |= {f"tokenizer/{name}": source for name, source in _tokenizers(folder / "tokenizers").items()}
    found |= {f"dataset/{name}": source for name, source in _data_sets(folder / "sets").items()}
    found |= {f"results/{name}": source for name, source in _results().items()}
    return found | {f"list/{name}": source for name, source in _lists().items()}


def _configs() -> dict[str, Source]:
    def json_of(values: object) -> Files:
        return {"config.json": json.dumps(values).encode()}

    plain = LxmertConfig(
        num_qa_labels=4, id2label={i: f"a{i}" for i in range(4)}, pruned_heads={"language_layers.0.attention": [1]}
    )
    files = {
        "LXMERT": json_of(plain.to_dict()),
        "VisualBERT": json_of(VisualBertConfig(num_labels=3).to_dict()),
        "detector": json_of(DetectorConfig().to_dict()),
        "VCR detector": json_of(VCR.to_dict()),
        "YAML": {"config.yaml": yaml.safe_dump(YAML).encode()},
    }
    return {name: Source(content, ("config",), (next(iter(content)),)) for name, content in files.items()}


def _tokenizers(folder: Path) -> dict[str, Source]:
    words = [*TINY, "[PAD]", "[MASK]", "a", "b", "##s", "?"]
    old = folder / "old"
    old.mkdir(parents=True)
    (old / "vocab.txt").write_text("".join(f"{word}\n" for word in words))
    settings = {
        "do_lower_case": True,
        "never_split": ["wa"],
        "model_max_length": 20,
        "tokenizer_class": "BertTokenizer",
    }
    (old / "tokenizer_config.json").write_text(json.dumps(settings))
    (old / "special_tokens_map.json").write_text(json.dumps({"unk_token": "[UNK]", "cls_token": {"content": "[CLS]"}}))
    (old / "added_tokens.json").write_text(json.dumps({"<x>": len(words)}))
    tokenizer = LxmertTokenizer.from_pretrained(old)
    tokenizer.save_pretrained(str(folder / "new"))
    new = read_files(folder / "new")
    new = dict(sorted(new.items(), key=lambda item: item[0] != "tokenizer.json"))
    if "tokenizer.json" not in new:
        raise AssertionError(f"the tokenizer was saved as {sorted(new)}")
    Tokenizer.from_str(new["tokenizer.json"].decode())
    vocabulary = {"vocab.txt": (old / "vocab.txt").read_bytes()}
    return {
        "vocab.txt": Source(vocabulary, ("tokenizer",), ("vocab.txt",)),
        "older files": Source(dict(sorted(read_files(old).items(), reverse=True)), ("tokenizer",)),
        "tokenizer.json": Source({"tokenizer.json": new["tokenizer.json"]}, ("tokenizer",)),
        "newer files": Source(new, ("tokenizer",)),
    }


def _data_sets(folder: Path) -> dict[str, Source]:
    found = {}
    for number, layout in enumerate(LAYOUTS):
        place = folder / str(number)
        place.mkdir(parents=True)
        names = tuple(path.name for path in written(place, layout.files))
        found[layout.name] = Source(read_files(place), ("dataset",), names, (layout.read.__name__,))
    place = folder / "written"
    place.mkdir()
    write_vqa(place / "vqa.json", VQA)
    write_official_vqa(place / "q.json", place / "a.json", VQA, "mscoco", "val2014")
    write_gqa(place / "gqa.json", GQA)
    write_official_gqa(place / "gqa_official.json", GQA)
    write_nlvr2(place / "nlvr2.json", NLVR2)
    write_official_nlvr2(place / "nlvr2_official.json", NLVR2)
    write_pretraining(place / "pretraining.json", SENTENCES)
    lines = [line(number) for number in range(3)]
    (place / "vcr.jsonl").write_text("".join(json.dumps(record) + "\n" for record in lines))
    files = read_files(place)
    for name, names, reader in (
        ("VQA of the original", ("vqa.json",), "read_vqa"),
        ("VQA", ("q.json", "a.json"), "read_vqa"),
        ("GQA of the original", ("gqa.json",), "read_gqa"),
        ("GQA", ("gqa_official.json",), "read_gqa"),
        ("NLVR2 of the original", ("nlvr2.json",), "read_nlvr2"),
        ("NLVR2", ("nlvr2_official.json",), "read_nlvr2"),
        ("pre-training", ("pretraining.json",), "read_pretraining"),
        ("VCR", ("vcr.jsonl",), "read_vcr"),
    ):
        found[name] = Source({one: files[one] for one in names}, ("dataset",), names, (reader,))
    make_files(folder / "entities")
    entities = dict(sorted(read_files(folder / "entities").items(), key=lambda item: "100" not in item[0]))
    found["Flickr30K Entities"] = Source(entities, ("dataset",), ("val.txt",), ("read_flickr30k",))
    return found


def _results() -> dict[str, Source]:
    rows = io.StringIO()
    csv.writer(rows).writerows([["annot_id", *ANSWERS], *([f"val-{n}", 0.1, 0.2, 0.3, 0.4] for n in range(3))])
    boxes = [{"boxes": [[1, 2, 3, 4]]}]
    texts = {
        "vqa": ("r.json", json.dumps([{"question_id": 1, "answer": "yes"}, {"question_id": 2, "answer": "no"}])),
        "gqa": ("r.json", json.dumps([{"questionId": "1", "prediction": "yes"}])),
        "nlvr2": ("r.csv", "dev-0-0-0,True\ndev-0-0-1,False\n"),
        "vqa, CSV": ("r.csv", "question_id,answer,score\n1,yes,0.5\n2,no,0.25\n"),
        "vcr": ("r.csv", rows.getvalue()),
        "flickr30k": ("r.json", json.dumps([{"id": "1", "phrases": boxes}, {"id": "2", "phrases": boxes}])),
    }
    return {
        task: Source({name: text.encode()}, ("results",), (name,), (task.split(",")[0],))
        for task, (name, text) in texts.items()
    }


def _lists() -> dict[str, Source]:
    settings = {"task": "vqa", "train": ["train.json"], "epochs": 2, "learning_rate": 1e-4}
    toml = "# settings\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items())
    toml += "\n[model_config]\nhidden_size = 12\n"
    answers = ["yes", "no", "2"]
    numbers = {answer: number for number, answer in enumerate(answers)}
    files = {
        "answers": ("answers.json", json.dumps(answers).encode(), "answers"),
        "answers with ids": ("answers.json", json.dumps(numbers).encode(), "answers"),
        "answers with more": ("answers.json", json.dumps([{"ans": answer} for answer in answers]).encode(), "answers"),
        "answers, pickled": ("answers.pkl", pickle.dumps(numbers, protocol=2), "answers"),
        "answers, lines": ("answers.txt", "\n".join(answers).encode(), "answers"),
        "objects": ("objects.txt", b"yolk,egg\ngoat\n", "labels"),
        "VCR metadata": ("image.json", json.dumps(RIGHT).encode(), "metadata"),
        "settings": ("settings.toml", toml.encode(), "settings"),
        "settings, JSON": ("settings.json", json.dumps(settings).encode(), "settings"),
    }
    return {
        name: Source({file: content}, ("list",), (file,), (reader,)) for name, (file, content, reader) in files.items()
    }
