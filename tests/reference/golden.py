"""The files of tests/golden and the outputs that belong to them; its README says what made them."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

import lxmert.pt
import lxmert.tf
from tests.models import run_pt, run_tf

GOLDEN = Path(__file__).parents[1] / "golden"
INPUTS = ("input_ids", "attention_mask", "token_type_ids", "visual_feats", "visual_pos")


def stored(name: str) -> dict[str, np.ndarray]:
    """The arrays of an .npz file."""
    with np.load(GOLDEN / f"{name}.npz") as file:
        return {key: file[key] for key in file}


def model_and_run(backend: str, architecture: str, source: Path | str, dtype: str = "float64", **options: Any) -> Any:
    """A model from `from_pretrained` of a backend, and what runs it on arrays."""
    if backend == "pt":
        model = getattr(lxmert.pt, architecture).from_pretrained(source, dtype=getattr(torch, dtype), **options)
        return model, run_pt
    return getattr(lxmert.tf, f"TF{architecture}").from_pretrained(source, dtype=dtype, **options), run_tf
