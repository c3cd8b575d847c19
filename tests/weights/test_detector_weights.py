"""The weights of the detectors in every format: names, shapes, bits, and files that are refused."""

import hashlib
import math
import os
import pickle
from collections import Counter

import keras
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file, save_file

import lxmert.pt
import lxmert.tf
from lxmert.cli import main
from lxmert.common.config import DetectorConfig, LxmertConfig, VcrDetectorConfig
from lxmert.weights.checkpoint import CheckpointMismatchError
from lxmert.weights.compare import compare
from lxmert.weights.convert import convert
from lxmert.weights.inspect import summarize
from lxmert.weights.naming.key_mapping import (
    DETECTRON,
    KEY_MAPPINGS,
    ORIGINAL_VISUAL_BERT,
    VCR_DETECTOR,
    parameters,
)
from lxmert.weights.open import open_checkpoint

from .detector_files import (
    ANCHORS,
    LISTS,
    NAMES,
    VALUES,
    VCR,
    VCR_NAMES,
    YAML,
    pickled,
    port_folder,
    vcr_values,
    without_counters,
)
from .hub_server import running_hub
from .weight_folders import assert_bits_equal, make_folder

SMALL = DetectorConfig.from_dict(YAML)
NAMED = without_counters(VALUES)
SHORT = SMALL.replace(res2_blocks=1, res3_blocks=1, res4_blocks=1, res5_blocks=1)


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    """The narrow Visual Genome detector as it is published."""
    return port_folder(tmp_path_factory.mktemp("port") / "port")


def shapes_of(values):
    return {name: tuple(array["shape"]) for name, array in without_counters(values).items()}


# Names


def test_the_names_of_the_port():
    full = DetectorConfig()
    for config, names in ((full, NAMES["full"]), (SMALL, NAMES["small"])):
        assert {DETECTRON.key(p, False): p.shape for p in parameters(config, ())} == shapes_of(names)
    trained = sum(math.prod(p.shape) for p in parameters(full, ()) if not p.leaf.is_buffer)
    buffers = sum(math.prod(p.shape) for p in parameters(full, ()) if p.leaf.is_buffer)
    assert (trained, buffers) == (65_439_822, 105_344 + 48)


@pytest.mark.parametrize("semantics", [True, False])
def test_the_names_of_the_vcr_detector(semantics):
    ours = {VCR_DETECTOR.key(p, False): p.shape for p in parameters(VcrDetectorConfig(use_semantics=semantics), ())}
    theirs = shapes_of(VCR_NAMES)
    if not semantics:
        theirs = {name: shape for name, shape in theirs.items() if not name.startswith(("object_embed.", "mask_"))}
        theirs["obj_downsample.1.weight"] = (512, 2048)
    assert ours == theirs
    counters = sum(name.endswith("num_batches_tracked") for name in VCR_NAMES)
    assert len(ours) + counters == (325 if semantics else 322)


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("VisualGenomeDetector", SHORT),
        ("VisualGenomeDetector", SHORT.replace(stem_channels=16, res4_blocks=12)),  # without a shortcut in stage 2
        ("VcrDetector", VCR),
        ("VcrDetector", VCR.replace(use_semantics=False)),
    ],
)
def test_the_names_are_those_of_the_models(kind, config, tmp_path):
    expected = list(parameters(config, ()))
    with torch.device("meta"):
        model = getattr(lxmert.pt, kind)(config)
    assert {p.name: p.shape for p in expected} == {name: tuple(x.shape) for name, x in model.state_dict().items()}
    assert {p.name for p in expected if p.leaf.is_buffer} == {name for name, _ in model.named_buffers()}
    for mapping in KEY_MAPPINGS[config.model_type]:
        assert Counter(mapping.key(p, False) for p in expected).most_common(1)[0][1] == 1
    keras_model = getattr(lxmert.tf, f"TF{kind}")(config)
    assert {p.name: p.leaf.keras_shape(p.shape) for p in expected} == {
        p.name: tuple(weight.shape) for p, weight in keras_model.weights_by_name()
    }
    assert len(keras_model.weights) == len(expected)
    assert keras_model.num_parameters() == model.num_parameters()


# The same bits in every format


def test_the_files_of_the_port_in_pytorch(port, tmp_path):
    digest = hashlib.sha256((port / "pytorch_model.bin").read_bytes()).hexdigest()
    done = convert(port, tmp_path / "folder", sha256=digest)
    assert sorted(os.listdir(tmp_path / "folder")) == sorted(["config.json", "model.safetensors", *LISTS])
    assert {name: (tmp_path / "folder" / name).read_text() for name in LISTS} == LISTS
    assert DetectorConfig.from_pretrained(tmp_path / "folder") == SMALL
    assert_bits_equal(load_file(tmp_path / "folder" / "model.safetensors"), NAMED)
    assert {*done.report.unexpected} == VALUES.keys() - NAMED.keys()
    state = torch.random.get_rng_state()
    model = lxmert.pt.VisualGenomeDetector.from_pretrained(port, strict=True)  # the counters are no difference
    assert torch.equal(torch.random.get_rng_state(), state)
    assert not model.load_report.new
    assert not model.training
    assert_bits_equal(own_names(model.state_dict(), SMALL), NAMED)
    model.save_pretrained(tmp_path / "saved")
    assert compare(tmp_path / "folder", tmp_path / "saved").same
    # The names of the port in `load_state_dict`, beside our own.
    model = lxmert.pt.VisualGenomeDetector(SMALL)
    model.load_state_dict({name: torch.from_numpy(values.copy()) for name, values in VALUES.items()})
    assert_bits_equal(own_names(model.state_dict(), SMALL), NAMED)
    with pytest.raises(ValueError, match=r"transformers has no VisualGenomeDetector in TensorFlow"):
        convert(port, tmp_path / "tf_model", to="tf_model.h5")


def test_keras_formats(tmp_path):
    folder = short_folder(tmp_path / "folder")
    targets = [tmp_path / name for name in ("a.weights.h5", "a.keras", "b.weights.h5", "b.keras", "saved")]
    for target in targets[:2]:
        convert(folder, target)
    model = lxmert.tf.TFVisualGenomeDetector.from_pretrained(targets[1])
    kernel = VALUES["backbone.res2.0.conv2.weight"].transpose(2, 3, 1, 0)
    assert np.array_equal(model.backbone.res2[0].spatial.conv.kernel, kernel)
    model.save_weights(targets[2])
    model.save(targets[3])
    model.save_pretrained(targets[4])
    for target in targets:
        assert compare(folder, target).same
    # What Keras itself reads of our files.
    loaded = lxmert.tf.TFVisualGenomeDetector(SHORT)
    loaded.load_weights(targets[0])
    again = keras.saving.load_model(targets[1])
    assert again.config == SHORT
    for mine, other, third in zip(model.weights, loaded.weights, again.weights, strict=True):
        assert np.array_equal(mine, other)
        assert np.array_equal(mine, third)


def short_folder(folder, **changed):
    """Weights of a model with one block in each stage."""
    every = {**NAMED, **changed}
    SHORT.save_pretrained(folder)
    save_file(
        {name: every[name] for name in (DETECTRON.key(p, False) for p in parameters(SHORT, ()))},
        folder / "model.safetensors",
    )
    return folder


def own_names(state, config):
    """A state dict by the published names."""
    return {DETECTRON.key(p, False): state[p.name].numpy() for p in parameters(config, ())}


def test_the_vcr_detector_in_every_format(tmp_path):
    values = vcr_values()
    whole = {f"detector.{name}": array for name, array in values.items()}
    text = make_folder(tmp_path / "text", "VisualBertForMultipleChoice", mapping=ORIGINAL_VISUAL_BERT)
    # A VisualBERT of the authors contains the detector; both are read from the one file, each by its own class.
    original = tmp_path / "vcr.th"
    pickled(original, {**load_file(text / "model.safetensors"), **whole})
    (tmp_path / "config.json").write_text((text / "config.json").read_text())
    assert summarize(original).model_type == "visual_bert"
    assert lxmert.pt.VisualBertForMultipleChoice.from_pretrained(original).load_report.new == ()
    model = lxmert.pt.VcrDetector.from_pretrained(original, pool_size=7)
    assert model.config == VCR
    assert model.load_report.config_source == "inferred from the shapes"
    assert_bits_equal(
        {VCR_DETECTOR.key(p, False): model.state_dict()[p.name].numpy() for p in parameters(VCR, ())},
        without_counters(values),
    )
    with pytest.raises(CheckpointMismatchError, match=r"is a VisualBERT that does not contain the VCR detector"):
        lxmert.pt.VcrDetector.from_pretrained(text)
    model.save_pretrained(tmp_path / "folder")
    keras_model = lxmert.tf.TFVcrDetector.from_pretrained(original)
    keras_model.save(tmp_path / "a.keras")
    convert(tmp_path / "folder", tmp_path / "b.weights.h5")
    (tmp_path / "alone").mkdir()
    alone = pickled(tmp_path / "alone" / "detector.th", {f"module.{name}": array for name, array in whole.items()})
    convert(original, tmp_path / "c", VCR)  # its configuration says which of the two
    for target in ("a.keras", "b.weights.h5", "c", alone):
        assert compare(tmp_path / "folder", tmp_path / target).same


# Detectron's own files


def detectron(path, values, **more):
    path.write_bytes(pickle.dumps({"model": values, "__author__": "somebody", **more}))
    return path


def test_a_pickle_of_detectron_lacks_the_anchors_which_are_computed(port, tmp_path):
    source = detectron(tmp_path / "faster_rcnn_from_caffe_attr.pkl", {k: v for k, v in NAMED.items() if k != ANCHORS})
    config = SMALL.replace(anchor_sizes=(16.0, 32.0, 64.0, 128.0))
    with open_checkpoint(source) as inferred:  # the shapes do not show the sizes of the anchors
        assert inferred.config == DetectorConfig().replace(
            **{name: getattr(SMALL, name) for name in ("num_objects", "num_attributes", "stem_channels")},
            **{name: getattr(SMALL, name) for name in ("width_per_group", "res2_channels", "proposal_channels")},
        )
    convert(source, tmp_path / "folder", config)
    assert_bits_equal(load_file(tmp_path / "folder" / "model.safetensors"), NAMED)
    comparison = compare(port, source)
    assert [(m.path, m.differing) for m in comparison.modules if not m.same] == [("proposal_head.anchors", 48)]
    model = lxmert.pt.VisualGenomeDetector.from_pretrained(source, config=config)
    assert model.load_report.new == ()
    assert np.array_equal(model.anchors, VALUES[ANCHORS])


def test_anchors_in_a_file_count_and_stay_exact(tmp_path):
    anchors = VALUES[ANCHORS] + np.float32(0.123)
    folder = short_folder(tmp_path / "other", **{ANCHORS: anchors})
    model = lxmert.pt.VisualGenomeDetector.from_pretrained(folder, dtype="bfloat16")
    assert np.array_equal(model.anchors, anchors)
    assert model.dtype is torch.bfloat16
    model.save_pretrained(tmp_path / "narrow")
    convert(folder, tmp_path / "narrow.keras", dtype="float16")
    for source, dtype in (("narrow", "bfloat16"), ("narrow.keras", "float16")):
        read = lxmert.tf.TFVisualGenomeDetector.from_pretrained(tmp_path / source, dtype="auto")
        assert np.array_equal(read.anchors, anchors)
        assert read.dtype_policy.name == dtype


def test_what_a_variant_without_attributes_lacks_is_said(tmp_path):
    values = {name: array for name, array in NAMED.items() if "attr" not in name and "embedding" not in name}
    source = detectron(tmp_path / "faster_rcnn_from_caffe.pkl", values)
    with pytest.raises(CheckpointMismatchError) as error:
        lxmert.pt.VisualGenomeDetector.from_pretrained(source)
    assert set(error.value.missing) == {name for name in NAMED if "predictor" in name} - values.keys()
    assert "may be of the variant that predicts no attributes" in str(error.value)


# What is refused


def test_a_pickle_that_calls_is_refused(tmp_path):
    class Runs:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'TOUCHED'}",)

    source = detectron(tmp_path / "a.pkl", NAMED, more=Runs())
    with pytest.raises(ValueError, match=r"a.pkl is a pickle with 'posix.system', which is not read"):
        lxmert.pt.VisualGenomeDetector.from_pretrained(source)
    assert not (tmp_path / "TOUCHED").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({"model": {"backbone.stem.conv1.weight": [1.0]}}), "must hold arrays of numbers by name"),
        (pickle.dumps([1, 2]), "holds a list; a dictionary was expected"),
        (pickle.dumps({"model": {}}), "it is empty"),
        (pickle.dumps({"model": {"a": np.ones(9)}})[:-40], "is a damaged pickle"),
    ],
)
def test_a_pickle_of_something_else_is_refused(tmp_path, content, message):
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        summarize(tmp_path / "a.pkl")


def test_weights_of_other_networks_are_refused(port, tmp_path):
    save_file({"conv1.weight": np.ones((4, 3, 7, 7), "float32")}, tmp_path / "resnet.safetensors")
    for source in (tmp_path / "resnet.safetensors", make_folder(tmp_path / "text") / "model.safetensors"):
        with pytest.raises((CheckpointMismatchError, ValueError), match=r"Visual Genome detector|'lxmert' model"):
            lxmert.pt.VisualGenomeDetector.from_pretrained(source)
    with pytest.raises(TypeError, match="config must be a DetectorConfig; got LxmertConfig"):
        lxmert.pt.VisualGenomeDetector.from_pretrained(port, config=LxmertConfig())
    with pytest.raises(ValueError, match="config"):
        lxmert.pt.LxmertModel.from_pretrained(port)
    with pytest.raises(CheckpointMismatchError, match=r"The file has 100 kinds of objects: put num_objects=100"):
        lxmert.pt.VisualGenomeDetector.from_pretrained(port, num_objects=99)


def test_a_layer_of_no_size(tmp_path):
    """It shows no number of objects that a configuration may have."""
    values = {**NAMED, "roi_heads.box_predictor.cls_score.weight": np.zeros((0, 128), np.float32)}
    save_file(values, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=r"the shapes in .*model\.safetensors show: num_objects must be at least 1"):
        lxmert.pt.VisualGenomeDetector.from_pretrained(tmp_path)
    SMALL.save_pretrained(tmp_path)
    with pytest.raises(CheckpointMismatchError, match=r"the file has \[0, 128\]") as error:
        lxmert.pt.VisualGenomeDetector.from_pretrained(tmp_path)
    assert "num_objects=" not in str(error.value)


def test_a_configuration_without_a_field(tmp_path):
    config = {**YAML, "rpn": {name: value for name, value in YAML["rpn"].items() if name != "nms_thresh"}}
    folder = port_folder(tmp_path / "port", config=config)
    with pytest.raises(ValueError, match=r"must hold rpn.nms_thresh"):
        lxmert.pt.VisualGenomeDetector.from_pretrained(folder)


def test_a_file_that_is_cut_off(port, tmp_path):
    whole = (port / "pytorch_model.bin").read_bytes()
    for size in (100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "pytorch_model.bin").write_bytes(whole[:size])
        with pytest.raises(ValueError, match=r"pytorch_model.bin"):
            lxmert.pt.VisualGenomeDetector.from_pretrained(tmp_path / "pytorch_model.bin")


# Commands, the hub, and SHA-256


def test_commands(port, tmp_path, capsys):
    digest = hashlib.sha256((port / "pytorch_model.bin").read_bytes()).hexdigest()
    assert main(["inspect", str(port), "--sha256", "--no-values"]) == 0
    said = capsys.readouterr().out
    assert "model           Visual Genome detector, VisualGenomeDetector\n" in said
    assert f"SHA-256         {digest}\n" in said
    assert "heads" not in said
    assert "configuration   config.yaml: " in said
    assert "backbone.res4.{0-22}.spatial.conv" in said
    assert "parameters      264,927, and " in said
    assert main(["convert", str(port), str(tmp_path / "a"), "--sha256", "0" * 64]) == 1
    assert f"has the SHA-256 {digest}, and not {'0' * 64}, as --sha256 says" in capsys.readouterr().err
    assert not (tmp_path / "a").exists()
    assert main(["convert", str(port), str(tmp_path / "a.weights.h5"), "--sha256", digest]) == 0
    assert main(["compare", str(port), str(tmp_path / "a.weights.h5")]) == 0
    assert "the same weights" in capsys.readouterr().out
    assert main(["convert", str(port), str(tmp_path / "b"), "--vocabulary", str(port)]) == 1
    assert "--vocabulary is for models that read words" in capsys.readouterr().err
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    assert main(["ask", str(tmp_path / "a.png"), "what is it?", "--model", str(port)]) == 1
    assert "is a Visual Genome detector, and LxmertForQuestionAnswering or" in capsys.readouterr().err
    assert main(["compare", str(port), str(tmp_path / "a.weights.h5"), "--set", "max_regions=100"]) == 0
    with pytest.raises(ValueError, match=f"has the SHA-256 {digest}, and not {'1' * 64}, as sha256 says"):
        lxmert.pt.VisualGenomeDetector.from_pretrained(port, sha256="1" * 64)
    with pytest.raises(ValueError, match="sha256 must be 64 hexadecimal digits"):  # before anything is downloaded
        lxmert.pt.VisualGenomeDetector.from_pretrained("nobody/nothing", sha256="1" * 63)
    with pytest.raises(ValueError, match="which is not read where a state_dict is given"):
        lxmert.pt.VisualGenomeDetector.from_pretrained(port, state_dict={}, sha256=digest)


@pytest.mark.full
@pytest.mark.parametrize("kind", ["VisualGenomeDetector", "VcrDetector"])
def test_conversions_are_verified(kind, tmp_path):
    from lxmert.inference.verify import verify

    source = short_folder(tmp_path / "source")
    if kind == "VcrDetector":
        source = tmp_path / "vcr.th"
        pickled(source, vcr_values())
    target = tmp_path / "a.keras"
    convert(source, target, dtype="float16")
    outputs = 7 if kind == "VisualGenomeDetector" else 1
    agreement = verify(source, target, dtype="float16")
    assert agreement.agrees
    assert len(agreement.rows) == 2 * outputs  # from_pretrained and Keras' own loading
    assert not verify(source, target).agrees  # the target is rounded


def test_from_the_hub_and_offline_afterwards(port, tmp_path, monkeypatch):
    files = {name.name: name.read_bytes() for name in port.iterdir()}
    with running_hub(monkeypatch, tmp_path) as hub:
        hub.add("unc-nlp/frcnn-vg-finetuned", files)
        done = convert("unc-nlp/frcnn-vg-finetuned", tmp_path / "folder")
        assert done.report.config_source == "config.yaml"
    assert_bits_equal(load_file(tmp_path / "folder" / "model.safetensors"), NAMED)
    assert {name: (tmp_path / "folder" / name).read_text() for name in LISTS} == LISTS
    model = lxmert.pt.VisualGenomeDetector.from_pretrained("unc-nlp/frcnn-vg-finetuned", local_files_only=True)
    assert model.config == SMALL
