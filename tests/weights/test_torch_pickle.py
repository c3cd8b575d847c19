"""Files of torch.save that hold weights, as scripts leave them. (Those made to mislead are elsewhere.)"""

import collections
import sys
import warnings
import zipfile

import numpy as np
import pytest
import torch

import lxmert.pt
import lxmert.tf
from lxmert import convert
from lxmert.weights.formats import open_weights
from lxmert.weights.formats.raw_io import BFLOAT16
from lxmert.weights.formats.torch_pickle import PickleFile

from .weight_folders import CONFIG, assert_bits_equal, read_folder, tensors_of

NAME = "LxmertForQuestionAnswering"
OLD = {"_use_new_zipfile_serialization": False}


def tensors():
    return {name: torch.from_numpy(x) for name, x in tensors_of(NAME).items()}


def of_its_own_storage(folder, held, **options):
    CONFIG.save_pretrained(folder)
    torch.save(held, folder / "pytorch_model.bin", **options)
    return folder


@pytest.mark.parametrize("options", [{}, OLD], ids=["zip", "old"])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda held: held,
        dict,
        lambda held: {name: torch.nn.Parameter(x) for name, x in held.items()},
        lambda held: {"state_dict": held, "epoch": 3, "best": 0.5, "args": {"lr": 1e-4, "files": ["a", None]}},
        lambda held: {"model": held, "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{}]}},
        lambda held: {"model_state_dict": held},
        lambda held: {"module": held, "ds_version": "0.14"},
        lambda held: {"model": {"state_dict": held}},
        lambda held: {**held, "epoch": 3},
        lambda held: {"state_dict": held, "global_step": 10**9, "seed": 2**70, "betas": [(0.9, 0.999)] * 3},
        lambda held: {"model": {"state_dict": held}, "loss": torch.tensor(0.5), "state_dict": {}},
        lambda held: {"model": held, "optimizer": {"state": {139_637_976_727_552: {"step": 3}, (0, "a"): {}}}},
    ],
    ids=[
        "ordered",
        "plain",
        "parameters",
        "lightning",
        "trainer",
        "script",
        "deepspeed",
        "nested",
        "beside",
        "large numbers",
        "a loss",
        "other keys",
    ],
)
def test_weights_among_other_things(wrap, options, tmp_path):
    source = of_its_own_storage(tmp_path / "source", wrap(tensors()), **options)
    done = convert(source, tmp_path / "back")
    assert_bits_equal(read_folder(tmp_path / "back"), tensors_of(NAME))
    assert done.report.format == ("PyTorch pickle of the old format" if options else "PyTorch pickle")
    assert (done.architecture, done.report.unexpected) == (NAME, ())


@pytest.mark.parametrize("options", [{}, OLD], ids=["zip", "old"])
def test_views_and_shared_memory(options, tmp_path):
    """Turned, cut out of a larger one, two names of one storage: the values are what counts."""
    whole = torch.arange(240.0).reshape(20, 12)
    held = {
        "turned": whole.t(),
        "cut": whole[3:9, 2:5],
        "first": whole,
        "second": whole,
        "one": torch.tensor(3.5),
        "none": torch.zeros(0, 4),
    }
    torch.save(held, tmp_path / "a.pt", **options)
    file = open_weights(tmp_path / "a.pt")
    assert type(file) is PickleFile
    assert {name: file.read(name).tolist() for name in held} == {name: x.tolist() for name, x in held.items()}
    assert file.shapes == {name: tuple(x.shape) for name, x in held.items()}
    assert all(file.read(name).flags.c_contiguous for name in held)
    file.close()


@pytest.mark.parametrize("options", [{}, OLD], ids=["zip", "old"])
def test_dtypes(options, tmp_path):
    values = np.array([1.0, -0.0, np.inf, np.nan, 3.140625, 1e-40])
    kinds = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "uint8", "bool")
    held = {
        kind: torch.from_numpy(values if "float" in kind else np.arange(6)).to(getattr(torch, kind)) for kind in kinds
    }
    torch.save(held, tmp_path / "a.bin", **options)
    file = open_weights(tmp_path / "a.bin")
    assert file.dtypes == {kind: BFLOAT16 if kind == "bfloat16" else np.dtype(kind) for kind in kinds}
    for kind in ("float64", "float32", "float16", "bfloat16"):
        assert file.read(kind).tobytes() == held[kind].view(torch.uint8).numpy().tobytes(), kind
    file.close()


def test_formats_that_are_not_read(tmp_path):
    torch.save({"a": torch.ones(2, dtype=torch.complex64)}, tmp_path / "a.bin")
    with pytest.raises(ValueError, match=r"a\.bin"):
        open_weights(tmp_path / "a.bin")


@pytest.mark.parametrize("options", [{}, OLD], ids=["zip", "old"])
def test_tensors_whose_numbers_are_not_those_that_are_stored(options, tmp_path):
    """A view of the negative of an imaginary part, of which PyTorch stores the imaginary part and a mark."""
    negative = torch.ones(3, dtype=torch.complex64).mul(1 + 2j).conj().imag
    assert negative.is_neg()
    torch.save({"a": negative}, tmp_path / "a.bin", **options)
    with pytest.raises(ValueError, match=r"a\.bin holds a tensor of which other numbers are stored than it has"):
        open_weights(tmp_path / "a.bin")


@pytest.mark.parametrize("content", [[1, 2], 3.0, "text"])
def test_what_is_no_state_dict(content, tmp_path):
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"a state dict was expected: tensors by name"):
        open_weights(tmp_path / "a.pt")


def test_a_state_dict_without_tensors(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match=r"a\.pt "):
        open_weights(tmp_path / "a.pt")


def test_a_model_pickled_whole_is_refused_with_advice(tmp_path):
    torch.save(torch.nn.Linear(2, 3), tmp_path / "a.pt")
    said = (
        r"holds more than tensors by name .*, which is not run\. Where it comes from, save the weights alone: torch\."
    )
    with pytest.raises(ValueError, match=said):
        open_weights(tmp_path / "a.pt")


@pytest.mark.parametrize("options", [{}, OLD], ids=["zip", "old"])
def test_with_what_optimizers_and_modules_leave(options, tmp_path):
    """Real ones: state by number, metadata as attributes, tuples that are there again and again."""
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4))
    training = torch.optim.AdamW([{"params": [x], "lr": 10.0**-i} for i, x in enumerate(model.parameters())])
    model(torch.ones(1, 3)).sum().backward()
    training.step()
    torch.save({"model": model.state_dict(), "optimizer": training.state_dict()}, tmp_path / "a.pt", **options)
    file = open_weights(tmp_path / "a.pt")
    assert {name: file.read(name).tolist() for name in file.shapes} == {
        name: x.tolist() for name, x in model.state_dict().items()
    }
    file.close()


@pytest.mark.parametrize("options", [{}, OLD], ids=["zip", "old"])
@pytest.mark.parametrize("number", [4, 5])
def test_another_language_of_pickles(number, options, tmp_path):
    torch.save(tensors(), tmp_path / "a.pt", pickle_protocol=number, **options)
    said = (
        rf"was saved with pickle_protocol={number}, .* Where it comes from, save it again with the default: torch\.save"
    )
    with pytest.raises(ValueError, match=said):
        open_weights(tmp_path / "a.pt")


def test_as_python_2_wrote_it(tmp_path):
    """Texts without an encoding, and an OrderedDict that is made of a list of pairs."""
    torch.save({"a": torch.arange(3.0)}, tmp_path / "new.pt")
    with zipfile.ZipFile(tmp_path / "new.pt") as archive, zipfile.ZipFile(tmp_path / "a.pt", "w") as made:
        for item in archive.infolist():
            content = archive.read(item)
            if item.filename.endswith("data.pkl"):
                values = content[content.index(b"ctorch._utils") : content.rindex(b"s.")]
                content = b"\x80\x02ccollections\nOrderedDict\n]](U\x01a" + values + b"ea\x85R."
            made.writestr(item.filename, content)
    file = open_weights(tmp_path / "a.pt")
    assert file.read("a").tolist() == [0.0, 1.0, 2.0]
    file.close()


@pytest.mark.parametrize("options", [{}, OLD], ids=["zip", "old"])
def test_without_pytorch(options, tmp_path, monkeypatch):
    source = of_its_own_storage(tmp_path / "source", tensors(), **options)
    monkeypatch.setitem(sys.modules, "torch", None)
    convert(source, tmp_path / "back")
    assert_bits_equal(read_folder(tmp_path / "back"), tensors_of(NAME))


def test_written_on_a_machine_of_the_other_byte_order(tmp_path):
    """Every number is swapped, and the file says so."""
    held = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.arange(3).bfloat16(), "c": torch.tensor([True, False])}
    torch.save(held, tmp_path / "little.pt")
    with zipfile.ZipFile(tmp_path / "little.pt") as archive, zipfile.ZipFile(tmp_path / "big.pt", "w") as made:
        for item in archive.infolist():
            content = archive.read(item)
            width = {24: "<u4", 6: "<u2"}.get(len(content)) if "/data/" in item.filename else None
            content = np.frombuffer(content, width).byteswap().tobytes() if width else content
            made.writestr(item.filename, b"big" if item.filename.endswith("byteorder") else content)
    file = open_weights(tmp_path / "big.pt")
    assert {name: file.read(name).tolist() for name in held} == {name: x.tolist() for name, x in held.items()}
    file.close()


KINDS = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")


def drawn_tensor(draw, earlier):
    """Any layout in any dtype, of its own storage or of an earlier one."""
    kind = getattr(torch, KINDS[draw.integers(len(KINDS))])
    shape = tuple(int(n) for n in draw.integers(0, 5, draw.integers(0, 5)))
    values = torch.from_numpy(np.asarray(draw.standard_normal(shape) * 100)).to(kind)
    if earlier and draw.random() < 0.3:
        values = earlier[draw.integers(len(earlier))].detach()
    for _ in range(draw.integers(0, 4)):
        if values.ndim and draw.random() < 0.5:
            axis = int(draw.integers(values.ndim))
            values = values.narrow(axis, min(1, values.shape[axis]), max(0, values.shape[axis] - 1))
        elif values.ndim > 1:
            values = values.transpose(*(int(n) for n in draw.integers(0, values.ndim, 2)))
        elif values.ndim and values.shape[0] > 1:
            values = values[:: int(draw.integers(1, 3))]
        else:
            values = values[None]
    return (
        torch.nn.Parameter(values, bool(draw.random() < 0.5))
        if kind.is_floating_point and values.is_floating_point() and draw.random() < 0.3
        else values
    )


@pytest.mark.parametrize("seed", range(40))
def test_as_pytorch_reads_it(seed, tmp_path):
    """Drawn state dicts: every bit is that of torch.load."""
    draw = np.random.default_rng(seed)
    held = collections.OrderedDict() if draw.random() < 0.5 else {}
    for i in range(draw.integers(1, 12)):
        held[f"{'layer.' * draw.integers(3)}{i} ä"] = drawn_tensor(draw, list(held.values()))
    if isinstance(held, collections.OrderedDict):
        held._metadata = collections.OrderedDict({"": {"version": 1}})
    wrapped = [held, {"model": held, "step": 3}, {"state_dict": {"net": held}}][draw.integers(3)]
    options = {"_use_new_zipfile_serialization": bool(draw.random() < 0.5), "pickle_protocol": int(draw.integers(2, 4))}
    torch.save(wrapped, tmp_path / "a.pt", **options)
    with warnings.catch_warnings(action="ignore"):  # about protocol 3
        expected = torch.load(tmp_path / "a.pt", weights_only=True)
    for key in ("model", "state_dict", "net"):
        expected = expected.get(key, expected)
    file = open_weights(tmp_path / "a.pt")
    assert file.shapes == {name: tuple(x.shape) for name, x in expected.items()}
    for name, x in expected.items():
        kind = str(x.dtype).removeprefix("torch.")
        assert file.dtypes[name] == (BFLOAT16 if kind == "bfloat16" else np.dtype(kind))
        x = x.detach().clone(memory_format=torch.contiguous_format)
        bits = (x.view(torch.int16) if kind == "bfloat16" else x).numpy().tobytes()
        values = file.read(name)
        assert values.tobytes() == bits
        assert values.shape == file.shapes[name]
        assert values.flags.c_contiguous
        assert values.flags.writeable
    file.close()


def test_the_models_do_not_lean_on_the_file(tmp_path):
    """A model holds its own numbers: the file may go, and training does not write into it."""
    source = of_its_own_storage(tmp_path, tensors())
    before = (source / "pytorch_model.bin").read_bytes()
    models = [
        lxmert.pt.LxmertForQuestionAnswering.from_pretrained(source),
        lxmert.tf.TFLxmertForQuestionAnswering.from_pretrained(source),
    ]
    with torch.no_grad():
        for weight in models[0].parameters():
            weight.add_(1.0)
    assert (source / "pytorch_model.bin").read_bytes() == before
    (source / "pytorch_model.bin").write_bytes(b"")
    expected = tensors_of(NAME)["lxmert.pooler.dense.weight"]
    assert np.array_equal(models[0].backbone.pooler.dense.weight.detach().numpy(), expected + 1)
    assert np.array_equal(np.asarray(models[1].backbone.pooler.dense.kernel).T, expected)


def test_half_a_file(tmp_path):
    for options in ({}, OLD):
        source = of_its_own_storage(tmp_path, tensors(), **options)
        content = (source / "pytorch_model.bin").read_bytes()
        for share in (0.001, 0.05, 0.5, 0.9, 0.999):
            (source / "pytorch_model.bin").write_bytes(content[: int(len(content) * share)])
            with pytest.raises(ValueError, match=r"pytorch_model\.bin"):
                open_weights(source)
