"""Weight files recognized by content; damaged and foreign ones are refused."""

import io
import os
import zipfile

import h5py
import numpy as np
import pytest

from lxmert import convert
from lxmert.weights import save_hdf5
from lxmert.weights.formats import Selection, choose_weights, open_weights
from lxmert.weights.formats.hdf5 import CONFIG_ATTRIBUTE, Hdf5File
from lxmert.weights.formats.keras_archive import KerasArchive
from lxmert.weights.formats.safetensors import SafetensorsFile
from lxmert.weights.load import match_parameters
from lxmert.weights.open import open_checkpoint

from .weight_folders import tensors_of


@pytest.mark.parametrize(
    ("name", "kind"),
    [("model.safetensors", SafetensorsFile), ("good.weights.h5", Hdf5File), ("good.keras", KerasArchive)],
)
def test_told_by_content(name, kind, good, tmp_path):
    (tmp_path / "misnamed.dat").write_bytes((good / name).read_bytes())
    file = open_weights(tmp_path / "misnamed.dat")
    assert type(file) is kind
    assert len(file.shapes) == len(file.dtypes) == len(tensors_of("LxmertForPreTraining"))
    file.close()


def test_a_folder_is_its_safetensors_file(good):
    file = open_weights(str(good))
    assert file.path == good / "model.safetensors"
    file.close()


@pytest.mark.parametrize(
    ("held", "message"),
    [
        (
            [],
            "has no model.safetensors, pytorch_model.bin or tf_model.h5, and no single other weight file; it holds "
            "nothing. Pass a folder that has one, or a weight file.",
        ),
        (["config.json"], "it holds config.json. Pass a folder that has one, or a weight file."),
        (["training_args.bin", "optimizer.pt"], "it holds optimizer.pt, training_args.bin. "),
        (["a.weights.h5", "b.pth", "x"], "it holds a.weights.h5, b.pth, x. Pass the path of one of them."),
        ([f"{i:02}" for i in range(12)], "it holds 00, 01, 02, 03, 04, 05, 06, 07 and 4 more"),
    ],
)
def test_folders_without_weights(held, message, tmp_path):
    for name in held:
        (tmp_path / name).touch()
    with pytest.raises(FileNotFoundError, match=message):
        open_weights(tmp_path)


PUBLISHED = [
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "tf_model.h5",
]


def test_which_file_of_a_folder_is_read():
    beside = ["config.json", "vocab.txt", "a.weights.h5", "b.keras", "training_args.bin", "model-00001-of-00002.bin"]
    for number, name in enumerate(PUBLISHED):
        assert choose_weights([*beside, *reversed(PUBLISHED[number:])]) == name
    assert choose_weights(["config.json", "optimizer.pt", "BEST.pth"]) == "BEST.pth"
    assert choose_weights([]) is None
    assert choose_weights(["a.pth", "b.pth"]) is None
    assert choose_weights(PUBLISHED, Selection(use_safetensors=False)) == "pytorch_model.bin"
    assert choose_weights(PUBLISHED[2:], Selection(use_safetensors=True)) is None


def some_zip(name="archive/data.txt"):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(name, b"\x80\x02}q\x00.")
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.safetensors", b"", "is empty; a weight file was expected"),
        (
            "w.dat",
            b"hello, I am a text\n",
            "is no weight file: it is neither safetensors nor HDF5 nor a .keras archive",
        ),
        ("w.safetensors", b"hello, I am a text\n", "is not a complete safetensors file"),
        ("w.bin", some_zip("a/data.pkl"), r"holds no tensors by name; a state dict was expected"),
        ("w.pth", b"\x80\x02}q\x00.", "must hold arrays of numbers by name; it is empty"),
        ("w.dat", some_zip(), "is a ZIP archive, but not a .keras file: it lacks config.json or model.weights.h5"),
        ("w.bin", b"version https://git-lfs.github.com/spec/v1", "a pointer of Git LFS: fetch them with git"),
        ("w.keras", b"PK\x03\x04 and then nothing", "is not a complete ZIP archive"),
        ("w.h5", b"\x89HDF\r\n\x1a\n and then nothing", "is not a complete HDF5 file"),
    ],
)
def test_foreign_files(name, content, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        open_weights(tmp_path / name)


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file or folder .*absent\."):
        open_weights(tmp_path / "absent")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the system has no named pipes")
def test_a_pipe_is_no_weight_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match=r"pipe is a device or a pipe; a weight file was expected"):
        open_weights(tmp_path / "pipe")


@pytest.mark.parametrize("name", ["model.safetensors", "good.weights.h5", "good.keras"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_truncated_files(name, share, good, tmp_path):
    content = (good / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ValueError, match=r"is not a complete"):
        open_weights(tmp_path / name)


@pytest.mark.parametrize("name", ["model.safetensors", "good.weights.h5", "good.keras"])
def test_a_file_that_is_truncated_after_it_was_opened(name, good, tmp_path):
    path = tmp_path / name
    path.write_bytes((good / name).read_bytes())
    file = open_weights(path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(ValueError, match=r"ends at byte \d+, inside of an array; it is truncated"):
        list(map(file.read, file.shapes))
    file.close()


@pytest.mark.parametrize("name", ["good.weights.h5", "good.keras"])
def test_damage_in_the_middle_is_a_clear_error_or_none(name, good, tmp_path):
    """Bytes overwritten anywhere: the file opens and reads, or says what is wrong; never an error from inside."""
    content = (good / name).read_bytes()
    draw = np.random.default_rng(0)
    refused = 0
    for start in draw.integers(0, len(content) - 64, 20):
        damaged = bytearray(content)
        damaged[start : start + 64] = draw.bytes(64)
        (tmp_path / name).write_bytes(damaged)
        try:
            with open_checkpoint(tmp_path / name) as checkpoint:
                for parameter in match_parameters(checkpoint, checkpoint.architecture)[0]:
                    checkpoint.read(parameter)
        except (ValueError, TypeError) as error:  # TypeError: a damaged config may hold values of another kind
            refused += bool(str(error))
    assert refused


def test_compressed_data_sets_read(good, tmp_path):
    with h5py.File(good / "good.weights.h5") as source, h5py.File(tmp_path / "w.weights.h5", "w") as target:
        target.attrs.update(source.attrs)

        def copy(name, item):
            if isinstance(item, h5py.Dataset):
                target.create_dataset(name, data=item[()], compression="gzip", shuffle=True, dtype=">f4")

        source.visititems(copy)
    first, second = open_weights(good / "good.weights.h5"), open_weights(tmp_path / "w.weights.h5")
    assert first.shapes == second.shapes
    assert first.dtypes == second.dtypes
    assert all(np.array_equal(first.read(name), second.read(name)) for name in first.shapes)
    first.close()
    second.close()


def test_a_config_beside_a_file_without_one(good, tmp_path):
    path = tmp_path / "w.weights.h5"
    path.write_bytes((good / "good.weights.h5").read_bytes())
    with h5py.File(path, "a") as file:
        del file.attrs[CONFIG_ATTRIBUTE]
    file = open_weights(path)
    assert file.config is None
    (tmp_path / "config.json").write_text('{"l_layers": 2}')
    assert file.config == {"l_layers": 2}
    file.close()


@pytest.mark.parametrize("name", ["a.weights.h5", "a.keras"])
def test_h5pys_high_level_interface_gives_the_same(name, good, tmp_path, monkeypatch):
    convert(good, tmp_path / name)
    monkeypatch.setattr(save_hdf5, "USE_LOW_LEVEL", False)
    (tmp_path / "slow").mkdir()
    convert(good, tmp_path / "slow" / name)
    for path in (tmp_path / name, tmp_path / "slow" / name):
        convert(path, tmp_path / "back")
        assert (tmp_path / "back" / "model.safetensors").read_bytes() == (good / "model.safetensors").read_bytes()
