"""The Visual Genome detector with given weights, in both backends."""

import re

import numpy as np
from safetensors.numpy import load_file

from tests.vision.golden_detector import FOLDER

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
    "norm": {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"},
    "object_embedding": {"weight": "embeddings"},
}


def golden_weights(anchors=None):
    """The golden weights under our names, with other anchors where they are given."""
    found = {}
    for name, values in load_file(FOLDER / "small_model.safetensors").items():
        if not name.endswith("num_batches_tracked"):
            for pattern, ours in _NAMES:
                name = re.sub(pattern, ours, name)
            found[name] = values
    return found if anchors is None else found | {"proposal_head.anchors": anchors}


def draw_weights(config, seed):
    """Weights under our names, with every kind of number that a norm may have."""
    import torch

    from lxmert.pt.detector import VisualGenomeDetector

    torch.manual_seed(seed)
    draws = np.random.default_rng(seed)
    found = {}
    for name, values in VisualGenomeDetector(config).state_dict().items():
        values = values.numpy().copy()
        if name.endswith("running_var"):
            values = np.exp(draws.normal(0, 0.5, values.shape))
        elif ".norm." in name:
            values += 0.2 * draws.standard_normal(values.shape)
        elif name.endswith(".bias"):
            values = draws.normal(0, 0.1, values.shape)
        elif "proposal_head.objectness" in name or "predictor" in name:
            values *= 10
        found[name] = values.astype(np.float32)
    return found


def make_network(backend, config, weights, dtype):
    """A network of a backend with these weights."""
    if backend == "pt":
        import torch

        from lxmert.pt.detector import VisualGenomeDetector

        network = VisualGenomeDetector(config).to(getattr(torch, dtype)).eval()
        network.load_state_dict({name: torch.from_numpy(values) for name, values in weights.items()})
        return network
    from lxmert.tf.detector import TFVisualGenomeDetector
    from lxmert.tf.named_weights import sublayer

    network = TFVisualGenomeDetector(config, dtype=dtype)
    for name, array in weights.items():
        path, _, leaf = name.rpartition(".")
        leaf = _KERAS.get(path.rpartition(".")[2], {"weight": "kernel"}).get(leaf, leaf)
        array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T if leaf == "kernel" else array
        getattr(sublayer(network, path), leaf).assign(array)
    return network


def tensor(backend, array):
    """An array ``[B, H, W, C]`` as a tensor in the layout of a backend."""
    if backend == "tf":
        import tensorflow

        return tensorflow.constant(array)
    import torch

    return torch.from_numpy(np.ascontiguousarray(array.transpose(0, 3, 1, 2)))


def channels_first(backend, x):
    """A tensor in the layout of a backend as an array ``[B, C, H, W]``."""
    x = np.asarray(x.detach() if hasattr(x, "detach") else x)
    return x if backend == "pt" else x.transpose(0, 3, 1, 2)
