"""The published models, fetched by name from the model hub, give the values that `transformers` pins for them.

They need the hub, and are left out unless they are asked for: `pytest -m hub`. Loading small models in the same way,
from a server of our own, is always tested.
"""

import importlib
import io
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import lxmert.pt
from lxmert.common.config import LxmertConfig, VisualBertConfig
from lxmert.inference.backends import numpy_model
from tests import tolerances
from tests.compare import assert_same
from tests.weights.hub_server import running_hub

BACKENDS = ("pt", "tf")


def lxmert_inputs() -> dict[str, Any]:
    def numbers(*shape):
        return np.random.RandomState(0).rand(*shape).astype("float32")  # the same start for both

    ids = np.array([[101, 345, 232, 328, 740, 140, 1695, 69, 6078, 1588, 102]])
    return dict(input_ids=ids, visual_feats=numbers(1, 10, 2048), visual_pos=numbers(1, 10, 4))


def visual_bert_inputs(width: int) -> dict[str, Any]:
    return dict(
        input_ids=np.array([[1, 2, 3, 4, 5, 6]]),
        attention_mask=np.ones((1, 6), "int64"),
        token_type_ids=np.array([[0, 0, 0, 1, 1, 1]]),
        visual_embeds=np.full((1, 10, width), 0.5, "float32"),
        visual_attention_mask=np.ones((1, 10), "int64"),
        visual_token_type_ids=np.ones((1, 10), "int64"),
    )


def choices(width: int) -> dict[str, Any]:
    """Four equal choices, whose words are all of type 1."""
    one = visual_bert_inputs(width) | {"token_type_ids": np.ones((1, 6), "int64")}
    return {name: np.stack([values] * 4, axis=1) for name, values in one.items()}


class Case(NamedTuple):
    """A published model: its name, its class, what it is given, and shapes and first values of what it gives."""

    source: str
    model: str
    config: type
    inputs: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]
    values: dict[str, Any]
    relative: float = tolerances.PUBLISHED


CASES = {
    "lxmert": Case(
        "unc-nlp/lxmert-base-uncased",
        "LxmertModel",
        LxmertConfig,
        lxmert_inputs(),
        {"language_output": (1, 11, 768)},
        {"language_output": [[[0.2417, -0.9807, 0.1480], [1.2541, -0.8320, 0.5112], [1.4070, -1.1052, 0.6990]]]},
        relative=0.0,
    ),
    "visual bert, pre-training": Case(
        "uclanlp/visualbert-vqa-coco-pre",
        "VisualBertForPreTraining",
        VisualBertConfig,
        visual_bert_inputs(2048),
        {"prediction_logits": (1, 16, 30522), "seq_relationship_logits": (1, 2)},
        {
            "prediction_logits": [
                [[-5.1858, -5.1903, -4.9142], [-6.2214, -5.9238, -5.8381], [-6.3027, -5.9939, -5.9297]]
            ],
            "seq_relationship_logits": [[0.7393, 0.1754]],
        },
    ),
    "visual bert, question answering": Case(
        "uclanlp/visualbert-vqa",
        "VisualBertForQuestionAnswering",
        VisualBertConfig,
        visual_bert_inputs(2048),
        {"logits": (1, 3129)},
        {"logits": [[-8.9898, 3.0803, -1.8016, 2.4542, -8.3420, -2.0224, -3.3124, -4.4139, -3.1491, -3.8997]]},
    ),
    "visual bert, reasoning": Case(
        "uclanlp/visualbert-nlvr2",
        "VisualBertForVisualReasoning",
        VisualBertConfig,
        visual_bert_inputs(1024),
        {"logits": (1, 2)},
        {"logits": [[-1.1436, 0.8900]]},
    ),
    "visual bert, multiple choice": Case(
        "uclanlp/visualbert-vcr",
        "VisualBertForMultipleChoice",
        VisualBertConfig,
        choices(512),
        {"logits": (1, 4)},
        {"logits": [[-7.7697, -7.7697, -7.7697, -7.7697]]},
    ),
}


def outputs(backend: str, source: str, model: str, inputs: dict[str, Any]) -> dict[str, np.ndarray]:
    """What a model gives that is loaded by its name."""
    module = importlib.import_module(f"lxmert.{backend}")
    kind = getattr(module, model if backend == "pt" else f"TF{model}")
    return numpy_model(kind.from_pretrained(source))(inputs)


@pytest.mark.hub
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CASES)
def test_published_models_give_their_published_values(name, backend):
    case = CASES[name]
    found = outputs(backend, case.source, case.model, case.inputs)
    for output, shape in case.shapes.items():
        assert found[output].shape == shape
        values = np.array(case.values[output])
        first = found[output][tuple(slice(size) for size in values.shape)]
        np.testing.assert_allclose(first, values, rtol=case.relative, atol=tolerances.PUBLISHED, err_msg=output)


SMALL = dict(hidden_size=12, num_attention_heads=3, intermediate_size=10, max_position_embeddings=12)


def small_config(case: Case) -> Any:
    """A small configuration that takes the inputs of a published model."""
    if case.config is LxmertConfig:
        return LxmertConfig(**SMALL, vocab_size=6100, l_layers=1, x_layers=1, r_layers=1)
    width = case.inputs["visual_embeds"].shape[-1]
    return VisualBertConfig(**SMALL, vocab_size=20, visual_embedding_dim=width, num_hidden_layers=1)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CASES)
def test_a_small_model_is_loaded_in_the_same_way(name, backend, monkeypatch, tmp_path):
    """The repository looks like the published ones: a config.json and a pickle of PyTorch are downloaded."""
    case = CASES[name]
    torch.manual_seed(0)
    model = getattr(lxmert.pt, case.model)(small_config(case))
    model.save_pretrained(tmp_path / "saved")
    expected = outputs("pt", str(tmp_path / "saved"), case.model, case.inputs)
    pickled = io.BytesIO()
    torch.save(load_file(tmp_path / "saved" / "model.safetensors"), pickled)
    files = {
        "README.md": b"",
        "config.json": (tmp_path / "saved" / "config.json").read_bytes(),
        "pytorch_model.bin": pickled.getvalue(),
        "tf_model.h5": b"not fetched",
        "vocab.txt": b"not fetched",
    }
    with running_hub(monkeypatch, tmp_path) as server:
        server.add(case.source, files, large=("pytorch_model.bin",))
        found = outputs(backend, case.source, case.model, case.inputs)
        assert server.asked() == [
            "GET info main",
            "HEAD main/config.json",
            "GET main/config.json",
            "HEAD COMMIT/pytorch_model.bin",
            "GET store/pytorch_model.bin",
        ]
    assert set(case.shapes) <= set(found)
    wanted = {output: expected[output] for output in case.shapes}
    assert_same({output: found[output] for output in wanted}, wanted, tolerances.OUTPUTS["float32"])
