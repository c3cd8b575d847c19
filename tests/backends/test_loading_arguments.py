"""The arguments of `from_pretrained` and `save_pretrained` that `transformers` documents, in both backends."""

import json
import warnings

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from lxmert.weights.checkpoint import CheckpointMismatchError
from tests.compare import assert_same
from tests.small import LABELS, small_config, small_inputs

from .backend import BACKENDS

MODEL, ANSWERING, PRETRAINING = "LxmertModel", "LxmertForQuestionAnswering", "LxmertForPreTraining"


def saved(backend, folder, name=MODEL, **options):
    model = backend.make(name)
    model.save_pretrained(folder, **options)
    return model


def same(backend, one, other, name=MODEL):
    assert_same(backend.run(one, small_inputs(name)), backend.run(other, small_inputs(name)), 0.0)


def test_a_new_head_is_announced(backend, tmp_path):
    saved(backend, tmp_path)
    kind = backend.kind(ANSWERING)
    with pytest.warns(UserWarning, match="lacks 6 parameters of LxmertForQuestionAnswering") as caught:
        model = kind.from_pretrained(tmp_path)
    message = str(caught[0].message)
    assert all(name in message for name in model.load_report.new)
    assert model.load_report.new == model.load_report.missing
    assert {name.split(".")[1] for name in model.load_report.new} == {"answer"}
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        kind.from_pretrained(tmp_path, allow_new_head=True)
        kind.from_pretrained(tmp_path, only="backbone")
    with pytest.raises(CheckpointMismatchError, match="lacks tensors of the heads: answer") as error:
        kind.from_pretrained(tmp_path, strict=True)
    assert len(error.value.missing) == 6


def test_strict_refuses_what_is_not_used(backend, tmp_path):
    saved(backend, tmp_path, PRETRAINING)
    with pytest.raises(CheckpointMismatchError) as error:
        backend.kind(MODEL).from_pretrained(tmp_path, strict=True)
    assert "answer_head.logit_fc.0.weight" in error.value.unexpected
    backend.kind(PRETRAINING).from_pretrained(tmp_path, strict=True)


def test_a_head_of_which_a_part_is_there_stays_an_error(backend, tmp_path):
    """It may be a damaged file."""
    saved(backend, tmp_path, PRETRAINING)
    file = tmp_path / "model.safetensors"
    held = load_file(file)
    del held["answer_head.logit_fc.0.bias"]
    save_file(held, file)
    with pytest.raises(CheckpointMismatchError, match="lacks tensors of the heads: answer"):
        backend.kind(ANSWERING).from_pretrained(tmp_path)


def test_other_sizes_are_ignored_on_request(backend, tmp_path):
    old, kind = saved(backend, tmp_path, ANSWERING), backend.kind(ANSWERING)
    with pytest.raises(CheckpointMismatchError, match="num_qa_labels"):
        kind.from_pretrained(tmp_path, num_qa_labels=3)
    model, info = kind.from_pretrained(
        tmp_path, num_qa_labels=3, visual_feat_dim=7, ignore_mismatched_sizes=True, output_loading_info=True
    )
    assert model.load_report.new == (
        "region_embeddings.feature.weight",
        "heads.answer.out.weight",
        "heads.answer.out.bias",
    )
    assert info == {
        "missing_keys": set(),
        "unexpected_keys": set(),
        "mismatched_keys": {
            ("lxmert.encoder.visn_fc.visn_fc.weight", (24, small_config(ANSWERING).visual_feat_dim), (24, 7)),
            ("answer_head.logit_fc.3.weight", (LABELS, 48), (3, 48)),
            ("answer_head.logit_fc.3.bias", (LABELS,), (3,)),
        },
        "error_msgs": [],
    }
    before, after = backend.weights(old), backend.weights(model)
    for name in ("region_embeddings.feature.bias", "heads.answer.up.weight"):
        assert_same(after[name], before[name], 0.0)
    assert np.asarray(after["region_embeddings.feature.weight"]).std() > 0


def test_where_weights_are(backend, tmp_path):
    model = saved(backend, tmp_path / "models" / "small", variant="v1")
    kind = backend.kind(MODEL)
    assert {path.name for path in (tmp_path / "models" / "small").iterdir()} == {"config.json", "model.v1.safetensors"}
    loaded = kind.from_pretrained(
        tmp_path / "models", subfolder="small", variant="v1", use_safetensors=True, force_download=False, revision="x"
    )
    same(backend, loaded, model)
    assert loaded.name_or_path == str(tmp_path / "models")
    same(backend, kind.from_pretrained(pretrained_model_name_or_path=tmp_path / "models" / "small"), model)
    sharded = saved(backend, tmp_path / "many", variant="v2", max_shard_size="10KB")
    assert (tmp_path / "many" / "model.safetensors.index.v2.json").is_file()
    same(backend, kind.from_pretrained(tmp_path / "many", variant="v2"), sharded)
    for options, message in (
        (
            {"variant": "fp16"},
            "has no model.fp16.safetensors or pytorch_model.fp16.bin; it holds config.json, model.v1",
        ),
        ({"use_safetensors": False}, "has no pytorch_model.bin; it holds"),
        ({"subfolder": "nowhere"}, "there is no file or folder"),
    ):
        with pytest.raises(FileNotFoundError, match=message):
            kind.from_pretrained(tmp_path / "models" / "small", **options)
    for options in ({"variant": "../x"}, {"subfolder": "../x"}, {"subfolder": "/x"}):
        with pytest.raises(ValueError, match=next(iter(options))):
            kind.from_pretrained(tmp_path / "models", **options)


def test_variants_lie_beside_each_other(backend, tmp_path):
    first, second = saved(backend, tmp_path), saved(backend, tmp_path, variant="b")
    same(backend, backend.kind(MODEL).from_pretrained(tmp_path), first)
    same(backend, backend.kind(MODEL).from_pretrained(tmp_path, variant="b"), second)
    third = saved(backend, tmp_path, variant="b", max_shard_size="10KB")
    assert not (tmp_path / "model.b.safetensors").exists()
    same(backend, backend.kind(MODEL).from_pretrained(tmp_path, variant="b"), third)


def test_the_dtype_of_a_file(backend, tmp_path):
    backend.kind(MODEL)(small_config(MODEL)).save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    kind = backend.kind(MODEL)
    assert backend.stored(kind.from_pretrained(tmp_path, dtype="auto")) == {"float32"}
    file.write_text(json.dumps({**json.loads(file.read_text()), "dtype": "float16"}))
    half = kind.from_pretrained(tmp_path, torch_dtype="auto")
    assert backend.stored(half) == {"float16"}
    kind.from_pretrained(tmp_path, dtype="float32").save_pretrained(tmp_path)
    assert json.loads(file.read_text())["dtype"] == "float32"
    with pytest.raises(ValueError, match="dtype and torch_dtype are two names of one argument"):
        kind.from_pretrained(tmp_path, dtype="float32", torch_dtype="float16")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trust_remote_code": True}, "trust_remote_code must be None or False: no code from a repository is ever run"),
        ({"quantization_config": {"bits": 4}}, "quantize the loaded model instead"),
        ({"load_in_8bit": True}, "load_in_8bit must be None or False"),
        ({"proxies": {"http": "x"}}, "set HTTPS_PROXY"),
        ({"weights_only": False}, "weights_only must be None or True"),
        ({"attn_implementation": "flash_attention_2"}, "attn_implementation must be 'eager'"),
    ],
)
def test_arguments_that_ask_for_what_is_not_there(backend, options, message, tmp_path):
    saved(backend, tmp_path)
    with pytest.raises(ValueError, match=message):
        backend.kind(MODEL).from_pretrained(tmp_path, **options)


def test_neutral_arguments(backend, tmp_path):
    model = saved(backend, tmp_path)
    loaded = backend.kind(MODEL).from_pretrained(
        tmp_path,
        low_cpu_mem_usage=True,
        trust_remote_code=False,
        proxies=None,
        from_tf=True,
        quantization_config=None,
        attn_implementation=None,
        weights_only=True,
        _fast_init=True,
        ignore_mismatched_sizes=False,
    )
    same(backend, loaded, model)
    with pytest.raises(TypeError, match=r"unexpected keyword 'device_maps'\. Did you mean 'device_map'"):
        backend.kind(MODEL).from_pretrained(tmp_path, device_maps="cpu")
    with pytest.raises(TypeError, match="needs a source"):
        backend.kind(MODEL).from_pretrained()
    with pytest.raises(TypeError, match="is_main_process must be True or False; got '1GB'"):
        model.save_pretrained(tmp_path, "1GB")
    with pytest.raises(ValueError, match="distributed_checkpoint False"):
        model.save_pretrained(tmp_path, distributed_checkpoint=True)
    model.save_pretrained(tmp_path / "none", is_main_process=False)
    assert not (tmp_path / "none").exists()


def test_a_configuration_by_its_path(backend, tmp_path):
    saved(backend, tmp_path, PRETRAINING)
    small_config(MODEL, return_dict=False).save_pretrained(tmp_path / "other")
    model = backend.kind(MODEL).from_pretrained(tmp_path, config=str(tmp_path / "other"))
    assert isinstance(backend.run(model, small_inputs(MODEL)), tuple)


def test_what_is_for_pytorch_alone(tmp_path):
    keras, folder = BACKENDS["tf"], tmp_path / "saved"
    model = saved(keras, folder)
    kind = keras.kind(MODEL)
    for options, message in (
        ({"device_map": "cpu"}, "device_map is for PyTorch. In Keras make the model inside"),
        ({"max_memory": {0: "1GB"}}, "max_memory is for PyTorch"),
        ({"state_dict": {}}, "state_dict is for PyTorch"),
        ({"attn_implementation": "sdpa"}, "attn_implementation must be 'eager'; got 'sdpa'"),
    ):
        with pytest.raises(ValueError, match=message):
            kind.from_pretrained(folder, **options)
    for options, message in (
        ({"safe_serialization": False}, "safe_serialization=False is for PyTorch"),
        ({"state_dict": {}}, "state_dict is for PyTorch"),
    ):
        with pytest.raises(ValueError, match=message):
            model.save_pretrained(tmp_path / "again", **options)
    assert not (tmp_path / "again").exists()


def test_weights_from_a_state_dict(tmp_path):
    pt = BACKENDS["pt"]
    model, kind = saved(pt, tmp_path, ANSWERING), pt.kind(ANSWERING)
    state = model.state_dict()
    loaded = kind.from_pretrained(None, config=model.config, state_dict=state)
    same(pt, loaded, model, ANSWERING)
    with torch.no_grad():
        state["backbone.pooler.dense.bias"].add_(1)
    assert not torch.equal(loaded.backbone.pooler.dense.bias, model.backbone.pooler.dense.bias)
    same(pt, kind.from_pretrained(tmp_path, state_dict=state), model, ANSWERING)
    with pytest.raises(TypeError, match="a state_dict has no configuration: pass config, a LxmertConfig"):
        kind.from_pretrained(state_dict=state)
    with pytest.raises(TypeError, match="state_dict must hold tensors by name; x is none"):
        kind.from_pretrained(config=model.config, state_dict={"x": 1})


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu"), {"": "cpu"}, {"": torch.device("cpu")}])
def test_devices(device, tmp_path):
    pt = BACKENDS["pt"]
    model = saved(pt, tmp_path)
    loaded = pt.kind(MODEL).from_pretrained(tmp_path, device_map=device)
    assert loaded.device == torch.device("cpu")
    same(pt, loaded, model)


@pytest.mark.parametrize("device", ["gpu0", True, 1.5, {"": "gpu0"}])
def test_devices_that_are_none(device, tmp_path):
    pt = BACKENDS["pt"]
    saved(pt, tmp_path)
    with pytest.raises(ValueError, match="device_map must be a device"):
        pt.kind(MODEL).from_pretrained(tmp_path, device_map=device)


def test_unknown_tensors_inside_of_a_head_stay_an_error(backend, tmp_path):
    saved(backend, tmp_path, ANSWERING)
    file = tmp_path / "model.safetensors"
    save_file({**load_file(file), "mine.weight": np.ones(2, "f4")}, file)
    with pytest.warns(UserWarning, match=r"has 1 tensors of no model here, which are not used: mine\.weight"):
        backend.kind(ANSWERING).from_pretrained(tmp_path)
    save_file({**load_file(file), "answer_head.logit_fc.9.weight": np.ones(2, "f4")}, file)
    with pytest.raises(CheckpointMismatchError) as error:
        backend.kind(ANSWERING).from_pretrained(tmp_path)
    assert error.value.unexpected == ("answer_head.logit_fc.9.weight",)
