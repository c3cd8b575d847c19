"""PyTorch against Keras once in full: the published sizes, 228 million weights, float32."""

import gc

import keras
import torch

import lxmert.pt
import lxmert.tf
from lxmert.common.config import LxmertConfig
from tests import tolerances
from tests.compare import assert_same
from tests.inputs import Sizes, inputs, labels
from tests.models import run_pt, run_tf


def test_the_full_model_agrees():
    config, sizes = LxmertConfig(), Sizes(batch=2, length=20, regions=36)
    given = {**inputs(config, sizes), **labels(config, sizes)}
    keras.utils.set_random_seed(0)
    with torch.device("meta"):
        pt = lxmert.pt.LxmertForPreTraining(config)
    model = lxmert.tf.TFLxmertForPreTraining(config, dtype="float32")
    assert model.num_parameters() == pt.num_parameters() == 228_051_752
    pt = pt.to_empty(device="cpu").eval()
    # The fresh weights of Keras: norms 1, biases 0, all else normal. One copy of each at a time.
    with torch.no_grad():
        for (parameter, values), (_, variable) in zip(pt.weights_by_name(), model.weights_by_name(), strict=True):
            kernel = torch.from_numpy(keras.ops.convert_to_numpy(variable))
            values.copy_(kernel.T if parameter.leaf.transposed else kernel)
        output = run_pt(pt, given, output_hidden_states=True)
    expected = run_tf(model, given, output_hidden_states=True)
    assert_same(output, expected, tolerances.FULL_SIZE["float32"])
    assert len(output.language_hidden_states) == 14
    assert len(output.vision_hidden_states) == 10
    del pt, model
    gc.collect()
