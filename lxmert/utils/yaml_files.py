"""YAML from outside: plain values only, bounded in size, and errors that name the file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import yaml

from .foreign_files import check_depth, read_small, reading
from .messages import shown

# PyYAML takes 20 microseconds for each value; a file of this size takes up to a second. Published ones have 3 kB.
LARGEST_YAML = 2**16
_LONGEST_NUMBER = 100  # characters; PyYAML takes the square of the parts of 1:2:3 and the like


def is_yaml(path: Path) -> bool:
    """Whether a file's name says that it is YAML."""
    return path.suffix.lower() in (".yaml", ".yml")


class _PlainLoader(yaml.SafeLoader):
    """Makes plain values only, and refuses a key that is there twice; PyYAML would take the last."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag == "tag:yaml.org,2002:merge":
                # Merged mappings of merged mappings grow without a bound.
                raise yaml.constructor.ConstructorError(None, None, "a key is no plain value", key_node.start_mark)
            key = self.construct_object(key_node)
            if key in seen:
                problem = f"the key {shown(key)} is there twice in one mapping"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_scalar(self, node: Any) -> Any:
        value = super().construct_scalar(node)
        if node.tag.endswith((":int", ":float")) and len(value) > _LONGEST_NUMBER:
            raise yaml.constructor.ConstructorError(None, None, "a number is too long", node.start_mark)
        return value


def read_yaml(path: str | Path) -> dict[Any, Any]:
    """Read a YAML file that holds a mapping.

    Raises:
        OSError: the file cannot be read.
        ValueError: not YAML of plain values, a key that is there twice, another kind of value than a mapping, or a file
            far larger than any description of a model, as it is or with what its aliases repeat.
    """
    text = read_small(path, LARGEST_YAML, "a description of a model")
    with reading(path, "is not a YAML file of plain values"):
        try:
            values = yaml.load(text, _PlainLoader)
        except yaml.MarkedYAMLError as error:  # its arguments are parts of a message
            where = f" (line {mark.line + 1}, column {mark.column + 1})" if (mark := error.problem_mark) else ""
            raise ValueError(f"{error.problem or error.context}{where}") from None
    check_depth(values, path)
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold a YAML mapping of keys and values; it holds a {type(values).__name__}.")
    if _expanded_size(values, {}) > LARGEST_YAML:
        raise ValueError(f"{path} repeats its values by aliases, more than any description of a model has.")
    return values


def _expanded_size(value: Any, known: dict[int, float]) -> float:
    """How many values and characters there are if each alias is written out; infinite for one that contains itself.

    A few lines of aliases of aliases make a value that no message can quote.
    """
    if not isinstance(value, (dict, list, tuple, set)):
        return 1 + len(value) if isinstance(value, (str, bytes)) else 1
    if id(value) not in known:
        known[id(value)] = math.inf  # until its parts are known
        parts = (*value.keys(), *value.values()) if isinstance(value, dict) else tuple(value)
        known[id(value)] = 1 + sum(_expanded_size(part, known) for part in parts)
    return known[id(value)]
