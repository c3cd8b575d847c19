"""The Visual Genome detector with given weights, in both backends."""

import numpy as np

from tests.vision.golden_detector import FOLDER

_KERAS = {
    "norm": {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"},
    "object_embedding": {"weight": "embeddings"},
}


def golden_network(backend, config, dtype, anchors=None):
    """A network with the golden weights, read from the port's file; with other anchors where they are given."""
    network = class_of(backend).from_pretrained(FOLDER / "small_model.safetensors", config=config, dtype=dtype)
    if anchors is not None:
        held = network.proposal_head.anchors
        held.assign(anchors) if backend == "tf" else held.copy_(held.new_tensor(anchors))
    return network


def class_of(backend):
    """The class of a backend."""
    if backend == "pt":
        from lxmert.pt import VisualGenomeDetector

        return VisualGenomeDetector
    from lxmert.tf import TFVisualGenomeDetector

    return TFVisualGenomeDetector


def draw_weights(config, seed):
    """Weights under our names, with every kind of number that a norm may have."""
    import torch

    torch.manual_seed(seed)
    draws = np.random.default_rng(seed)
    found = {}
    for name, values in class_of("pt")(config).state_dict().items():
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

        network = class_of(backend)(config).to(getattr(torch, dtype)).eval()
        network.load_state_dict({name: torch.from_numpy(values) for name, values in weights.items()})
        return network
    from lxmert.tf.named_weights import sublayer

    network = class_of(backend)(config, dtype=dtype)
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
