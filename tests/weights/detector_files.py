"""Files of narrow detectors, as their authors write them."""

import json
import zlib
from pathlib import Path

import numpy as np
import torch
import yaml
from safetensors.numpy import load_file

from lxmert.common.config import VcrDetectorConfig
from lxmert.weights.naming.key_mapping import VCR_DETECTOR, parameters

GOLDEN = Path(__file__).parents[1] / "golden"
VALUES = load_file(GOLDEN / "frcnn" / "small_model.safetensors")
YAML = json.loads((GOLDEN / "frcnn" / "config.json").read_text())["small"]
NAMES = json.loads((GOLDEN / "frcnn" / "keys.json").read_text())
VCR_NAMES = json.loads((GOLDEN / "vcr_detector" / "keys.json").read_text())
ANCHORS = "proposal_generator.anchor_generator.cell_anchors.0"
LISTS = {"objects_vocab.txt": "yolk,egg\ngoat\n", "attributes_vocab.txt": "floppy\n"}
VCR = VcrDetectorConfig(
    num_objects=5,
    stem_channels=4,
    width_per_group=4,
    res2_channels=16,
    res2_blocks=1,
    res3_blocks=2,
    res4_blocks=1,
    res5_blocks=2,
    object_embedding_size=6,
    mask_channels=3,
    feature_size=7,
)


def pickled(path, values):
    """Arrays by name as `torch.save` writes them."""
    torch.save({name: torch.from_numpy(array.copy()) for name, array in values.items()}, path)
    return path


def port_folder(folder, values=VALUES, config=YAML):
    """A folder as it is published: pytorch_model.bin, config.yaml, and here the names of classes too."""
    folder.mkdir(parents=True)
    pickled(folder / "pytorch_model.bin", values)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    for name, text in LISTS.items():
        (folder / name).write_text(text)
    return folder


def vcr_values(config=VCR):
    """Values for every name of the VCR detector, with the authors' counters of batches."""
    values = {}
    for p in parameters(config, ()):
        name = VCR_DETECTOR.key(p, False)
        draw = np.random.default_rng(zlib.crc32(name.encode()))
        values[name] = draw.normal(0.5, 0.1, p.shape).astype("float32")
        if name.endswith("running_var"):
            values[name.replace("running_var", "num_batches_tracked")] = np.array(7)
    return values


def without_counters(values):
    """What is read of the arrays of a file."""
    return {name: array for name, array in values.items() if not name.endswith("num_batches_tracked")}
