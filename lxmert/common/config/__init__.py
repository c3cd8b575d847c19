"""The configurations of both models, and how they are read from files.

Plain values with the names and defaults of `transformers`, without a framework: both backends and the converter share
one object.
"""

from .lxmert import LxmertConfig
from .read import CONFIGS, as_config, config_class, config_from_dict, config_from_pretrained, describes_model
from .visual_bert import VisualBertConfig

__all__ = [
    "CONFIGS",
    "LxmertConfig",
    "VisualBertConfig",
    "as_config",
    "config_class",
    "config_from_dict",
    "config_from_pretrained",
    "describes_model",
]
