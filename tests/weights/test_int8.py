"""Weights in int8 with scales beside them: in files, in state dicts, and for every reader of files."""

import copy
import json

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from torch import nn

from lxmert import pt, tf
from lxmert.cli import main
from lxmert.inference.verify import verify
from lxmert.pt.quantization import Int8Linear
from lxmert.weights.checkpoint import CheckpointMismatchError
from lxmert.weights.compare import compare
from lxmert.weights.convert import convert
from lxmert.weights.inspect import summarize
from tests.small import small_config

LXMERT, VISUAL_BERT = "LxmertForPreTraining", "VisualBertForQuestionAnswering"
QUERY = "lxmert.encoder.layer.0.attention.self.query.weight"


@pytest.fixture(scope="module", params=[LXMERT, VISUAL_BERT])
def model(request):
    """A model with floating-point weights; one of its rows is zero."""
    torch.manual_seed(0)
    model = getattr(pt, request.param)(small_config(request.param)).eval()
    with torch.no_grad():
        next(m for m in model.modules() if isinstance(m, nn.Linear)).weight[3] = 0
    return model


@pytest.fixture(scope="module")
def folders(model, tmp_path_factory):
    """A folder with floating-point weights, and one in int8."""
    folder = tmp_path_factory.mktemp("int8")
    model.save_pretrained(folder / "float")
    quantized(model).save_pretrained(folder / "int8")
    return folder


@pytest.fixture
def folder(tmp_path):
    """A folder with an LXMERT in int8, to damage."""
    torch.manual_seed(0)
    quantized(pt.LxmertForPreTraining(small_config(LXMERT))).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def quantized(model):
    """A copy of a model with int8 weights."""
    return copy.deepcopy(model).eval().quantize("int8")


def assert_same(a, b):
    """Two models have the same layers, and the same weights to the bit."""
    assert [type(m) for m in a.modules()] == [type(m) for m in b.modules()]
    a, b = a.state_dict(), b.state_dict()
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert value.dtype == b[name].dtype
        assert torch.equal(value, b[name]), name


# Round trips


def test_quantizing_while_loading_is_quantizing_the_loaded_model(model, folders):
    loaded = type(model).from_pretrained(folders / "float", quantize="int8")
    assert any(isinstance(module, Int8Linear) for module in loaded.modules())
    assert_same(loaded, quantized(model))
    with torch.inference_mode():
        assert_same(type(model).from_pretrained(folders / "float", quantize="int8"), loaded)


@pytest.mark.parametrize("options", [{}, {"max_shard_size": "4KB"}, {"safe_serialization": False}])
def test_saved_and_loaded_to_the_bit(options, model, folders, tmp_path):
    saved = quantized(model)
    saved.save_pretrained(tmp_path / "saved", **options)
    assert_same(type(model).from_pretrained(tmp_path / "saved"), saved)
    assert_same(type(model).from_pretrained(tmp_path / "saved", quantize="int8"), saved)


def test_config_says_what_is_int8(model, folders):
    values = json.loads((folders / "int8" / "config.json").read_text())
    stored = load_file(folders / "int8" / "model.safetensors")
    described = values["quantization_config"]
    assert described["quant_method"] == "compressed-tensors"
    int8 = {name.removesuffix(".weight") for name, value in stored.items() if value.dtype == np.int8}
    assert int8
    assert all(stored[f"{name}.weight_scale"].shape == (len(stored[f"{name}.weight"]), 1) for name in int8)
    assert not int8 & set(described["ignore"])
    linear = {
        name.removesuffix(".weight") for name, value in stored.items() if name.endswith("weight") and value.ndim == 2
    }
    tables = {name for name in linear if name.endswith("embeddings") or "_embeddings" in name}
    assert linear - tables - int8 == set(described["ignore"]) - {"cls.predictions.decoder"}
    assert not hasattr(type(model).from_pretrained(folders / "int8").config, "quantization_config")


def test_floating_point_numbers_on_request(model, folders):
    floats = type(model).from_pretrained(folders / "int8", quantize=False, dtype=torch.float64)
    int8 = type(model).from_pretrained(folders / "int8").state_dict()
    for name, value in floats.state_dict().items():
        scale = int8.get(f"{name}_scale")
        wanted = int8[name] if scale is None else int8[name].float() * scale[:, None]
        assert torch.equal(value, wanted.double()), name
    name = type(model).__name__
    keras_model = getattr(tf, f"TF{name}").from_pretrained(folders / "int8", dtype="float64", quantize=False)
    assert not keras_model.is_quantized
    for parameter, weight in keras_model.weights_by_name():
        module, attribute = floats.locate(parameter)
        assert np.array_equal(parameter.leaf.to_torch(np.array(weight)), getattr(module, attribute).detach())


def test_another_value_of_quantize():
    with pytest.raises(ValueError, match=r'quantize must be "int8", False or None; got \'int4\''):
        pt.LxmertModel.from_pretrained("folder", quantize="int4")
    with pytest.raises(ValueError, match=r'quantize must be "int8", False or None; got \'int4\''):
        tf.TFLxmertModel.from_pretrained("folder", quantize="int4")
    for kind in (pt.VisualGenomeDetector, tf.TFVisualGenomeDetector):
        with pytest.raises(ValueError, match=r"quantize must be None or False; got 'int8'\. The models of words"):
            kind.from_pretrained("folder", quantize="int8")


def test_own_classes(folder):
    class Classifier(pt.LxmertPreTrainedModel):
        def __init__(self, config):
            super().__init__(config)
            self.lxmert = pt.LxmertModel(config)
            self.classifier = nn.Linear(config.hidden_size, 3)
            self.post_init()

    model = Classifier.from_pretrained(folder, allow_new_head=True)
    model.save_pretrained(folder / "own")
    assert_same(Classifier.from_pretrained(folder / "own"), model)
    assert_same(model.lxmert, pt.LxmertModel.from_pretrained(folder))
    assert isinstance(model.classifier, nn.Linear)


def test_with_another_dtype(model, folders):
    loaded = type(model).from_pretrained(folders / "float", quantize="int8", dtype=torch.bfloat16)
    expected = quantized(model)
    for (name, value), wanted in zip(loaded.state_dict().items(), expected.state_dict().values(), strict=True):
        kept = wanted if name.endswith("_scale") or wanted.dtype == torch.int8 else wanted.to(torch.bfloat16)
        assert value.dtype == kept.dtype
        assert torch.equal(value, kept), name
    assert type(model).from_pretrained(folders / "int8", dtype="auto").dtype == torch.float32


# State dicts


def test_state_dicts(model, folders):
    int8, other = quantized(model), quantized(model)
    for value in other.state_dict().values():
        value.zero_()
    published = {name: torch.from_numpy(value) for name, value in load_file(folders / "int8/model.safetensors").items()}
    for state in (int8.state_dict(), published, model.state_dict()):  # the last is rounded
        for value in other.state_dict().values():
            value.zero_()
        other.load_state_dict(state)
        assert_same(other, int8)
    kind = type(model)
    assert_same(kind.from_pretrained(None, config=model.config, state_dict=int8.state_dict()), int8)


def test_wrong_state_dicts(model):
    int8 = quantized(model)
    state = int8.state_dict()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(RuntimeError, match=r'is torch.int8 in the state dict.* Call model.quantize\("int8"\) first'):
        model.load_state_dict(state, strict=False)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    name = next(name for name in state if name.endswith("weight_scale"))
    for wrong in ({}, {name: state[name] * 0}, {name: state[name] / 0}):
        damaged = {key: value for key, value in state.items() if key != name} | wrong
        with pytest.raises(RuntimeError, match=rf"positive and finite {name}\. Nothing was loaded"):
            int8.load_state_dict(damaged, strict=False)
    with torch.no_grad():
        next(m for m in int8.modules() if isinstance(m, Int8Linear)).weight_scale[0] = np.nan
    with pytest.raises(ValueError, match="weight_scale holds numbers that are not positive and finite"):
        int8.save_pretrained("folder")


# Other readers


def test_converting(model, folders, tmp_path):
    source, target = folders / "float", tmp_path / "int8"
    done = convert(source, target, dtype="int8")
    assert (done.int8 > 5, done.dequantized) == (True, 0)
    for name in ("config.json", "model.safetensors"):  # as the quantized model writes them
        assert (target / name).read_bytes() == (folders / "int8" / name).read_bytes()
    kept = convert(target, tmp_path / "kept")
    assert (tmp_path / "kept" / "model.safetensors").read_bytes() == (target / "model.safetensors").read_bytes()
    keras_file = convert(target, tmp_path / "a.weights.h5")
    assert (kept.int8, keras_file.int8, keras_file.dequantized) == (done.int8, 0, done.int8)
    convert(target, tmp_path / "float", dtype="float32")
    assert "quantization_config" not in json.loads((tmp_path / "float" / "config.json").read_text())
    assert compare(target, tmp_path / "a.weights.h5").same
    assert compare(target, tmp_path / "float").same
    assert not compare(target, source).same
    convert(tmp_path / "a.weights.h5", tmp_path / "again", dtype="int8")
    expected = type(model).from_pretrained(target)
    largest = max(s.max() for n, s in expected.state_dict().items() if n.endswith("_scale"))
    assert compare(target, tmp_path / "again", tolerance=1e-5 * float(largest) * 127).same
    with pytest.raises(ValueError, match=r"dtype int8 is for a folder's safetensors"):
        convert(source, tmp_path / "b.keras", dtype="int8")


def test_infinite_numbers_are_not_rounded(folder, tmp_path):
    convert(folder, tmp_path / "float", dtype="float32")
    damage(tmp_path / "float", **{QUERY: np.full((24, 24), np.inf, "float32")})
    with pytest.raises(ValueError, match=rf"{QUERY} holds NaN or infinite numbers, which int8 does not have"):
        convert(tmp_path / "float", tmp_path / "int8", dtype="int8")
    assert not (tmp_path / "int8").exists()


def test_commands(folder, tmp_path, capsys):
    assert main(["inspect", str(folder)]) == 0
    assert "in int8 with scales" in (text := capsys.readouterr().out)
    assert "int8, float32" in text
    summary = summarize(folder)
    stored = load_file(folder / "model.safetensors")
    assert (summary.tensors, summary.size) == (len(stored), sum(value.nbytes for value in stored.values()))
    assert sum(module.size for module in summary.modules) == summary.size
    assert summary.unused == ()
    assert main(["convert", str(folder), str(tmp_path / "a.weights.h5")]) == 0
    assert "they were written as int8 times scale" in capsys.readouterr().out
    assert main(["compare", str(folder), str(tmp_path / "a.weights.h5"), "--all"]) == 0
    assert "int8, float32 / float32" in capsys.readouterr().out


@pytest.mark.parametrize("model", [VISUAL_BERT], indirect=True)
def test_conversion_to_int8_is_verified(model, folders, tmp_path):
    convert(folders / "float", tmp_path / "int8", dtype="int8")
    assert verify(folders / "float", tmp_path / "int8", dtype="int8").agrees
    assert verify(tmp_path / "int8", tmp_path / "int8").agrees


# Damaged files


def damage(folder, **changes):
    """Change tensors of a file; those that are None are left out."""
    path = folder / "model.safetensors"
    stored = {**load_file(path), **changes}
    save_file({name: value for name, value in stored.items() if value is not None}, path, {"format": "pt"})


@pytest.mark.parametrize(
    ("scale", "message"),
    [
        (np.ones((7, 1), "float32"), r"weight_scale is \[7, 1\], and .* is \[24, 24\] in int8"),
        (np.ones((24, 3), "float32"), r"weight_scale is \[24, 3\], and .* is \[24, 24\] in int8"),
        (np.ones(1, "float32"), r"weight_scale is \[1\], and"),
        (np.ones((24, 1), "int32"), "weight_scale is int32; scales are float32"),
        (np.ones((24, 1), "float64"), "weight_scale is float64; scales are float32"),
        (np.full((24, 1), np.nan, "float32"), "weight_scale holds numbers that are not positive and finite"),
        (np.full((24, 1), np.inf, "float32"), "weight_scale holds numbers that are not positive and finite"),
        (np.zeros((24, 1), "float32"), "weight_scale holds numbers that are not positive and finite"),
        (np.full((24, 1), -1, "float32"), "weight_scale holds numbers that are not positive and finite"),
        (None, r"holds 1 weights as integers: .*query.weight as int8\. Nothing was loaded.*need their scales"),
    ],
)
def test_bad_scales(scale, message, folder):
    damage(folder, **{f"{QUERY}_scale": scale})
    for kind in (pt.LxmertForPreTraining, tf.TFLxmertForPreTraining):
        with pytest.raises(ValueError, match=message):
            kind.from_pretrained(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {QUERY: np.ones((24, 24), "uint8")},
            r"unexpected  1: .*query.weight_scale.*\n.*\n.*int8 matrices with a scale of each row",
        ),
        ({QUERY: np.ones((24, 24), "float32")}, rf"unexpected  1: {QUERY}_scale"),
        ({f"{QUERY}_zero_point": np.ones((24, 1), "int8")}, rf"unexpected  1: {QUERY}_zero_point"),
        (
            {QUERY: np.ones((24, 24), "float32"), f"{QUERY}_scale": None},
            r'has \d+ of \d+ layers in int8: pass quantize="int8" to round the others too, or quantize=False',
        ),
    ],
)
def test_files_that_are_half_int8(changes, message, folder):
    damage(folder, **changes)
    for kind in (pt.LxmertForPreTraining, tf.TFLxmertForPreTraining):
        with pytest.raises(CheckpointMismatchError, match=message):
            kind.from_pretrained(folder)


def test_half_int8_on_request(folder):
    expected = pt.LxmertForPreTraining.from_pretrained(folder)
    scale = load_file(folder / "model.safetensors")[f"{QUERY}_scale"]
    floats = load_file(folder / "model.safetensors")[QUERY] * scale
    damage(folder, **{QUERY: floats, f"{QUERY}_scale": None})
    loaded = pt.LxmertForPreTraining.from_pretrained(folder, quantize="int8")
    assert [type(m) for m in loaded.modules()] == [type(m) for m in expected.modules()]
    floats = pt.LxmertForPreTraining.from_pretrained(folder, quantize=False)
    assert not any(isinstance(module, Int8Linear) for module in floats.modules())


def test_content_decides(folder):
    expected = pt.LxmertForPreTraining.from_pretrained(folder)
    for described in (None, {"quant_method": "another"}, [1]):
        values = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**values, "quantization_config": described}))
        assert_same(pt.LxmertForPreTraining.from_pretrained(folder), expected)
