"""What config.json says about int8 weights: `quantization_config`, as the library compressed-tensors reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .naming.key_mapping import TIED_DECODER, Parameter, published

QUANTIZATION_CONFIG = "quantization_config"
_INTEGERS = {"num_bits": 8, "type": "int", "symmetric": True}


def quantization_config(dtypes: Mapping[Parameter, np.dtype], nested: bool) -> dict[str, Any] | None:
    """The entry for weights of which some are int8, with a scale of each row; None where none are.

    Args:
        dtypes: of every parameter that is written.
        nested: whether the backbone is inside of a task model.
    """
    if all(dtype != np.int8 for dtype in dtypes.values()):
        return None
    return {
        "quant_method": "compressed-tensors",
        "format": "int-quantized",
        "quantization_status": "compressed",
        "config_groups": {
            "group_0": {
                "targets": ["Linear"],
                "weights": {**_INTEGERS, "strategy": "channel", "dynamic": False},
                "input_activations": {**_INTEGERS, "strategy": "token", "dynamic": True},
            }
        },
        "ignore": _floating_layers(dtypes, nested),
    }


def _floating_layers(dtypes: Mapping[Parameter, np.dtype], nested: bool) -> Sequence[str]:
    """The names that `transformers` has for the linear layers that are not int8."""
    found = []
    for p, dtype in dtypes.items():
        if p.kind == "dense" and p.leaf.torch == "weight" and dtype != np.int8:
            found.append(published(p.model_type).key(p, nested))
        if p.module == "heads.word.bias":  # its layer there; here it reads the word embedding, or has a table
            found.append(TIED_DECODER)
    return [name.removesuffix(".weight") for name in dict.fromkeys(found)]
