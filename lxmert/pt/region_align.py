"""RoIAlign: the mean of samples between the cells of a map, for each bin of a region.

Dimensions: P regions, C channels, h and w height and width of the map, n bins on each side.
Source: He et al. 2017 (arXiv 1703.06870).
"""

import numpy as np
import torch
from torch import Tensor

from lxmert.vision.vcr.align_weights import align_weights


def align_regions(feature_map: Tensor, boxes: np.ndarray, size: int) -> Tensor:  # [C, h, w], [P, 4] -> [P, C, n, n]
    """The bins of regions; see `align_weights`.

    Args:
        feature_map: of one image.
        boxes: x1, y1, x2, y2 in pixels of the image.
        size: n.
    """
    dtype = "float64" if feature_map.dtype == torch.float64 else "float32"
    weights = align_weights(boxes, (feature_map.shape[1], feature_map.shape[2]), size, dtype)
    rows, columns = (torch.from_numpy(each).to(feature_map.device, feature_map.dtype) for each in weights)
    sums = torch.einsum("chw,pxw->pchx", feature_map, columns)
    return torch.einsum("pchx,pyh->pcyx", sums, rows)
