"""Weights in several files with an index: read in every format, written by both backends, and read by transformers."""

import json
import os
import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
import transformers
from safetensors.numpy import load_file, save_file

import lxmert.pt
import lxmert.tf
from lxmert import convert
from lxmert.weights.formats import open_weights
from lxmert.weights.save_folder import byte_count

from .weight_folders import CONFIG, VISUAL_BERT, assert_bits_equal, make_folder, read_folder, tensors_of

NAME = "LxmertForPreTraining"
WORDS = "lxmert.embeddings.word_embeddings.weight"
INDEX = "model.safetensors.index.json"


def spread(folder, kind="safetensors", parts=3, **changed):
    """Weights in parts, every so many in the next one, and the index."""
    folder.mkdir(parents=True, exist_ok=True)
    CONFIG.save_pretrained(folder)
    held = tensors_of(NAME)
    stem, ending = {"safetensors": ("model", "safetensors"), "bin": ("pytorch_model", "bin")}[kind]
    homes = {name: f"{stem}-{i % parts + 1:05}-of-{parts:05}.{ending}" for i, name in enumerate(held)}
    for part in sorted(set(homes.values())):
        inside = {name: held[name] for name, home in homes.items() if home == part}
        if kind == "bin":
            torch.save({name: torch.from_numpy(x) for name, x in inside.items()}, folder / part)
        else:
            save_file(inside, folder / part)
    index = {"metadata": {"total_size": 1}, "weight_map": homes | changed}
    full = {"safetensors": INDEX, "bin": "pytorch_model.bin.index.json"}[kind]
    (folder / full).write_text(json.dumps(index))
    return folder


@pytest.mark.parametrize("kind", ["safetensors", "bin"])
@pytest.mark.parametrize("parts", [1, 3, 12])
def test_parts_read_as_one(kind, parts, tmp_path):
    source = spread(tmp_path / "source", kind, parts)
    done = convert(source, tmp_path / "back")
    assert_bits_equal(read_folder(tmp_path / "back"), tensors_of(NAME))
    title = {"safetensors": "safetensors", "bin": "PyTorch pickle"}[kind]
    assert done.report.format == f"{title}, in {parts} files"
    # The index itself may be named too.
    index = next(file for file in source.iterdir() if file.name.endswith(".index.json"))
    assert done.report.source == str(index)
    file = open_weights(index)
    assert file.config["l_layers"] == 2
    file.close()
    for model in (lxmert.pt.LxmertForPreTraining, lxmert.tf.TFLxmertForPreTraining):
        assert model.from_pretrained(source).load_report.unexpected == ()


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"more": "model-00009-of-00003.safetensors"}, FileNotFoundError, "names model-00009-.*, which does not exist"),
        (
            {"more": "model-00001-of-00003.safetensors", "again": "model-00002-of-00003.safetensors"},
            ValueError,
            "says that more is in model-00001-of-00003.safetensors, which does not hold it, and 1 more like it",
        ),
        (
            {WORDS: "model-00002-of-00003.safetensors"},  # the first one of all is in the first part
            ValueError,
            f"says that {WORDS} is in model-00002-of-00003.safetensors, which does not hold it",
        ),
    ],
)
def test_an_index_that_is_wrong(changed, error, message, tmp_path):
    source = spread(tmp_path, **changed)
    with pytest.raises(error, match=message):
        open_weights(source)


def test_a_tensor_that_is_there_twice(tmp_path):
    source = spread(tmp_path)
    first, second = (source / f"model-0000{i}-of-00003.safetensors" for i in (1, 2))
    twice = next(iter(load_file(first)))
    save_file({**load_file(second), twice: np.ones(2, "f4")}, second)
    with pytest.raises(ValueError, match=rf"{re.escape(twice)} is in model-00001-of-.* and in model-00002-of-"):
        open_weights(source)


def test_an_index_without_a_map(tmp_path):
    for content in ({}, {"weight_map": []}, {"weight_map": {}}):
        (tmp_path / INDEX).write_text(json.dumps(content))
        with pytest.raises(ValueError, match=r"has no weight_map: names of tensors, each with the file that holds it"):
            open_weights(tmp_path)


@pytest.fixture
def many(tmp_path):
    """Three hundred files of one tensor each, and a process that may have forty files more than now."""
    resource = pytest.importorskip("resource", reason="limits of open files are set on POSIX systems")
    weight_map = {f"t{n}": f"{n}.safetensors" for n in range(300)}
    for number, (name, shard) in enumerate(weight_map.items()):
        save_file({name: np.full(3, number, np.float32)}, tmp_path / shard)
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": weight_map}))
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + 40, before[1]))
    yield tmp_path
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_more_files_than_a_process_may_open(many):
    file = open_weights(many)
    names = [f"t{n}" for n in range(300)]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(2):
            read = list(pool.map(lambda name: file.read(name, mapped=True), names))
            assert [value.tolist() for value in read] == [[n] * 3 for n in range(300)]
    assert file.title == "safetensors, in 300 files"
    save_file({"t0": np.zeros(3, np.float32)}, many / "0.safetensors")
    with pytest.raises(OSError, match=r"0\.safetensors was replaced or changed by another process while it was read"):
        file.read("t0")
    assert file.read("t1").tolist() == [1] * 3
    file.close()


def test_names_in_an_index_that_no_file_can_have(tmp_path):
    for name in ("a" * 256, "é" * 128, "\ud800", "a\0", "", 3, ["a" * 10**6], None):
        (tmp_path / INDEX).write_text(json.dumps({"weight_map": {"a": name}}))
        with pytest.raises(ValueError, match="only plain names of files next to it are allowed") as caught:
            open_weights(tmp_path)
        assert len(str(caught.value)) < len(str(tmp_path)) + 300
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": {"a": "a" * 255}}))
    with pytest.raises(FileNotFoundError, match="aaa, which does not exist"):
        open_weights(tmp_path)


# Writing


@pytest.mark.parametrize("limit", [5000, "5kB", "4.8828125 KiB"])
def test_no_part_is_larger_than_asked_but_for_one_tensor(limit, tmp_path):
    convert(make_folder(tmp_path / "source"), tmp_path / "parts", max_shard_size=limit)
    index = json.loads((tmp_path / "parts" / INDEX).read_text())
    held = tensors_of(NAME)
    assert set(index["weight_map"]) == set(held)
    assert list(index["weight_map"]) == sorted(held)
    assert index["metadata"]["total_size"] == sum(x.nbytes for x in held.values())
    parts = sorted(set(index["weight_map"].values()))
    assert parts == [f"model-{i:05}-of-{len(parts):05}.safetensors" for i in range(1, len(parts) + 1)]
    together = {}
    for part in parts:
        inside = load_file(tmp_path / "parts" / part)
        assert {name: part for name in inside} == {k: v for k, v in index["weight_map"].items() if v == part}
        assert len(inside) == 1 or sum(x.nbytes for x in inside.values()) <= 5000
        together |= inside
    assert_bits_equal(together, held)
    assert sorted(file.name for file in (tmp_path / "parts").iterdir()) == sorted([*parts, INDEX, "config.json"])
    # and back
    convert(tmp_path / "parts", tmp_path / "one")
    assert (tmp_path / "one" / "model.safetensors").read_bytes() == (
        tmp_path / "source" / "model.safetensors"
    ).read_bytes()


def test_a_tensor_larger_than_the_limit_has_a_part_of_its_own(tmp_path):
    convert(make_folder(tmp_path / "source"), tmp_path / "parts", max_shard_size=1)
    index = json.loads((tmp_path / "parts" / INDEX).read_text())
    assert len(set(index["weight_map"].values())) == len(tensors_of(NAME))


def test_what_fits_stays_in_one_file(tmp_path):
    convert(make_folder(tmp_path / "source"), tmp_path / "one", max_shard_size="1GB")
    assert sorted(file.name for file in (tmp_path / "one").iterdir()) == ["config.json", "model.safetensors"]


def test_old_parts_do_not_stay_beside_new_ones(tmp_path):
    """A reader would take an old model.safetensors for the model, or the new one for a part of the old."""
    source, target = make_folder(tmp_path / "source"), tmp_path / "target"
    target.mkdir()
    (target / "vocab.txt").write_text("[PAD]\n")
    for limit in (5000, 2000, None, 9000, None):
        convert(source, target, max_shard_size=limit)
        names = {file.name for file in target.iterdir()} - {"config.json", "vocab.txt"}
        if limit is None:
            assert names == {"model.safetensors"}
        else:
            index = json.loads((target / INDEX).read_text())
            assert names == {INDEX, *index["weight_map"].values()}
    assert (target / "vocab.txt").exists()


@pytest.mark.parametrize("size", [0, -1, "", "GB", "1XB", "many", None, True, "1e400", "nan", [1]])
def test_sizes_that_are_none(size, tmp_path):
    with pytest.raises(
        ValueError, match=r'max_shard_size must be a number of bytes, such as 500000000, "500MB" or "2GB"'
    ):
        byte_count(size)
    if size is not None:
        with pytest.raises(ValueError, match=r"max_shard_size must be a number of bytes"):
            convert(make_folder(tmp_path / "source"), tmp_path / "target", max_shard_size=size)
        assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(
    ("size", "count"),
    [
        (7, 7),
        ("7", 7),
        ("2kB", 2000),
        ("2KiB", 2048),
        ("1.5 MB", 1_500_000),
        ("2GB", 2 * 10**9),
        ("1GiB", 2**30),
        ("9B", 9),
    ],
)
def test_sizes_as_people_write_them(size, count):
    assert byte_count(size) == count


@pytest.mark.parametrize("architecture", ["LxmertForPreTraining", "LxmertModel", "VisualBertForMultipleChoice"])
def test_transformers_reads_the_parts_of_either_backend(architecture, tmp_path):
    config = VISUAL_BERT if architecture.startswith("Visual") else CONFIG
    for backend, model in (
        ("pt", getattr(lxmert.pt, architecture)(config)),
        ("tf", getattr(lxmert.tf, f"TF{architecture}")(config)),
    ):
        model.save_pretrained(tmp_path / backend, max_shard_size="4kB")
        model.save_pretrained(tmp_path / f"{backend}-whole")
        assert len(list((tmp_path / backend).glob("*.safetensors"))) > 2
        theirs, told = getattr(transformers, architecture).from_pretrained(tmp_path / backend, output_loading_info=True)
        assert {what: list(names) for what, names in told.items() if names} == {}
        held = {name: x.numpy() for name, x in theirs.state_dict().items()}
        whole = read_folder(tmp_path / f"{backend}-whole")
        assert_bits_equal({name: held[name] for name in whole}, whole)


def test_the_parts_that_transformers_writes(tmp_path):
    torch.manual_seed(0)
    theirs = transformers.LxmertForPreTraining(
        transformers.LxmertConfig(**{k: v for k, v in CONFIG.to_dict().items() if k != "num_hidden_layers"})
    )
    theirs.save_pretrained(tmp_path, max_shard_size="6kB")
    assert (tmp_path / INDEX).exists()
    ours = lxmert.pt.LxmertForPreTraining.from_pretrained(tmp_path)
    assert torch.equal(ours.heads.answer.out.weight, theirs.answer_head.logit_fc[3].weight)
    assert ours.load_report.unexpected == ()
