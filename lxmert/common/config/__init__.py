"""The configurations of both models, and how they are read from files."""

from .lxmert import CONFIGS, LxmertConfig, VisualBertConfig, config_class, config_from_dict, config_from_pretrained

__all__ = ["CONFIGS", "LxmertConfig", "VisualBertConfig", "config_class", "config_from_dict", "config_from_pretrained"]
