"""The models of `transformers` in ONNX Runtime: exported in float32, and with its dynamic int8."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SCORES = {"lxmert": "question_answering_score", "visual_bert": "logits"}


def export(model: Any, scores: str, given: dict[str, Any], folder: Path) -> None:
    """Write a model as `folder`/model.onnx, for batches of any size.

    Args:
        model: a model of `transformers`, in evaluation mode.
        scores: the output that is wanted; the exporter takes functions of tensors to tensors.
        given: inputs by name, a batch of two or more.
        folder: does not exist, or has a model of before.
    """
    import torch

    class Scores(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            return self.model(**dict(zip(given, inputs, strict=True)))[scores]

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    batch = {0: torch.export.Dim("batch")}
    torch.onnx.export(
        Scores().eval(),
        tuple(given.values()),
        folder / "model.onnx",
        input_names=list(given),
        output_names=["scores"],
        dynamic_shapes=((batch,) * len(given),),
        dynamo=True,
        external_data=True,
    )


def quantize(source: Path, folder: Path) -> None:
    """Write an exported model with int8 weights for each output channel; activations are rounded when it runs.

    On Zen 4 these options are the fastest: 0.76 s for 32 questions, 1.0 s with one scale for a matrix and without
    preparation, 1.3 s with uint8 weights.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as name:
        prepared = Path(name) / "model.onnx"
        quant_pre_process(source / "model.onnx", prepared, save_as_external_data=True, skip_symbolic_shape=True)
        quantize_dynamic(
            prepared,
            folder / "model.onnx",
            per_channel=True,
            weight_type=QuantType.QInt8,
            use_external_data_format=True,
            extra_options={"MatMulConstBOnly": True},
        )


def session(folder: Path, given: dict[str, np.ndarray]) -> Callable[[], np.ndarray]:
    """A forward pass of an exported model, as a session with default options runs it."""
    import onnxruntime

    found = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    wanted = {each.name for each in found.get_inputs()}
    feed = {name: array for name, array in given.items() if name in wanted}
    return lambda: found.run(None, feed)[0]
