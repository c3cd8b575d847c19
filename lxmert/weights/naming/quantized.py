"""Which layers of a model `quantize` replaces: those whose matrix products are nearly all of the work."""

from __future__ import annotations

import re

_QUANTIZED = re.compile(
    r"(language_layers|visual_layers|cross_layers|encoder_layers)\.\d+\.\w+\.(query|key|value|out|up|down)"
    r"|additional_layer\.\w+\.(query|key|value|out|up|down)"
    r"|(region_embeddings|embeddings)\.feature"
)


def is_quantized(path: str) -> bool:
    """Whether a linear layer has int8 weights in a quantized model.

    These are the linear layers of the encoders, and the projection of region features. Embeddings, norms, the pooler
    and the heads stay as they are: they are a hundredth of the work, and the scores come from them.

    Args:
        path: of the module in the backbone, as in the name table: "language_layers.0.attention.query".
    """
    return _QUANTIZED.fullmatch(path) is not None
