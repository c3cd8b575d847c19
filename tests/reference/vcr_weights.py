"""VisualBERT's image network for VCR with the weights that the recipe of the golden arrays draws."""

import functools
import hashlib
import json
import re
import zlib

import numpy as np

from lxmert.common.config.vcr_detector import VcrDetectorConfig
from tests.vision.golden_vcr import FOLDER

_SEED = 20190808
_NAMES = [
    (r"^backbone\.0\.", "backbone.stem.conv."),
    (r"^backbone\.1\.", "backbone.stem.norm."),
    (r"^backbone\.([456])\.", lambda found: f"backbone.res{int(found[1]) - 2}."),
    (r"^after_roi_align\.0\.", "res5."),
    (r"\.conv1\.", ".reduce.conv."),
    (r"\.conv2\.", ".spatial.conv."),
    (r"\.conv3\.", ".expand.conv."),
    (r"\.bn1\.", ".reduce.norm."),
    (r"\.bn2\.", ".spatial.norm."),
    (r"\.bn3\.", ".expand.norm."),
    (r"\.downsample\.0\.", ".shortcut.conv."),
    (r"\.downsample\.1\.", ".shortcut.norm."),
    (r"^object_embed\.", "object_embedding."),
    (r"^mask_upsample\.", "mask_conv."),
    (r"^obj_downsample\.1\.", "projection."),
    (r"^regularizing_predictor\.", "object_predictor."),
]
_NORM = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


@functools.cache
def drawn(semantics: bool = True) -> dict[str, np.ndarray]:
    """The weights under the names of the authors' files, without the prefix `detector.`."""
    keys = json.loads((FOLDER / "keys.json").read_text())
    found = {}
    for name, key in keys.items():
        shape = tuple(key["shape"])
        if not semantics:
            if name.startswith(("object_embed.", "mask_upsample.")):
                continue
            shape = (512, 2048) if name == "obj_downsample.1.weight" else shape
        found[name] = values = _draw(name, shape)
        if shape == tuple(key["shape"]):
            assert hashlib.sha256(values.tobytes()).hexdigest()[:16] == key["sha256_16"], name
    return found


def _draw(name: str, shape: tuple[int, ...]) -> np.ndarray:
    if name.endswith("num_batches_tracked"):
        return np.zeros((), np.int64)
    normal = np.random.default_rng([_SEED, zlib.crc32(name.encode())]).standard_normal(shape)
    leaf = name.rpartition(".")[2]
    eighth = 1.0
    if leaf == "running_var":
        values, eighth = 0.5 + np.abs(normal), 1e-3
    elif leaf == "running_mean":
        values, eighth = 0.1 * normal, 1e-2
    elif leaf == "bias":
        values = 0.1 * normal
    elif len(shape) == 1:
        values, eighth = (0.375 if ".bn3." in name else 1) * (1 + 0.1 * normal), 0.03125
    elif name in ("object_embed.weight", "mask_upsample.weight"):
        values = normal * {"object_embed.weight": 4, "mask_upsample.weight": 2}[name]
    else:
        values = normal * np.sqrt(2 / np.prod(shape[1:]))
    if eighth != 1:
        values[::8] *= eighth
    return values.astype(np.float32)


def renamed(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The weights under our names."""
    found = {}
    for name, array in values.items():
        if not name.endswith("num_batches_tracked"):
            for pattern, ours in _NAMES:
                name = re.sub(pattern, ours, name)
            found[name] = array
    return found


def make(backend: str, dtype: str, semantics: bool = True):
    """The network with the golden weights, for the golden canvas."""
    config = VcrDetectorConfig(canvas_height=96, canvas_width=128, use_semantics=semantics)
    values = renamed(drawn(semantics))
    if backend == "pt":
        import torch

        from lxmert.pt.vcr_detector import VcrDetector

        with torch.device("meta"):
            model = VcrDetector(config)
        model = model.to_empty(device="cpu").to(getattr(torch, dtype)).eval()
        model.load_state_dict({name: torch.from_numpy(array.astype(dtype)) for name, array in values.items()})
        return model
    from lxmert.tf.named_weights import sublayer
    from lxmert.tf.vcr_detector import TFVcrDetector

    model = TFVcrDetector(config, dtype=dtype)
    for name, array in values.items():
        path, _, leaf = name.rpartition(".")
        if path == "object_embedding":
            leaf = "embeddings"
        else:
            leaf = (_NORM if path.endswith("norm") else {"weight": "kernel"}).get(leaf, leaf)
        transposed = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T if leaf == "kernel" else array
        getattr(sublayer(model, path), leaf).assign(transposed)
    return model
