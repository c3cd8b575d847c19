"""int8 models of both backends: the same numbers from one file, by oneDNN's product and by the public operators."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

import lxmert.pt
import lxmert.tf
from lxmert.inference import tf as keras_inference
from lxmert.pt.cpu_kernels.int8 import round_rows
from lxmert.tf import packing
from lxmert.tf.int8 import Int8Linear, integer_product, round_input
from tests.small import small_config, small_inputs


def test_rows_are_rounded_and_multiplied_as_in_pytorch():
    x = torch.randn(7, 3000, generator=torch.Generator().manual_seed(0))
    x[1], x[2], x[3, 1:], x[4] = 0, 1e-38, 1, x[4] * 1e20
    expected, scale = round_rows(x)
    rows, row_scale = round_input(tf.constant(x.numpy()))
    assert np.array_equal(rows, expected)
    assert np.array_equal(row_scale, scale)
    kernel = np.random.default_rng(0).integers(-127, 128, (3000, 5)).astype("int8")
    kernel[:, 0] = 127
    sums = expected.numpy().astype(int) @ kernel.astype(int)
    assert np.array_equal(integer_product(rows, tf.constant(kernel)), sums)
    if packing.can_pack("int8"):
        packed = tf.function(lambda: packing.packed_sums(rows, tf.constant(kernel)))()
        assert np.array_equal(packed, sums.astype("float32"))


@pytest.mark.parametrize("name", ["LxmertForQuestionAnswering", "VisualBertForQuestionAnswering"])
def test_a_model_from_one_file(name, tmp_path, monkeypatch):
    torch.manual_seed(0)
    getattr(lxmert.pt, name)(small_config(name)).save_pretrained(tmp_path / "float")
    expected = getattr(lxmert.pt, name).from_pretrained(tmp_path / "float", quantize="int8")
    expected.save_pretrained(tmp_path / "int8")
    kind, inputs = getattr(lxmert.tf, f"TF{name}"), small_inputs(name)
    model = kind.from_pretrained(tmp_path / "float", quantize="int8")
    model.save_pretrained(tmp_path / "keras")
    for file in ("config.json", "model.safetensors"):
        assert (tmp_path / "keras" / file).read_bytes() == (tmp_path / "int8" / file).read_bytes()
    model = kind.from_pretrained(tmp_path / "int8")
    assert model.is_quantized
    assert model.num_parameters() == expected.num_parameters()

    def answers(model):
        return keras.ops.convert_to_numpy(model(inputs, training=False)[-1])

    given = {key: torch.as_tensor(value) for key, value in inputs.items()}
    features = next(given[key] for key in given if key in ("visual_feats", "visual_embeds")).requires_grad_()
    scores = expected(**given)
    scores = scores[next(key for key in scores if key.endswith(("score", "logits")))]
    plain = answers(model)
    # A number in the middle of two steps may be rounded to either of them.
    np.testing.assert_allclose(plain, scores.detach(), atol=1e-6)
    monkeypatch.setattr(keras_inference, "_FEW", 0)
    packed = keras_inference.NumpyModel(model)(inputs)
    np.testing.assert_allclose(next(v for k, v in packed.items() if k.endswith(("score", "logits"))), plain, atol=1e-6)

    scores[:, 0].sum().backward()
    given = {key: tf.constant(value) for key, value in inputs.items()}
    watched = next(given[key] for key in given if key in ("visual_feats", "visual_embeds"))
    with tf.GradientTape() as tape:
        tape.watch(watched)
        total = tf.reduce_sum(model(given, training=False)[-1][:, 0])
    np.testing.assert_allclose(tape.gradient(total, watched), features.grad, atol=1e-8)

    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert np.array_equal(answers(again), plain)
    layer = next(each for each in again._flatten_layers() if isinstance(each, Int8Linear))
    layer.kernel.assign(layer.kernel.value * 0)
    model.save_weights(tmp_path / "a.weights.h5")
    again.load_weights(tmp_path / "a.weights.h5")
    assert np.array_equal(answers(again), plain)
    for file in ("model.keras", "a.weights.h5"):
        with pytest.raises(ValueError, match="holds quantized weights: load a"):
            kind.from_pretrained(tmp_path / file)
    with pytest.raises(ValueError, match="int8 weights are not trained"):
        model(inputs, training=True)
    with pytest.raises(ValueError, match="is quantized: prune it before"):
        model.prune_heads({})
