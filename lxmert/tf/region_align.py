"""RoIAlign: the mean of samples between the cells of a map, for each bin of a region.

Dimensions: P regions, C channels, h and w height and width of the map, n bins on each side.
Source: He et al. 2017 (arXiv 1703.06870).
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from lxmert.vision.vcr.align_weights import align_weights


def align_regions(feature_map: Any, boxes: np.ndarray, size: int) -> Any:  # [h, w, C], [P, 4] -> [P, n, n, C]
    """The bins of regions; see `align_weights`.

    Args:
        feature_map: of one image.
        boxes: x1, y1, x2, y2 in pixels of the image.
        size: n.
    """
    dtype = keras.backend.standardize_dtype(feature_map.dtype)
    exact = "float64" if dtype == "float64" else "float32"
    weights = align_weights(boxes, (feature_map.shape[0], feature_map.shape[1]), size, exact)
    rows, columns = (ops.convert_to_tensor(each, dtype) for each in weights)
    sums = ops.einsum("hwc,pxw->phxc", feature_map, columns)
    return ops.einsum("phxc,pyh->pyxc", sums, rows)
