"""Attention maps of one layer, averaged over its heads in the ways of the rules.

Dimensions: B rows, N heads, Q queries, K keys.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from lxmert.explain.gradients import AttentionGradients

from .matrices import outer


class HeadMeans:
    """The maps of a batch averaged over heads: [B, Q, K] each, float64, 0 in the rows and columns of padding.

    Args:
        found: the maps and their gradients.
        streams: for each name of maps, what has the queries and what has the keys, by the names of `masks`.
        masks: [B, S] of each stream, 1 for what counts and 0 for padding. A map of fewer queries or keys is of the
            first of them.

    A mean with gradients raises ValueError if the score does not depend on the map.
    """

    def __init__(
        self,
        found: AttentionGradients,
        streams: Mapping[str, tuple[str, str]],
        masks: Mapping[str, np.ndarray],
    ):
        self._found, self._streams = found, streams
        self.masks = {stream: (mask != 0).astype(np.float64) for stream, mask in masks.items()}
        self._means: dict[tuple[str, str, int], np.ndarray] = {}

    def count(self, name: str) -> int:
        """How many layers have these maps."""
        return len(self._found.maps[name])

    def attention(self, name: str, layer: int) -> np.ndarray:
        """The mean of the maps."""
        return self._mean("attention", name, layer, lambda maps, _: maps.mean(1, dtype=np.float64))

    def relevance(self, name: str, layer: int) -> np.ndarray:
        """The mean of what is positive in gradient times map (eq. 5 of Chefer, Gur and Wolf 2021)."""
        return self._mean("relevance", name, layer, _positive_products)

    def grad_cam(self, name: str, layer: int) -> np.ndarray:
        """What is positive in the mean of the maps, each weighted by the mean of its gradient."""
        counts = outer(*self._masks_of(name, layer))

        def weighted(maps: np.ndarray, gradient: np.ndarray) -> np.ndarray:
            number = np.maximum(counts.sum((1, 2)), 1)[:, None]
            weights = np.einsum("bnqk,bqk->bn", gradient, counts) / number
            mean = np.einsum("bn,bnqk->bqk", weights, maps) / maps.shape[1]
            return np.maximum(mean, 0)

        return self._mean("grad_cam", name, layer, weighted)

    def _masks_of(self, name: str, layer: int) -> tuple[np.ndarray, np.ndarray]:
        """The masks of the queries and of the keys of a map."""
        shape = self._map(name, layer).shape
        queries, keys = self._streams[name]
        return self.masks[queries][:, : shape[2]], self.masks[keys][:, : shape[3]]

    def _mean(
        self, kind: str, name: str, layer: int, average: Callable[[np.ndarray, np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """The mean of one kind, computed once."""
        if (kind, name, layer) not in self._means:
            maps = self._map(name, layer)
            mean = average(maps, maps if kind == "attention" else self._gradient(name, layer))
            self._means[kind, name, layer] = mean * outer(*self._masks_of(name, layer))
        return self._means[kind, name, layer]

    def _map(self, name: str, layer: int) -> np.ndarray:
        found = self._found.maps[name][layer]
        assert found is not None, f"the rules read all layers of {name} that reach the score"
        return found

    def _gradient(self, name: str, layer: int) -> np.ndarray:
        found = self._found.gradients[name][layer]
        if found is None:  # what came after was not computed from what is returned
            raise ValueError(
                f"the score does not depend on {name}[{layer}], so there is no gradient by it. Maps that a compiled "
                "layer or a hook returns are copies: explain the model before it is compiled, and without the hook."
            )
        return found


def _positive_products(maps: np.ndarray, gradient: np.ndarray) -> np.ndarray:  # [B, N, Q, K] twice -> [B, Q, K]
    products = np.multiply(maps, gradient, dtype=np.float64)
    mean: np.ndarray = np.maximum(products, 0, out=products).mean(1)
    return mean
