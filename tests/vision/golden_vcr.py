"""The golden arrays of VisualBERT's image network for VCR."""

from functools import cache
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parents[1] / "golden" / "vcr_detector"


@cache
def arrays(name: str) -> dict[str, np.ndarray]:
    """Every array of a file: inputs, outputs_float64, outputs_float32."""
    with np.load(FOLDER / f"{name}.npz") as file:
        return dict(file)
