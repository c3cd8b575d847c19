"""Conversion in every direction, bit by bit; the old target after an error; what is refused."""

import hashlib
import itertools
import json
import zipfile
from contextlib import nullcontext
from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file

from lxmert import CheckpointMismatchError, LxmertConfig, convert
from lxmert.common.config import config_from_pretrained
from lxmert.weights import convert as conversion
from lxmert.weights.convert import target_format
from lxmert.weights.formats.raw_io import BFLOAT16
from lxmert.weights.naming.key_mapping import HUGGING_FACE, KERAS_H5, TIED_DECODER, parameters
from lxmert.weights.naming.tables import head_names
from lxmert.weights.open import open_checkpoint
from lxmert.weights.save_folder import LazyTensor, write_folder
from lxmert.weights.save_hdf5 import write_keras_archive

from .cases import covering
from .weight_folders import CONFIG, CONFIG_OF, assert_bits_equal, make_folder, read_folder, tensors_of, values_of

NAMES = {"folder": "folder", "weights.h5": "model.weights.h5", "keras": "model.keras"}


def digest(path: Path) -> dict[str, str]:
    """The content of every file at a place."""
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.parametrize(
    ("steps", "architecture"),
    covering({" to ".join(steps): steps for steps in itertools.product(NAMES, repeat=2)}, list(CONFIG_OF)),
)
def test_every_direction_keeps_every_bit(steps, architecture, tmp_path):
    """folder → first → second → folder: the last file is the first one, byte by byte."""
    source = make_folder(tmp_path / "source", architecture)
    before, place = digest(source), source
    for number, step in enumerate((*steps, "folder")):
        target = tmp_path / str(number) / NAMES[step]
        report = convert(place, target)
        assert (report.source, report.target, report.format) == (place, target, step)
        assert report.architecture == architecture
        assert report.tensors == len(tensors_of(architecture))
        assert report.size == sum(x.nbytes for x in tensors_of(architecture).values())
        assert (report.report.new, report.report.unexpected) == ((), ())
        place = target
    assert (place / "model.safetensors").read_bytes() == (source / "model.safetensors").read_bytes()
    stored = json.loads((place / "config.json").read_text())
    assert stored["architectures"] == [architecture]
    assert config_from_pretrained(place) == CONFIG_OF[architecture]
    assert digest(source) == before


@pytest.mark.parametrize("dtype", ["float16", "float64"])
@pytest.mark.parametrize("name", ["model.weights.h5", "model.keras"])
def test_dtypes_are_kept(dtype, name, tmp_path):
    source = make_folder(tmp_path / "source", dtype=dtype)
    convert(source, tmp_path / name)
    convert(tmp_path / name, tmp_path / "back")
    assert_bits_equal(read_folder(tmp_path / "back"), tensors_of("LxmertForPreTraining", dtype=dtype))
    with open_checkpoint(tmp_path / name) as checkpoint:
        assert {x.name for x in checkpoint.file.dtypes.values()} == {dtype}


def test_a_mixture_of_formats_and_odd_values(tmp_path):
    odd = np.array([np.nan, -0.0, np.inf, 1e-310, *range(8)])
    changed = {"lxmert.pooler.dense.bias": odd, "lxmert.pooler.dense.weight": np.ones((12, 12), "float16")}
    source = make_folder(tmp_path / "source", **changed)
    convert(source, tmp_path / "a.keras")
    convert(tmp_path / "a.keras", tmp_path / "back")
    assert (tmp_path / "back" / "model.safetensors").read_bytes() == (source / "model.safetensors").read_bytes()


def test_kernels_lie_transposed_in_keras_files(tmp_path):
    convert(make_folder(tmp_path / "source"), tmp_path / "a.weights.h5")
    with h5py.File(tmp_path / "a.weights.h5") as file:
        for p in parameters(CONFIG, head_names("LxmertForPreTraining", CONFIG)):
            values = values_of(p)
            expected = values.T if p.kind == "dense" and values.ndim == 2 else values
            assert np.array_equal(file[KERAS_H5.key(p, True)][()], expected), p.name


def test_a_stored_decoder_is_written_once(tmp_path):
    words = tensors_of("LxmertForPreTraining")["lxmert.embeddings.word_embeddings.weight"]
    source = make_folder(tmp_path / "source", **{TIED_DECODER: words})
    convert(source, tmp_path / "back")
    assert_bits_equal(read_folder(tmp_path / "back"), tensors_of("LxmertForPreTraining"))
    make_folder(tmp_path / "source", **{TIED_DECODER: words[:-1]})
    with pytest.raises(CheckpointMismatchError, match=r"next to .* with other values"):
        convert(source, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_decoder_of_its_own_is_kept(tmp_path):
    words = tensors_of("LxmertForPreTraining")["lxmert.embeddings.word_embeddings.weight"]
    source = make_folder(tmp_path / "source", **{TIED_DECODER: words + 1})
    place = source
    for number, step in enumerate(("a.weights.h5", "b.keras", "back")):
        # From the first step on, the configuration says it.
        with pytest.warns(UserWarning, match="the model gets both") if number == 0 else nullcontext():
            convert(place, place := tmp_path / step)
    assert_bits_equal(read_folder(place), read_folder(source))
    assert config_from_pretrained(place) == CONFIG.replace(tie_word_embeddings=False)


def test_what_the_configuration_switches_off_is_left_out_and_reported(tmp_path):
    source = make_folder(tmp_path / "source")
    report = convert(source, tmp_path / "back", CONFIG.replace(task_qa=False)).report
    assert report.unexpected
    assert all(name.startswith("answer_head.") for name in report.unexpected)
    expected = {k: v for k, v in tensors_of("LxmertForPreTraining").items() if not k.startswith("answer_head.")}
    assert_bits_equal(read_folder(tmp_path / "back"), expected)


def test_extra_keys_and_pruned_heads_travel(tmp_path):
    config = CONFIG.replace(pruned_heads={"visual_layers.1.attention": [0]}, id2label={0: "no"}, architectures=["X"])
    source = make_folder(tmp_path / "source", config=config)
    convert(source, tmp_path / "a.weights.h5")
    convert(tmp_path / "a.weights.h5", tmp_path / "b.keras")
    convert(tmp_path / "b.keras", tmp_path / "back")
    again = LxmertConfig.from_pretrained(tmp_path / "back")
    assert again == config
    assert (again.id2label, again.architectures) == ({0: "no"}, ["LxmertForPreTraining"])
    assert_bits_equal(read_folder(tmp_path / "back"), read_folder(source))


def test_other_files_in_a_target_folder_stay(tmp_path):
    target = make_folder(tmp_path / "target", "LxmertModel")
    (target / "vocab.txt").write_text("[PAD]\n")
    (target / "model.weights.h5").write_bytes(b"old")
    convert(make_folder(tmp_path / "source"), target)
    assert sorted(file.name for file in target.iterdir()) == [
        "config.json",
        "model.safetensors",
        "model.weights.h5",
        "vocab.txt",
    ]
    assert_bits_equal(read_folder(target), tensors_of("LxmertForPreTraining"))


@pytest.mark.parametrize("kind", list(NAMES))
@pytest.mark.parametrize("fails", ["at once", "in the middle", "interrupted"])
def test_after_an_error_the_old_target_is_whole_and_nothing_else_is_there(kind, fails, tmp_path):
    source = make_folder(tmp_path / "source")
    target, new = tmp_path / "places" / NAMES[kind], tmp_path / "new" / "place" / NAMES[kind]
    convert(make_folder(tmp_path / "older", "LxmertModel"), target)
    before = digest(tmp_path)
    count = itertools.count(0 if fails == "at once" else -60)

    def stop(*_):
        if next(count) == 0:
            raise KeyboardInterrupt if fails == "interrupted" else OSError("No space left on device")

    for place in (target, new):
        count = itertools.count(0 if fails == "at once" else -60)
        with pytest.raises(KeyboardInterrupt if fails == "interrupted" else OSError):
            convert(source, place, progress=stop)
    assert digest(tmp_path) == before
    assert not (tmp_path / "new").exists()
    assert sorted(file.name for file in target.parent.iterdir()) == [target.name]


def test_a_source_that_does_not_fit_leaves_the_target(tmp_path):
    source = make_folder(tmp_path / "source", **{"lxmert.pooler.dense.bias": None})
    target = make_folder(tmp_path / "target")
    before = digest(tmp_path)
    with pytest.raises(CheckpointMismatchError, match=r"missing     1: lxmert\.pooler\.dense\.bias"):
        convert(source, target)
    assert digest(tmp_path) == before


def test_the_source_itself_is_no_target(tmp_path):
    source = make_folder(tmp_path / "source")
    convert(source, tmp_path / "a.weights.h5")
    (tmp_path / "link.weights.h5").symlink_to(tmp_path / "a.weights.h5")
    (tmp_path / "hard.weights.h5").hardlink_to(tmp_path / "a.weights.h5")
    (tmp_path / "folder").symlink_to(source)
    before = digest(tmp_path)
    for first, second in (
        (source, source),
        (source / "model.safetensors", source),
        (source, tmp_path / "folder"),
        (source, tmp_path / "other" / ".." / "source"),
        (tmp_path / "a.weights.h5", tmp_path / "a.weights.h5"),
        (tmp_path / "a.weights.h5", tmp_path / "link.weights.h5"),
        (tmp_path / "hard.weights.h5", tmp_path / "a.weights.h5"),
    ):
        (tmp_path / "other").mkdir(exist_ok=True)
        with pytest.raises(ValueError, match=r"is the source itself; pass another target"):
            convert(first, second)
    assert digest(tmp_path) == before


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.weights.h5", "weights.h5"),
        ("a.b.keras", "keras"),
        ("a", "folder"),
        ("v1.0", "folder"),
        ("a/", "folder"),
        ("tf_model.h5", "tf_model.h5"),
        ("a.h5", "tf_model.h5"),
    ],
)
def test_the_format_is_told_by_the_targets_name(name, kind):
    assert target_format(name) == kind


def test_a_folder_is_a_folder_whatever_it_is_called(tmp_path):
    (tmp_path / "run.keras").mkdir()
    assert target_format(tmp_path / "run.keras") == "folder"


@pytest.mark.parametrize("name", ["a.safetensors", "a.bin", "a.pth", "a.json", "a.hdf5", "a.th"])
def test_names_that_tell_no_format(name):
    with pytest.raises(
        ValueError, match=r"does not tell which format is wanted. Name a folder .* ending in \.weights\.h5, \.keras or"
    ):
        target_format(name)
    assert target_format(name, "folder") == "folder"


@pytest.mark.parametrize(
    ("name", "to", "message"),
    [
        ("a", "onnx", "to must be one of folder, tf_model.h5, weights.h5, keras; got 'onnx'"),
        ("a", "keras", "a must end in .keras, by which Keras recognizes it"),
        ("a.h5", "weights.h5", "a.h5 must end in .weights.h5, by which Keras recognizes it"),
    ],
)
def test_formats_that_a_name_cannot_have(name, to, message):
    with pytest.raises(ValueError, match=message):
        target_format(name, to)


def test_a_vocabulary_for_a_file(tmp_path):
    with pytest.raises(ValueError, match=r"vocabulary is written into folders; .*a\.keras is to be: Keras model"):
        convert(make_folder(tmp_path / "source"), tmp_path / "a.keras", vocabulary="vocab.txt")


def test_a_file_where_a_folder_is_to_be(tmp_path):
    (tmp_path / "target").write_text("mine")
    with pytest.raises(NotADirectoryError, match=r"target is a file; pass a folder to write config.json and model"):
        convert(make_folder(tmp_path / "source"), tmp_path / "target")
    with pytest.raises(OSError):  # noqa: PT011 the system's own words
        convert(tmp_path / "source", tmp_path / "target" / "a.keras")
    assert (tmp_path / "target").read_text() == "mine"


def test_progress_counts_every_byte_once(tmp_path):
    seen = []
    report = convert(
        make_folder(tmp_path / "a"), tmp_path / "b", progress=lambda size, total: seen.append((size, total))
    )
    assert len(seen) == report.tensors
    assert sum(size for size, _ in seen) == report.size
    assert {total for _, total in seen} == {report.size}


def test_every_tensor_is_read_once(tmp_path, monkeypatch):
    read: list[str] = []
    monkeypatch.setattr(
        conversion,
        "open_checkpoint",
        lambda *a, **options: _noting(open_checkpoint(*a, **options), lambda name: read.append(name)),
    )
    convert(make_folder(tmp_path / "a"), tmp_path / "b.weights.h5")
    assert sorted(read) == sorted(tensors_of("LxmertForPreTraining"))


def _noting(checkpoint, note):
    whole = checkpoint.file.read

    def reading(name, *options):
        note(name)
        return whole(name, *options)

    checkpoint.file.read = reading
    return checkpoint


def test_bfloat16_is_kept(tmp_path):
    def values(p):
        return values_of(p).astype(BFLOAT16)

    found = list(parameters(CONFIG, head_names("LxmertForPreTraining", CONFIG)))
    items = [LazyTensor(p, BFLOAT16, lambda p=p: values(p)) for p in found]
    write_folder(tmp_path / "source", CONFIG, "LxmertForPreTraining", items)
    place = tmp_path / "source"
    for step in ("a.weights.h5", "b.keras", "back"):
        convert(place, place := tmp_path / step)
    assert_bits_equal(read_folder(place), {HUGGING_FACE.key(p, True): values(p) for p in found})


def test_a_folder_in_several_files_onto_itself(tmp_path):
    """Its new weights would take the place of the old ones."""
    convert(make_folder(tmp_path / "one"), tmp_path / "many", max_shard_size="2KB")
    before = digest(tmp_path / "many")
    assert len(before) > 3
    with pytest.raises(ValueError, match="many is the source itself; pass another target"):
        convert(tmp_path / "many", tmp_path / "many", task="backbone")
    assert digest(tmp_path / "many") == before


@pytest.mark.parametrize(
    ("formats", "policy"),
    [(("float16", "float32"), "float32"), (("float16", "float16"), "float16"), (("float16", "bfloat16"), "float32")],
)
def test_an_archive_of_several_dtypes_is_a_model_of_the_widest(formats, policy, tmp_path):
    def item(number, parameter):
        dtype = BFLOAT16 if formats[number % 2] == "bfloat16" else np.dtype(formats[number % 2])
        return LazyTensor(parameter, dtype, lambda: values_of(parameter))

    items = [item(number, p) for number, p in enumerate(parameters(CONFIG, ()))]
    write_keras_archive(tmp_path / "a.keras", CONFIG, "LxmertModel", items)
    with zipfile.ZipFile(tmp_path / "a.keras") as archive:
        assert json.loads(archive.read("config.json"))["config"]["dtype"]["config"]["name"] == policy


def test_a_word_embedding_that_is_kept_as_the_decoder_alone(tmp_path):
    """safetensors keeps one of two names of one tensor; the sizes are told by it."""
    tensors = tensors_of("LxmertForPreTraining")
    tensors[TIED_DECODER] = tensors.pop("lxmert.embeddings.word_embeddings.weight")
    save_file(tensors, tmp_path / "a.safetensors")
    convert(tmp_path / "a.safetensors", tmp_path / "b", num_attention_heads=3)
    expected = tensors_of("LxmertForPreTraining")
    assert_bits_equal(read_folder(tmp_path / "b"), expected)
