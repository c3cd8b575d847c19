"""What a grid detector is made of: the name with its options, "grid:NAME,option=value", and their checks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from lxmert.hub import HubOptions
from lxmert.utils.messages import unknown_keyword_message
from lxmert.utils.setting_names import setting
from lxmert.vision.image_files import MAX_PIXELS

PREFIX = "grid:"
PRECISIONS = ("float32", "float64", "bfloat16")
RANDOM = "random"
KERAS_HUB = "keras_hub:"
_OPTIONS = ("grid", "image_size", "weights", "seed", "revision")
_OPTION = re.compile(r",(?=[a-z_]+=)")

Sides: TypeAlias = int | tuple[int, int] | str


@dataclass(frozen=True)
class GridOptions:
    """Which backbone, and how its map becomes regions.

    Attributes:
        name: of the backbone, without "grid:".
        grid: rows and columns of the regions; None for those of the backbone's map.
        image_size: height and width that images are resized to; None for those of the backbone.
        weights: None for the published ones, "random", or in Keras a file.
        seed: of random weights.
        precision: "float32", "float64" or "bfloat16".
        device: of `find_device` in the backend.
        hub: see `lxmert.hub.HubOptions`.
    """

    name: str
    grid: tuple[int, int] | None = None
    image_size: tuple[int, int] | None = None
    weights: str | Path | None = None
    seed: int = 0
    precision: str = "float32"
    device: str = "cpu"
    hub: HubOptions = field(default_factory=HubOptions)

    @property
    def random(self) -> bool:
        """Whether the weights are drawn."""
        return self.weights == RANDOM

    @property
    def source(self) -> str:
        """The whole name, for messages."""
        return PREFIX + self.name

    @property
    def model(self) -> str:
        """The name for settings: of a folder its last part, so that it may be moved."""
        path = Path(self.name.removeprefix(KERAS_HUB)).expanduser()
        return path.resolve().name if path.exists() else self.name

    @classmethod
    def parse(cls, source: object, hub: Mapping[str, Any], **given: Any) -> GridOptions:
        """Read a name such as "grid:ResNet50,weights=random,seed=1" and the arguments that were given beside it.

        Args:
            source: the name; "grid:" may be left out.
            hub: options of the hub; `revision` may also be in the name.
            given: fields of this class, None for those that were not given.

        Raises:
            TypeError: no text.
            ValueError: an unknown option, a value that is none, or a setting that is given twice.
        """
        if not isinstance(source, str):
            raise TypeError(f'the name of a backbone must be a string, such as "grid:ResNet50"; got {source!r}.')
        name, *parts = _OPTION.split(source.removeprefix(PREFIX))
        if not name:
            raise ValueError(
                f'{source!r} names no backbone. Write "grid:microsoft/resnet-50" in PyTorch, "grid:ResNet50" in Keras.'
            )
        found = _options_of(parts, source)
        values = {key: value for key, value in {**given, **hub}.items() if value is not None}
        twice = [key for key in found if key in values and values[key] != found[key]]
        if twice:
            raise ValueError(f"{source!r} sets {', '.join(twice)}, and so does an argument. Give one of them.")
        values |= found
        options: Any = {key: values.pop(key) for key in HubOptions.__annotations__ if key in values}
        for key in ("grid", "image_size"):
            if key in values:
                values[key] = check_sides(key, values[key])
        if "seed" in values and values.get("weights") != RANDOM:
            raise ValueError(f"seed is of random weights, weights={RANDOM}; got seed={values['seed']} without them.")
        made = cls(name, hub=options, **values)
        _check(made)
        return made


def _options_of(parts: list[str], source: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in parts:
        key, _, value = part.partition("=")
        if key not in _OPTIONS:
            raise ValueError(f"{source!r}: {unknown_keyword_message(key, _OPTIONS, 'option')}")
        if key in found or not value:
            raise ValueError(f"{source!r} must give {key} one value, such as {key}={_EXAMPLES[key]}.")
        if key == "seed" and not value.isdecimal():
            raise ValueError(f"{source!r} must give seed a number, such as seed=0; got {value!r}.")
        found[key] = int(value) if key == "seed" else value
    return found


_EXAMPLES = {"grid": "7x7", "image_size": "224", "weights": RANDOM, "seed": "0", "revision": "main"}


def check_sides(name: str, value: Any) -> tuple[int, int]:
    """Rows and columns, or height and width: ``7``, ``(7, 10)``, "7" or "7x10".

    Raises:
        ValueError: anything else, or more pixels than an image may have.
    """
    sides: Any = value
    if isinstance(value, str):
        sides = tuple(int(part) if part.isdecimal() else 0 for part in value.split("x"))
    sides = (sides, sides) if isinstance(sides, int) else tuple(sides) if isinstance(sides, list) else sides
    if isinstance(sides, tuple) and len(sides) == 1:
        sides = sides * 2
    whole = isinstance(sides, tuple) and all(isinstance(s, int) and not isinstance(s, bool) and s > 0 for s in sides)
    if not whole or len(sides) != 2 or sides[0] * sides[1] > MAX_PIXELS:
        what = "rows and columns" if name == "grid" else "height and width"
        raise ValueError(
            f"{name} must be one positive number, or {what}, as in {_EXAMPLES[name]}, at most "
            f"{MAX_PIXELS:,} in all; got {value!r}."
        )
    return sides


def _check(options: GridOptions) -> None:
    if options.precision not in PRECISIONS:
        raise ValueError(f"{setting('precision')} must be one of {', '.join(PRECISIONS)}; got {options.precision!r}.")
    if not isinstance(options.seed, int) or isinstance(options.seed, bool) or not 0 <= options.seed < 2**32:
        raise ValueError(f"seed must be an integer from 0 to 2^32 - 1; got {options.seed!r}.")
    if not isinstance(options.weights, str | Path | None):
        raise TypeError(f"weights must be {RANDOM!r} or a file; got {type(options.weights).__name__}.")
