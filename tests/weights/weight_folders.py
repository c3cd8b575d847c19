"""Small weights in Hugging Face's mapping, written by the safetensors library: no framework, none of our writers."""

import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from lxmert.common.config import LxmertConfig, VisualBertConfig
from lxmert.common.config.base import ModelConfig
from lxmert.common.specs import architectures
from lxmert.weights.naming.key_mapping import HUGGING_FACE, KeyMapping, Parameter, parameters
from lxmert.weights.naming.tables import head_names, is_task_model

# No two sizes are equal, so that nothing fits by accident: a transpose that was forgotten has the wrong shape.
SIZES: dict[str, Any] = dict(
    vocab_size=23,
    hidden_size=12,
    num_attention_heads=3,
    num_qa_labels=5,
    num_object_labels=4,
    num_attr_labels=6,
    intermediate_size=10,
    max_position_embeddings=9,
    type_vocab_size=3,
    l_layers=2,
    x_layers=1,
    r_layers=3,
    visual_feat_dim=7,
    visual_pos_dim=8,
)
CONFIG = LxmertConfig(**SIZES)
VISUAL_BERT = VisualBertConfig(
    vocab_size=23,
    hidden_size=12,
    visual_embedding_dim=7,
    num_hidden_layers=2,
    num_attention_heads=3,
    intermediate_size=10,
    max_position_embeddings=9,
    type_vocab_size=3,
    num_labels=5,
)
CONFIG_OF: dict[str, ModelConfig] = {
    **dict.fromkeys(architectures("lxmert"), CONFIG),
    **dict.fromkeys(architectures("visual_bert"), VISUAL_BERT),
}


def values_of(parameter: Parameter, dtype: str = "float32") -> np.ndarray:
    """Random values, PyTorch's way round, that differ from name to name."""
    draw = np.random.default_rng(zlib.crc32(parameter.name.encode()))
    return draw.standard_normal(parameter.shape).astype(dtype)


def tensors_of(
    architecture: str,
    config: ModelConfig | None = None,
    dtype: str = "float32",
    pooler: bool = True,
    mapping: KeyMapping = HUGGING_FACE,
) -> dict[str, np.ndarray]:
    """Every tensor of a model, in one mapping."""
    config = config or CONFIG_OF[architecture]
    found = parameters(config, head_names(architecture, config), pooler)
    return {mapping.key(p, is_task_model(architecture)): values_of(p, dtype) for p in found}


def make_folder(
    folder: Path,
    architecture: str = "LxmertForPreTraining",
    config: ModelConfig | None = None,
    dtype: str = "float32",
    pooler: bool = True,
    mapping: KeyMapping = HUGGING_FACE,
    **changed: np.ndarray | None,
) -> Path:
    """Write config.json and model.safetensors; `changed` replaces tensors, or leaves them out where it is None."""
    config = config or CONFIG_OF[architecture]
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {**tensors_of(architecture, config, dtype, pooler, mapping), **changed}
    save_file({name: x for name, x in tensors.items() if x is not None}, folder / "model.safetensors", {"format": "pt"})
    values = {**config.to_dict(), "architectures": [architecture]}
    (folder / "config.json").write_text(json.dumps(values))
    return folder


def read_folder(folder: Path) -> dict[str, np.ndarray]:
    """Every tensor in a folder."""
    return load_file(folder / "model.safetensors")


def assert_bits_equal(given: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    """The same names, and the same bits under each."""
    assert sorted(given) == sorted(expected)
    for name, values in expected.items():
        assert (given[name].dtype, given[name].shape) == (values.dtype, values.shape), name
        assert given[name].tobytes() == values.tobytes(), name
