"""From an image to the input of a backbone: its size, and the numbers that its pixels become."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lxmert.utils.foreign_files import InvalidFileError, reading
from lxmert.utils.messages import first_few, shown
from lxmert.vision.images import RESAMPLING, resize_image

# Steps of the image processors of transformers that are followed. Crops are not taken: they leave out what is beside.
_STEPS = ("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb", "do_flip_channel_order")


@dataclass(frozen=True)
class Normalization:
    """(pixel * scale - mean) / std, for the channels in the order of the network.

    By default that of ImageNet, as most backbones have it.

    Attributes:
        scale: one number, or one per channel.
        mean, std: three numbers each.
        channel_order: "RGB" or "BGR", what the network was trained on; pixels come in as RGB.
    """

    scale: float | tuple[float, ...] = 1 / 255
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    channel_order: str = "RGB"

    def __post_init__(self) -> None:
        scale = (self.scale,) * 3 if isinstance(self.scale, (int, float)) else self.scale
        for name, values in (("scale", scale), ("mean", self.mean), ("std", self.std)):
            numbers = [v for v in values if isinstance(v, (int, float)) and math.isfinite(v)]
            if len(numbers) != 3 or len(values) != 3 or (name == "std" and 0 in numbers):
                raise ValueError(f"{name} must be three finite numbers, and std none of zero; got {shown(values)}.")
        if self.channel_order not in ("RGB", "BGR"):
            raise ValueError(f'channel_order must be "RGB" or "BGR"; got {shown(self.channel_order)}.')

    def __call__(self, pixels: np.ndarray) -> np.ndarray:  # [H, W, 3] -> [H, W, 3]
        """Uint8 RGB to float32 in the network's order."""
        ordered = pixels if self.channel_order == "RGB" else pixels[:, :, ::-1]
        scaled = (ordered.astype(np.float64) * np.array(self.scale)).astype(np.float32)
        return (scaled - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)


@dataclass(frozen=True)
class BackboneInput:
    """How an image becomes the input of a backbone.

    The whole image is resized to one size, so its aspect ratio is not kept: no part is cropped, and nothing is padded.

    Attributes:
        size: height and width.
        resample: the filter, one of Pillow's: "bilinear", "bicubic", ...
        normalize: uint8 or float32 RGB ``[H, W, 3]`` in 0..255 to what the network reads.
    """

    size: tuple[int, int]
    resample: str
    normalize: Callable[[np.ndarray], Any]

    def __post_init__(self) -> None:
        if self.resample not in RESAMPLING:
            raise ValueError(f"resample must be one of {', '.join(RESAMPLING)}; got {shown(self.resample)}.")

    def __call__(self, pixels: np.ndarray) -> np.ndarray:  # [H, W, 3] -> [h, w, 3]
        """An image, uint8 RGB, as float32 input."""
        return np.asarray(self.normalize(resize_image(pixels, self.size, self.resample)), np.float32)

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the input, as JSON values."""
        known = isinstance(self.normalize, Normalization)
        name = f"{getattr(self.normalize, '__module__', '')}.{getattr(self.normalize, '__qualname__', '')}"
        name = name.replace("keras.src.", "keras.")  # the public name, of any version
        return {
            "image_size": list(self.size),
            "resample": self.resample,
            "normalization": _as_json(asdict(self.normalize)) if known else name,  # type: ignore[call-overload]
        }


def _as_json(values: dict[str, Any]) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def input_of_processor(values: Mapping[str, Any], place: object, size: tuple[int, int] | None) -> BackboneInput:
    """What the file of an image processor of `transformers` says, but for the crop.

    Args:
        values: the content of preprocessor_config.json.
        place: where it was found, for messages.
        size: another height and width; by default those that the processor ends with.

    Raises:
        ValueError: a step that is not known, or a value that is none.
    """
    try:
        with reading(str(place), "cannot be followed"):
            unknown = [key for key, value in values.items() if key.startswith("do_") and key not in _STEPS and value]
            if unknown:
                raise InvalidFileError(f"{place} has steps that are not followed: {first_few(unknown)}.")
            return BackboneInput(size or _size(values), _filter(values.get("resample", 3)), _normalization(values))
    except InvalidFileError as error:
        raise ValueError(f"{error} {_BY_HAND}") from None


_BY_HAND = "Make the model yourself, and pass GridDetector(model, normalization=Normalization(...), image_size=...)."


def _size(values: Mapping[str, Any]) -> tuple[int, int]:
    """What the processor ends with: the crop, or else the size."""
    name = "crop_size" if values.get("do_center_crop") and "crop_size" in values else "size"
    size = values.get(name, {})
    if isinstance(size, int):
        size = {"height": size, "width": size}
    sides = (size.get("height", size.get("shortest_edge")), size.get("width", size.get("shortest_edge")))
    if not all(isinstance(side, int) and not isinstance(side, bool) and 0 < side <= _LARGEST for side in sides):
        raise ValueError(f"{name} must be a height and width, or a shortest edge; it is {shown(size)}.")
    return sides


_LARGEST = 4096  # of a file, which is not trusted with more memory


def _filter(number: object) -> str:
    if not isinstance(number, int) or not 0 <= number < len(RESAMPLING):
        raise ValueError(f"resample must be the number of a filter of Pillow, 0 to 5; it is {shown(number)}.")
    return RESAMPLING[number]


def _normalization(values: Mapping[str, Any]) -> Normalization:
    scale = float(values.get("rescale_factor", 1 / 255)) if values.get("do_rescale", True) else 1.0
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    std: tuple[float, ...] = (1.0, 1.0, 1.0)
    # MobileViT's files say nothing of means: its processor turns the channels around, and subtracts none.
    if values.get("do_normalize", not values.get("do_flip_channel_order")):
        lacks = [name for name in ("image_mean", "image_std") if name not in values]
        if lacks:
            raise ValueError(f"it lacks {' and '.join(lacks)}.")
        mean, std = (tuple(map(float, values[name])) for name in ("image_mean", "image_std"))
    if values.get("rescale_offset"):  # EfficientNet's: from -1 to 1
        mean = tuple(value + 1.0 for value in mean)
    if values.get("include_top", shown(values.get("image_processor_type")).startswith("'EfficientNet")):
        std = tuple(value * value for value in std)  # its classifiers were trained on what was divided twice
    return Normalization(scale, mean, std, "BGR" if values.get("do_flip_channel_order") else "RGB")
