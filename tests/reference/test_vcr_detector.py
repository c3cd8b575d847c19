"""VisualBERT's image network for VCR against the outputs of its authors' class, at every stage."""

import numpy as np
import pytest

import lxmert
from lxmert.vision.vcr.boxes import real_boxes
from lxmert.vision.vcr.images import VcrInputs
from tests.vision.golden_vcr import arrays

from .vcr_weights import write_authors_file

# As the README of the golden arrays says: absolute, of values up to 19 in float32.
TOLERANCES = {"float64": 1e-9, "float32": 1e-4}


@pytest.fixture(scope="module")
def inputs():
    golden = arrays("inputs")
    names = ("boxes", "box_mask", "objects", "segms")
    return VcrInputs(golden["images"].transpose(0, 2, 3, 1), *(golden[name] for name in names))


def stages(model, backend, inputs, tensor):
    """The values of every stage, in PyTorch's order of axes."""
    if backend == "pt":
        from torch.nn.functional import relu

        from lxmert.pt.region_align import align_regions
        from lxmert.pt.resnet import run_stage

        pixels = tensor(inputs.images.transpose(0, 3, 1, 2))
    else:
        from keras.ops import relu

        from lxmert.tf.region_align import align_regions
        from lxmert.tf.resnet import run_stage

        pixels = tensor(inputs.images)
    x = model.backbone.pool(relu(model.backbone.stem(pixels)))
    found = {"stem": x}
    for name, stage in (("layer1", "res2"), ("layer2", "res3"), ("layer3", "res4")):
        found[name] = x = run_stage(getattr(model.backbone, stage), x)
    real = real_boxes(model.config, 2, inputs.boxes, inputs.box_mask, inputs.object_ids, inputs.masks)
    found["mask_features"] = model.mask_features(real.masks)
    found = {name: array(value) for name, value in found.items()}
    bins = np.concatenate([array(align_regions(x[image], real.of(image), 7)) for image in (0, 1)])
    found["roi_align"] = bins.copy()
    channels = (slice(None), slice(32)) if backend == "pt" else (..., slice(32))
    bins[channels] += found["mask_features"]
    found["layer4_box1"] = array(run_stage(model.res5, tensor(bins[1:2])))
    if backend == "tf":
        found = {name: value.transpose(0, 3, 1, 2) for name, value in found.items()}
    return {**found, "layer4_box1": found["layer4_box1"][0]}


def array(x):
    return np.asarray(x.detach() if hasattr(x, "detach") else x)


def tensors(backend, dtype):
    """What makes a tensor of an array."""
    if backend == "pt":
        import torch

        return lambda values: torch.from_numpy(values.astype(dtype))
    from keras import ops

    return lambda values: ops.convert_to_tensor(values.astype(dtype))


def load(path, backend, dtype):
    return getattr(lxmert, "VcrDetector" if backend == "pt" else "TFVcrDetector").from_pretrained(path, dtype=dtype)


@pytest.fixture(scope="module")
def authors_file(tmp_path_factory):
    return write_authors_file(tmp_path_factory.mktemp("vcr") / "vcr_fine_tune.th")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("backend", ["pt", "tf"])
def test_every_stage(backend, dtype, inputs, authors_file):
    golden = arrays(f"outputs_{dtype}")
    model, tensor = load(authors_file, backend, dtype), tensors(backend, dtype)
    pixels = inputs.images.transpose(0, 3, 1, 2) if backend == "pt" else inputs.images
    out = model(tensor(pixels), inputs.boxes, inputs.box_mask, inputs.object_ids, inputs.masks)
    found = stages(model, backend, inputs, tensor)
    mask = inputs.box_mask == 1
    found["obj_reps"] = array(out.features)
    found["obj_reps_raw"] = array(out.pooled_features)[mask]
    found["obj_logits"] = array(out.object_logits)[mask]
    assert {value.dtype.name for value in found.values()} == {dtype}
    if dtype == "float32":
        found["roi_align_box2_full"] = found.pop("roi_align")[2]
    compared = 0
    for name, value in found.items():
        if name in golden:
            expected = golden[name]
            part = value[tuple(slice(side) for side in expected.shape)]  # the first channels are kept
            assert np.abs(part - expected).max() <= TOLERANCES[dtype], name
            compared += 1
    assert compared == {"float64": 10, "float32": 5}[dtype]
    assert not array(out.features)[~mask].any()
    # From NumPy to NumPy, image by image, with folded norms.
    assert np.abs(model.region_features(inputs) - golden["obj_reps"]).max() <= TOLERANCES[dtype]


def test_the_model_beside_it(authors_file):
    """One file holds both, and each is loaded from it."""
    model = lxmert.VisualBertForMultipleChoice.from_pretrained(authors_file, num_attention_heads=3)
    assert not model.load_report.new
    assert (
        not lxmert.VcrDetectorConfig().field_values().items()
        - load(authors_file, "pt", "float32").config.field_values().items()
    )


@pytest.mark.full
@pytest.mark.parametrize("backend", ["pt", "tf"])
def test_without_masks_and_classes(backend, inputs, tmp_path):
    model = load(write_authors_file(tmp_path / "vcr.th", semantics=False), backend, "float64")
    expected = arrays("outputs_float64")["nosemantic_obj_reps"]
    assert np.abs(model.region_features(inputs) - expected).max() <= TOLERANCES["float64"]
    assert (model.object_embedding, model.mask_conv) == (None, None)
