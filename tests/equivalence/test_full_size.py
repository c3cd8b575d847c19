"""PyTorch against Keras once in full: the published sizes, 228 and 112 million weights, float32."""

import gc

import keras
import pytest
import torch

import lxmert.pt
import lxmert.tf
from lxmert.common.config import LxmertConfig, VisualBertConfig
from tests import tolerances
from tests.compare import assert_same
from tests.inputs import Sizes
from tests.models import labelled, run_pt, run_tf

SIZES = Sizes(batch=2, length=20, regions=36)


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "config", "count", "states"),
    [
        (
            "LxmertForPreTraining",
            LxmertConfig(),
            228_051_752,
            {"language_hidden_states": 14, "vision_hidden_states": 10},
        ),
        ("VisualBertForPreTraining", VisualBertConfig(visual_embedding_dim=2048), 112_074_812, {"hidden_states": 13}),
    ],
)
def test_the_full_model_agrees(name, config, count, states):
    given = labelled(config, name, SIZES)
    keras.utils.set_random_seed(0)
    with torch.device("meta"):
        pt = getattr(lxmert.pt, name)(config)
    model = getattr(lxmert.tf, f"TF{name}")(config, dtype="float32")
    assert model.num_parameters() == pt.num_parameters() == count
    pt = pt.to_empty(device="cpu").eval()
    # The fresh weights of Keras: norms 1, biases 0, all else normal. One copy of each at a time.
    with torch.no_grad():
        for (parameter, values), (_, variable) in zip(pt.weights_by_name(), model.weights_by_name(), strict=True):
            values.copy_(torch.from_numpy(parameter.leaf.to_torch(keras.ops.convert_to_numpy(variable))))
        output = run_pt(pt, given, output_hidden_states=True)
    expected = run_tf(model, given, output_hidden_states=True)
    assert_same(output, expected, tolerances.FULL_SIZE["float32"])
    assert {field: len(output[field]) for field in states} == states
    del pt, model
    gc.collect()
