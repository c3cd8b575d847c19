"""Damage of JSON: other values, names and nesting in a document that is mostly still JSON."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

from .any_bytes import damaged
from .parts import LARGE, NUMBERS

_DEEP = ("[" * 5000 + "]" * 5000, '{"a":' * 3000 + "1" + "}" * 3000, "[" * 90_000)
_TEXTS = (
    "",
    "F8_E4M3",
    "BF16",
    "I64",
    "float64",
    "lxmert",
    "visual_bert",
    "$B",
    "$A",
    "\ud800",
    "\0",
    "é" * 300,
    "x" * 9000,
)
_NAMES = (
    "__metadata__",
    "extra",
    "pruned_heads",
    "architectures",
    "model_type",
    "id2label",
    "added_tokens",
    "normalizer",
)
_OTHERS = (
    None,
    True,
    False,
    0,
    1.5,
    float("nan"),
    float("inf"),
    "",
    [],
    {},
    "x",
    [1, 2],
    {"0": [0]},
    [[]],
    [{}],
    ["x"] * 3000,
)


def damaged_json(draw: random.Random, content: bytes) -> bytes:
    """JSON with other numbers, names and nesting; now and then no JSON any more."""
    try:
        values = json.loads(content)
    except ValueError:  # no JSON
        return damaged(draw, content)
    for _ in range(draw.choice((1, 1, 2, 4))):
        places = list(_places(values))
        if not places:
            break
        _change(draw, places)
    text = json.dumps(values, ensure_ascii=draw.random() < 0.5)
    if draw.random() < 0.1:  # a key twice
        at = text.find(",", draw.randrange(len(text)))
        text = text[:at] + text[text.rfind(",", 0, at) : at] + text[at:] if at > 0 else text
    if draw.random() < 0.06:
        text = _grown(draw, text)
    encoded = text.encode("utf-8", draw.choice(("replace", "surrogatepass")))
    return damaged(draw, encoded) if draw.random() < 0.1 else encoded


def _change(draw: random.Random, places: list[tuple[Any, Any]]) -> None:
    holder, key = draw.choice(places)
    value = holder[key]
    other_holder, other_key = draw.choice(places)
    other = other_holder[other_key]
    match draw.randrange(10):
        case 0 | 1 | 2:
            holder[key] = _other_value(draw, value)
        case 3:
            del holder[key]
        case 4:
            if isinstance(holder, dict):
                holder[_other_text(draw, key)] = holder.pop(key)
        case 5:
            holder[key] = draw.choice(([value], {"0": value}, [value] * 300))
        case 6:
            if not (isinstance(value, (dict, list)) or isinstance(other, (dict, list))):
                holder[key], other_holder[other_key] = other, value
        case 7:
            if not isinstance(value, (dict, list)):
                holder[key] = json.loads(json.dumps(other))
        case 8:
            if isinstance(holder, dict):
                holder[draw.choice(_NAMES)] = _other_value(draw, value)
        case 9:  # many more
            if isinstance(holder, dict) and isinstance(key, str):
                holder |= {f"{key}{number}": value for number in range(draw.choice((3, 400)))}
            elif isinstance(holder, list):
                holder += [value] * draw.choice((1, 400))


def _grown(draw: random.Random, text: str) -> str:
    """Deep nesting, numbers of thousands of digits, or blanks."""
    more = draw.choice((*_DEEP, "9" * 6000, "1e999", "-1e-999", " " * 200_000, '"' + "\\u0041" * 20_000 + '"', "NaN"))
    at = text.find(draw.choice((":", ",", "[")), draw.randrange(max(1, len(text))))
    return text[: at + 1] + more + draw.choice((",", "")) + text[at + 1 :] if at >= 0 else more


def _places(values: Any) -> Iterator[tuple[Any, Any]]:
    keys = list(values) if isinstance(values, dict) else range(len(values)) if isinstance(values, list) else ()
    for key in keys:
        yield values, key
        yield from _places(values[key])


def _other_value(draw: random.Random, value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and draw.random() < 0.8:
        return draw.choice((*NUMBERS, *LARGE, value + 1, value - 1, 2 * value, -value, -1, 10**30, 10**400))
    if isinstance(value, str) and draw.random() < 0.7:
        return _other_text(draw, value)
    return copy.deepcopy(draw.choice(_OTHERS))


def _other_text(draw: random.Random, text: str) -> str:
    at = draw.randrange(len(text) + 1)
    put_in = text[:at] + draw.choice("a.0/\\:\0é\ud800\n\u202e") + text[at:]
    changed = (text[:at] + text[at + 1 :], put_in, text[::-1], "../" + text, "/" + text)
    return draw.choice((*changed, *changed, "module." + text, text + "." + text, text.upper(), *_TEXTS))


def damaged_safetensors(draw: random.Random, content: bytes) -> bytes:
    """A header with other contents, of the right length but now and then."""
    size = int.from_bytes(content[:8], "little")
    header = damaged_json(draw, content[8 : 8 + size])
    if draw.random() < 0.8 and not header.startswith(b"{"):
        header = content[8 : 8 + size]
    length = len(header) if draw.random() < 0.9 else draw.choice((*NUMBERS, *LARGE, len(header) + 1)) % 2**64
    return length.to_bytes(8, "little") + header + content[8 + size :]
