"""VisualBERT's image network for VCR with the weights that the recipe of the golden arrays draws."""

import functools
import hashlib
import json
import zlib
from pathlib import Path

import numpy as np

from lxmert.weights.naming.key_mapping import ORIGINAL_VISUAL_BERT
from tests.vision.golden_vcr import FOLDER
from tests.weights.weight_folders import tensors_of

_SEED = 20190808


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


def write_authors_file(path: Path, semantics: bool = True) -> Path:
    """A file of weights as VisualBERT's authors publish them: this network beside a model, which is a tiny one."""
    import torch

    beside = tensors_of("VisualBertForMultipleChoice", mapping=ORIGINAL_VISUAL_BERT)
    tensors = {f"detector.{name}": values for name, values in drawn(semantics).items()} | beside
    torch.save(
        {name: torch.from_numpy(np.atleast_1d(values)).reshape(values.shape) for name, values in tensors.items()}, path
    )
    return path
