"""The configurations of the models, and how they are read from files.

Plain values without a framework: both backends and the converter share one object. Those of LXMERT and VisualBERT have
the names and defaults of `transformers`.
"""

from .detector import DetectorConfig
from .lxmert import LxmertConfig
from .read import (
    ALL_CONFIGS,
    CONFIGS,
    as_config,
    config_class,
    config_from_dict,
    config_from_pretrained,
    describes_model,
)
from .vcr_detector import VcrDetectorConfig
from .visual_bert import VisualBertConfig

__all__ = [
    "ALL_CONFIGS",
    "CONFIGS",
    "DetectorConfig",
    "LxmertConfig",
    "VcrDetectorConfig",
    "VisualBertConfig",
    "as_config",
    "config_class",
    "config_from_dict",
    "config_from_pretrained",
    "describes_model",
]
