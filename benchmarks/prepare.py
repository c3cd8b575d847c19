"""What the sides of a row read from the disk: models with the same weights for all, exported models, a region store.

    python benchmarks/prepare.py NAME FOLDER

Each is made in a process of its own, so that what it takes is not counted as memory of a side.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from inputs import FEATURES, VISUAL_BERT_ANSWERS

CLASSES = {
    "lxmert": "LxmertForQuestionAnswering",
    "visual_bert": "VisualBertForQuestionAnswering",
    "pretraining": "LxmertForPreTraining",
}
PART_OF_IMAGES = 200  # of the images whose questions are answered in bulk; the time is scaled up


def config(name: str) -> Any:
    """The configuration of a model: the base sizes, for VisualBERT those of its published model for VQA."""
    from lxmert import LxmertConfig, VisualBertConfig

    return (
        VisualBertConfig(visual_embedding_dim=FEATURES, num_labels=VISUAL_BERT_ANSWERS)
        if name == "visual_bert"
        else LxmertConfig()
    )


def ready(name: str, folder: Path) -> Path:
    """The folder of something that a side reads; made if it is not there."""
    path = folder / name
    if not (path / "done").exists():
        shutil.rmtree(path, ignore_errors=True)
        done = subprocess.run(
            [sys.executable, __file__, name, str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{name} could not be made: {done.stderr[-2000:]}")
        (path / "done").touch()
    return path


def _model(name: str, folder: Path) -> None:
    import torch

    import lxmert.pt

    torch.manual_seed(0)
    getattr(lxmert.pt, CLASSES[name])(config(name)).save_pretrained(folder / name)


def _int8(name: str, folder: Path) -> None:
    import lxmert.pt

    model = name.removesuffix("-int8")
    found = getattr(lxmert.pt, CLASSES[model]).from_pretrained(ready(model, folder), quantize="int8")
    found.save_pretrained(folder / name)


def _exported(name: str, folder: Path) -> None:
    import onnx_peer
    import torch
    import transformers
    from inputs import model_inputs, tensors

    _, model, dtype = name.split("-")
    if dtype == "int8":
        onnx_peer.quantize(ready(f"onnx-{model}-float32", folder), folder / name)
        return
    theirs = getattr(transformers, CLASSES[model]).from_pretrained(ready(model, folder), dtype=torch.float32).eval()
    with torch.no_grad():
        onnx_peer.export(theirs, onnx_peer.SCORES[model], tensors(model_inputs(model, 2)), folder / name)


def _store(name: str, folder: Path) -> None:
    from inputs import store_of, tokenizer_of

    store_of(folder / name / "regions", PART_OF_IMAGES)
    tokenizer_of(folder / name)


_MADE: dict[str, Callable[[str, Path], None]] = dict.fromkeys(CLASSES, _model)
_MADE |= {f"{name}-int8": _int8 for name in CLASSES} | {"store": _store}


if __name__ == "__main__":
    _MADE.get(sys.argv[1], _exported)(sys.argv[1], Path(sys.argv[2]))
