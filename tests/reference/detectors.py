"""The narrow Visual Genome detector of the golden arrays, in both backends."""

import re
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from lxmert.common.config.detector import DetectorConfig

GOLDEN = Path(__file__).parents[1] / "golden" / "frcnn"
SMALL = DetectorConfig(
    num_objects=100,
    num_attributes=25,
    stem_channels=4,
    width_per_group=4,
    res2_channels=16,
    proposal_channels=32,
    anchor_sizes=(16.0, 32.0, 64.0, 128.0),
    min_size=128,
    max_size=176,
    proposals_before_suppression=600,
    num_proposals=64,
)
_NAMES = [
    (r"stem\.conv1", "stem.conv"),
    (r"\.conv1\.", ".reduce.conv."),
    (r"\.conv2\.", ".spatial.conv."),
    (r"\.conv3\.", ".expand.conv."),
    (r"shortcut\.", "shortcut.conv."),
    (r"conv\.norm", "norm"),
    (r"proposal_generator\.anchor_generator\.cell_anchors\.0", "proposal_head.anchors"),
    (r"proposal_generator\.rpn_head\.conv", "proposal_head.hidden"),
    (r"proposal_generator\.rpn_head\.objectness_logits", "proposal_head.objectness"),
    (r"proposal_generator\.rpn_head\.anchor_deltas", "proposal_head.deltas"),
    (r"roi_heads\.box_predictor\.cls_score", "predictor.objects"),
    (r"roi_heads\.box_predictor\.bbox_pred", "predictor.boxes"),
    (r"roi_heads\.box_predictor\.cls_embedding", "predictor.object_embedding"),
    (r"roi_heads\.box_predictor\.fc_attr", "predictor.attribute_hidden"),
    (r"roi_heads\.box_predictor\.attr_score", "predictor.attributes"),
    (r"roi_heads\.", ""),
]
_KERAS = {
    "norm": {
        "weight": "gamma",
        "bias": "beta",
        "running_mean": "moving_mean",
        "running_var": "moving_variance",
    },
    "object_embedding": {"weight": "embeddings"},
}


def weights(dtype: str) -> dict[str, np.ndarray]:
    """The golden weights under our names."""
    found = {}
    for name, values in load_file(GOLDEN / "small_model.safetensors").items():
        if not name.endswith("num_batches_tracked"):
            for pattern, ours in _NAMES:
                name = re.sub(pattern, ours, name)
            found[name] = values.astype(dtype)
    return found


def assign_keras(model, values: dict[str, np.ndarray]) -> None:
    """Give a Keras model the values of PyTorch's state dict."""
    from lxmert.tf.named_weights import sublayer

    for name, array in values.items():
        path, _, leaf = name.rpartition(".")
        leaf = _KERAS.get(path.rpartition(".")[2], {"weight": "kernel"}).get(leaf, leaf)
        array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T if leaf == "kernel" else array
        getattr(sublayer(model, path), leaf).assign(array)


def make(backend: str, dtype: str):
    """The narrow detector with the golden weights."""
    if backend == "pt":
        import torch

        from lxmert.pt.detector import VisualGenomeDetector

        model = VisualGenomeDetector(SMALL).to(getattr(torch, dtype)).eval()
        model.load_state_dict({name: torch.from_numpy(values) for name, values in weights(dtype).items()})
        return model
    from lxmert.tf.detector import TFVisualGenomeDetector

    model = TFVisualGenomeDetector(SMALL, dtype=dtype)
    assign_keras(model, weights(dtype))
    return model
