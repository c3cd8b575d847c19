"""How regions are chosen: as the original program did, or as the port of Hugging Face does.

The published LXMERT and VisualBERT weights were trained with the features of the original, a Caffe program. Both
profiles read the same network.

What profile "caffe" takes from the original beside the choice itself: the size of the input, and that proposals with a
side below 16 pixels of the image are dropped before the best are taken (`RPN_MIN_SIZE` of its configuration, multiplied
by the scale of the image; a side counts its last pixel). Of an image with a side below 64 pixels they are dropped below
a quarter of that side; the original finds nothing in an image of less than 16.

What it does not take from the original: the middle of the anchors. There it is 7.5 pixels further right and down, and
their sides are rounded to pixels. Both can be undone in the weights, as constants in the layer of the deltas, and
nothing published says whether they are in those that were converted; the programs that the converted weights were
published with use anchors around the corners of cells, and no others. So anchors belong to the weights and not to a
profile. Smaller differences that stay: the original rounds the resized sides to even numbers at one half, clips boxes
one pixel inside of the image, and suppresses proposals with sides that count the last pixel.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from numbers import Real
from typing import Any, ClassVar, TypeAlias

import numpy as np

from lxmert.common.config.detector import DetectorConfig
from lxmert.utils.setting_names import setting

Regions: TypeAlias = "int | tuple[int, int]"
"""How many regions an image has: a number, or the least and the most."""

_SHORTEST = 16  # pixels of the network's input: one cell of its map


@dataclass(frozen=True)
class CaffeProfile:
    """The choice of the original's `generate_tsv.py`, with which the published models and features were made.

    The box of a region is its proposal. In each class alone, of boxes that overlap more than `suppression_threshold`
    the one with the highest score is kept; widths, heights and overlaps are in pixels of the image, and count the last
    pixel. The confidence of a region is its highest score in a class where it was kept. Regions of at least
    `score_threshold` are taken, in the order of the proposals. If they are fewer than `min_regions` or more than
    `max_regions`, so many of the highest confidence are taken, in falling order.

    Attributes:
        min_size, max_size: the shorter side of the network's input, and the most that the longer has.
        min_regions, max_regions: of an image. It has fewer where there are fewer proposals.
        score_threshold: the least confidence of a region where there are enough.
        suppression_threshold: intersection over union.
        least_side: of proposals in pixels of the image; see the module.
    """

    name: ClassVar[str] = "caffe"

    min_size: int = 600
    max_size: int = 1000
    min_regions: int = 36
    max_regions: int = 36
    score_threshold: float = 0.2
    suppression_threshold: float = 0.3
    least_side: float = 16.0

    def __post_init__(self) -> None:
        _check(self)

    def least_sides(self, image_size: tuple[int, int], size: tuple[int, int]) -> tuple[float, float]:
        """The least width and height of a proposal in pixels of the network's input.

        Args:
            image_size: height and width of the image.
            size: height and width of the network's input.
        """
        height, width = (
            min(self.least_side, side / 4) * new / side for side, new in zip(image_size, size, strict=True)
        )
        return width, height

    def settings(self) -> dict[str, Any]:
        """The profile as JSON values."""
        return {"profile": self.name, **asdict(self)}


@dataclass(frozen=True)
class HfProfile:
    """The choice of the PyTorch port in Hugging Face's repository.

    A region is a proposal moved by the deltas of its best class. All classes are suppressed together, at each of
    `suppression_thresholds` until at least `min_regions` are left; `max_regions` of the highest score are taken, in
    falling order. Where the last threshold leaves too few, those with the highest scores that it dropped are taken too.
    (The port fails there, or takes the regions of the image before.) The features are of the proposal.

    Attributes:
        min_size, max_size: the shorter side of the network's input, and the most that the longer has.
        min_regions, max_regions: of an image. It has fewer where there are fewer proposals.
        suppression_thresholds: intersections over union, rising.
    """

    name: ClassVar[str] = "hf"

    min_size: int = 800
    max_size: int = 1333
    min_regions: int = 36
    max_regions: int = 36
    suppression_thresholds: tuple[float, ...] = (0.5, 0.6, 0.7)

    def __post_init__(self) -> None:
        _check(self)

    def settings(self) -> dict[str, Any]:
        """The profile as JSON values."""
        return {"profile": self.name, **asdict(self), "suppression_thresholds": list(self.suppression_thresholds)}


Profile: TypeAlias = CaffeProfile | HfProfile
PROFILES = (CaffeProfile.name, HfProfile.name)


def make_profile(
    name: str, config: DetectorConfig, regions: Regions | None = None, score_threshold: float | None = None
) -> Profile:
    """The profile of a name.

    Args:
        name: "caffe" or "hf".
        config: of the network; the numbers of profile "hf" are there.
        regions: how many an image has; by default 36, or what the config says for "hf".
        score_threshold: of profile "caffe"; 0.2 by default.

    Raises:
        ValueError: another name, a number out of range, or a score threshold for "hf".
        TypeError: regions that are neither a number nor two, or a threshold that is no number.
    """
    if name not in PROFILES:
        raise ValueError(f"{setting('profile')} must be one of {', '.join(PROFILES)}; got {name!r}.")
    values: dict[str, Any] = {}
    if regions is not None:
        values["min_regions"], values["max_regions"] = _least_and_most(regions)
    if name == CaffeProfile.name:
        return CaffeProfile(**values if score_threshold is None else {**values, "score_threshold": score_threshold})
    if score_threshold is not None:
        raise ValueError(f"{setting('score_threshold')} has no meaning for profile {name!r}, which has none.")
    counts = {"min_regions": config.min_regions, "max_regions": config.max_regions}
    return HfProfile(
        min_size=config.min_size,
        max_size=config.max_size,
        suppression_thresholds=config.suppression_thresholds,
        **(counts | values),
    )


def _least_and_most(regions: Any) -> tuple[int, int]:
    both = regions if isinstance(regions, (tuple, list)) else (regions, regions)
    if len(both) != 2 or not all(isinstance(n, (int, np.integer)) and not isinstance(n, bool) for n in both):
        raise TypeError(
            f"{setting('regions')} must be a number of regions, or the least and the most; got {regions!r}."
        )
    if not 1 <= both[0] <= both[1]:
        raise ValueError(f"{setting('regions')} must be at least 1, and the least not above the most; got {regions!r}.")
    return int(both[0]), int(both[1])


def _check(profile: Any) -> None:
    """Raise ValueError where a number of a profile is out of range, TypeError where it is none."""
    if not _SHORTEST <= profile.min_size <= profile.max_size:
        raise ValueError(
            f"min_size must be at least {_SHORTEST}, and at most max_size; got {profile.min_size} and "
            f"{profile.max_size}."
        )
    _least_and_most((profile.min_regions, profile.max_regions))
    for name in ("score_threshold", "suppression_threshold", "suppression_thresholds"):
        value = getattr(profile, name, 0.0)
        several = value if isinstance(value, tuple) else (value,)
        if not all(isinstance(each, Real) and not isinstance(each, bool) for each in several):
            raise TypeError(f"{setting(name)} must be a number from 0 to 1; got {value!r}.")
        if not several or not all(0 <= each <= 1 for each in several):
            raise ValueError(f"{setting(name)} must be from 0 to 1; got {value!r}.")
