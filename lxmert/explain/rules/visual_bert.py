"""The rules for words and regions in one sequence.

Dimensions: B rows, L language tokens, R regions, S = L + R. There is no cross attention, so relevancy is eq. 6 alone.

Sources: Chefer, Gur and Wolf 2021 (arXiv 2103.15679), and their code for what the others are on this model; roll-out:
Abnar and Zuidema 2020 (arXiv 2005.00928).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from lxmert.explain.gradients import AttentionGradients

from .heads import HeadMeans
from .matrices import Relevance, mean_of_rows, min_max, outer, with_identity, without_own

MAPS = "attentions"


def relevance(
    method: str, found: AttentionGradients, word_mask: np.ndarray, region_mask: np.ndarray, rows: np.ndarray
) -> Relevance:
    """Compute the matrix, and read the rows that the score is computed from."""
    heads = HeadMeans(found, {MAPS: ("all", "all")}, {"all": np.concatenate([word_mask, region_mask], axis=1)})
    mask, length = heads.masks["all"], word_mask.shape[1]
    matrix = without_own(RULES[method](heads) * outer(mask, mask), rows)
    scores = mean_of_rows(matrix, rows)
    return Relevance(
        scores[:, :length],
        scores[:, length:],
        matrix[:, :length, :length],
        matrix[:, :length, length:],
        matrix[:, length:, :length],
        matrix[:, length:, length:],
    )


def _passed_on(mean: Callable[[HeadMeans, str, int], np.ndarray], heads: HeadMeans) -> np.ndarray:  # -> [B, S, S]
    """The product of all layers' maps, each with the identity added: eq. 6.

    The identity of the whole is added last: added to 1, small values would lose their digits. The maps of layers that
    regions bypass are of the words alone.
    """
    mask = heads.masks["all"]
    gathered = np.zeros((*mask.shape, mask.shape[1]))
    for layer in range(heads.count(MAPS)):
        weights = mean(heads, MAPS, layer)
        size = weights.shape[1]
        added = weights @ gathered[:, :size]
        added[:, :, :size] += weights
        gathered[:, :size] += added
    return with_identity(gathered)


def _grad_cam(heads: HeadMeans) -> np.ndarray:  # -> [B, S, S]
    """Attention Grad-CAM of the last layer, scaled to 0 … 1 as a whole."""
    matrix, mask = heads.grad_cam(MAPS, -1), heads.masks["all"]
    flat = matrix.reshape(len(matrix), -1)
    return min_max(flat, outer(mask, mask).reshape(flat.shape)).reshape(matrix.shape)


RULES: Mapping[str, Callable[[HeadMeans], np.ndarray]] = {
    "relevancy": partial(_passed_on, HeadMeans.relevance),
    "raw_attention": lambda heads: heads.attention(MAPS, -1),
    "attention_grad_cam": _grad_cam,
    "attention_rollout": partial(_passed_on, HeadMeans.attention),
}
"""By the names of `METHODS`."""
