"""Read configurations of any model, chosen by their `model_type`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lxmert.utils.messages import shown
from lxmert.utils.paths import CONFIG_NAME

from .base import ModelConfig
from .config_file import read_config
from .detector import DetectorConfig
from .detector_yaml import YAML_NAME, is_yaml_layout
from .lxmert import LxmertConfig
from .vcr_detector import VcrDetectorConfig
from .visual_bert import VisualBertConfig

CONFIGS: dict[str, type[ModelConfig]] = {kind.model_type: kind for kind in (LxmertConfig, VisualBertConfig)}
"""The models of words and regions."""
ALL_CONFIGS = CONFIGS | {kind.model_type: kind for kind in (DetectorConfig, VcrDetectorConfig)}
"""These, and the detectors that regions come from."""


def config_class(values: Mapping[str, Any], default: type[ModelConfig] | None = None) -> type[ModelConfig]:
    """Return the configuration class for the `model_type` in the keys of a config.json.

    Args:
        values: the keys and values of a config.json, or of the config.yaml of the Visual Genome detector.
        default: the class for keys without a model type.

    Raises:
        ValueError: no such model type.
        TypeError: no mapping.
    """
    if not isinstance(values, Mapping):
        raise TypeError(f"a configuration is a mapping of keys to values; got {type(values).__name__}.")
    if is_yaml_layout(values):
        return DetectorConfig
    if default is not None and "model_type" not in values:
        return default
    model_type = values.get("model_type")
    if not isinstance(model_type, str) or model_type not in ALL_CONFIGS:
        raise ValueError(f"model_type must be one of {', '.join(ALL_CONFIGS)}; got {shown(model_type)}.")
    return ALL_CONFIGS[model_type]


def config_from_dict(values: Mapping[str, Any], **overrides: Any) -> ModelConfig:
    """Make a configuration of the class that `model_type` names.

    Args:
        values: the keys and values of a config.json.
        overrides: fields to override.

    Raises:
        ValueError: no such model type, or a value out of range.
        TypeError: a value of the wrong kind.
    """
    return config_class(values).from_dict(values, **overrides)


def config_from_pretrained(
    source: str | Path,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    local_files_only: bool = False,
) -> ModelConfig:
    """Read the config.json of any model, given the folder that holds it, the file itself, or a model on the hub.

    A file without a model type is read as LXMERT's: its authors' files have none.

    Args:
        source: a folder or file; a text that is no path may be a model on the hub, "owner/name".
        revision, cache_dir, token, local_files_only: of a model on the hub; see `ModelConfig.from_pretrained`.

    Raises:
        As `ModelConfig.from_pretrained`; ValueError for another kind of model too.
    """
    names = (CONFIG_NAME, YAML_NAME)
    file, values = read_config(source, revision, cache_dir, token, local_files_only, names=names)
    try:
        kind = config_class(values, default=LxmertConfig)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    return kind.from_pretrained(file)


def as_config(config: Any, kind: type[ModelConfig] = ModelConfig) -> Any:
    """The configuration that was given; one of `transformers` as the one of this package that it describes.

    Args:
        config: a configuration of this package or of `transformers`, or the path of a config.json.
        kind: the class that is wanted.

    Returns:
        The same object, if it is of that class; None for None.

    Raises:
        TypeError: something else.
        ValueError: it is of another model, or a value is out of range.
    """
    if config is None or isinstance(config, kind):
        return config
    if isinstance(config, (str, Path)):
        return config_from_pretrained(config) if kind is ModelConfig else kind.from_pretrained(config)
    if isinstance(config, ModelConfig) or not describes_model(config):
        raise TypeError(f"config must be a {kind.__name__}; got {type(config).__name__}.")
    values = config.to_dict()
    return (config_class(values) if kind is ModelConfig else kind).from_dict(values)


def describes_model(config: Any) -> bool:
    """Whether an object is a configuration as `transformers` has them, which is told by its methods."""
    return (
        not isinstance(config, type)
        and callable(getattr(config, "to_dict", None))
        and isinstance(getattr(config, "model_type", None), str)
    )
