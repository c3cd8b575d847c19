"""What every detector of regions is: images in, features and boxes out; and how one is found by its source."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from lxmert.data.features.drawing import draw_detections
from lxmert.utils.messages import signature_names, unknown_keyword_message
from lxmert.utils.setting_names import in_command, setting
from lxmert.vision.detections import NO_ID, Detections, ImageDetections, batch_detections
from lxmert.vision.images import ImageInput, open_image

CHANNEL_ORDERS = ("RGB", "BGR")
ANY_SOURCE = ""
"""The source of the detector that reads weights: what no other detector's source begins."""

_OF_WEIGHTS = ("backend", "cache_dir", "token", "local_files_only")

_sources: dict[str, type[RegionDetector]] = {}


class RegionDetector(ABC):
    """Finds the regions of images and computes their features.

    `RegionDetector.from_pretrained(source)` loads the detector that a source names. A detector of your own is a
    subclass with `detect`, `settings`, `name` and `feature_size`.

    Attributes:
        name: what messages call the detector, such as "unc-nlp/frcnn-vg-finetuned".
        feature_size: F, the numbers of a region's features.
        batch_size: how many images extraction gives it at a time.
        objects, attributes: the names of the classes in the order of their ids; None where they are not known.
    """

    name: str
    feature_size: int
    batch_size: int = 1
    objects: Sequence[str] | None = None
    attributes: Sequence[str] | None = None

    @classmethod
    def from_pretrained(cls, source: str | Path, **options: Any) -> RegionDetector:
        """Load the detector that a source names.

        Args:
            source: "shapes", shapes of one colour on a smooth background (`ShapeDetector`); "grid:NAME", the grid
                features of an image backbone; "vcr:NAME", the objects that VCR gives with an image
                (`VcrRegionDetector`); otherwise weights of the Visual Genome detector, a file, a folder or a
                model on the hub such as "unc-nlp/frcnn-vg-finetuned" (`VisualGenomeRegionDetector`).
            options: keyword arguments of that detector's `from_pretrained`. Those that are None are left out. Visual
                Genome: `profile`, `regions`, `score_threshold`, `precision`, `device`, `objects`, `attributes`,
                `sha256`, `revision`, and `backend` ("pt", PyTorch; "tf", Keras), `cache_dir`, `token` and
                `local_files_only`, which a detector without weights ignores.

        Raises:
            TypeError, ValueError: an option that this detector does not take, or that has another value than its.
            FileNotFoundError, OSError: no such weights.
            ImportError: the backend's framework is not installed.
        """
        kind, known = _kind_of(source), known_options(source)
        given = {name: value for name, value in options.items() if value is not None}
        for name in _OF_WEIGHTS:
            if name not in known:
                given.pop(name, None)
        unknown = [name for name in given if name not in known]
        every = {option for other in _sources.values() for option in signature_names(other.from_pretrained)}
        for name in unknown:
            if name not in every:
                raise TypeError(f"RegionDetector.from_pretrained: {unknown_keyword_message(name, sorted(every))}")
        if unknown:
            raise ValueError(
                f"{_listed(unknown)} {'has' if len(unknown) == 1 else 'have'} no meaning for the detector "
                f"{str(source)!r}; it takes {_listed(known) or 'no options'}."
            )
        return kind.from_pretrained(source, **given)

    def prepare(self, image: ImageInput) -> Any:
        """Open an image, and do what else needs no network, such as resizing; threads call it ahead of `detect`.

        Raises:
            FileNotFoundError, ValueError, TypeError: the image cannot be opened; the message names it.
        """
        return open_image(image)

    @abstractmethod
    def detect(self, images: Sequence[Any]) -> list[ImageDetections]:
        """The regions of each image; an image's are the same whichever images are beside it.

        Args:
            images: paths, PIL images or RGB arrays ``[H, W, 3]``, see `open_image`; or what `prepare` made of them.

        Raises:
            FileNotFoundError, ValueError, TypeError: an image that cannot be opened, which the message names.
        """

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """Everything that decides the regions, as JSON values: kind, weights (name and SHA-256), profile, counts.

        A region store keeps them; extraction that is resumed must have the same.
        """

    def __call__(self, images: ImageInput | Sequence[ImageInput], channel_order: str = "RGB") -> Detections:
        """The regions of one image or several, padded to the image with most regions.

        Args:
            images: one image or a list or tuple of images; see `detect`.
            channel_order: of the arrays among them: "RGB", or "BGR" as OpenCV reads images. Files and PIL images know
                theirs.

        Raises:
            ValueError: no images, an array of several images, or another channel order; and see `detect`.
        """
        several = list(images) if isinstance(images, (list, tuple)) else [images]
        if not several:
            raise ValueError("images must hold at least one image; got none.")
        check_images(several)
        return batch_detections(self.detect([in_rgb(image, channel_order) for image in several]))

    def doubt(self, found: ImageDetections, image: str = "image") -> str | None:
        """Why the regions of an image may not describe it; None where nothing speaks for that.

        Args:
            found: its regions, of `detect`.
            image: what the sentence calls the image.
        """
        return None

    def draw(self, found: ImageDetections, path: str | Path, image: ImageInput | None = None) -> int:
        """Draw the regions of an image into a .png or .jpg file, with the names of objects and attributes.

        Args:
            found: the regions, such as `detector(photo).images[0]`.
            path: of the drawing.
            image: to draw on; white by default.

        Returns:
            The number of regions.

        Raises:
            TypeError: `found` are the regions of several images.
            FileNotFoundError, ValueError: see `draw_detections`.
        """
        if not isinstance(found, ImageDetections):
            raise TypeError(
                f"found must be the regions of one image, detector(photo).images[0]; got {type(found).__name__}."
            )
        return draw_detections(found, path, image, self.objects, self.attributes)

    def object_names(self, ids: Any) -> Any:
        """The names of objects: an array of ids of any shape to nested lists; "" for no object.

        Raises:
            ValueError: the names are not known.
        """
        return _names(self.objects, ids, "objects", self.name)

    def attribute_names(self, ids: Any) -> Any:
        """The names of attributes, as `object_names`."""
        return _names(self.attributes, ids, "attributes", self.name)


AnyDetector = TypeVar("AnyDetector", bound=type[RegionDetector])


def register_source(prefix: str) -> Callable[[AnyDetector], AnyDetector]:
    """Decorate a detector whose `from_pretrained` takes the sources that begin with a prefix, such as "grid:".

    The modules of this package that do so are imported in its `__init__`.
    """

    def register(kind: AnyDetector) -> AnyDetector:
        _sources[prefix] = kind
        return kind

    return register


def known_options(source: str | Path) -> Sequence[str]:
    """The options that `RegionDetector.from_pretrained` takes of a source."""
    return signature_names(_kind_of(source).from_pretrained)


def _kind_of(source: str | Path) -> type[RegionDetector]:
    """The class of the detector that a source names; a `Path` is always one of weights."""
    if not isinstance(source, (str, Path)) or str(source) == "":
        raise TypeError(
            f"{setting('detector')} must be a source of a region detector, such as "
            f'"unc-nlp/frcnn-vg-finetuned"; got {source!r}.'
        )
    named = [prefix for prefix in _sources if isinstance(source, str) and prefix and _begins(source, prefix)]
    if not named:
        _check_spelling(source)
    return _sources[named[0] if named else ANY_SOURCE]


def _check_spelling(source: str | Path) -> None:
    """Refuse what is no file and cannot be a model on the hub: "gird:ResNet50", or "shape" in place of "shapes"."""
    if not isinstance(source, str) or "/" in source.partition(":")[0] or Path(source).exists():
        return
    beginning, colon, _ = source.partition(":")
    kinds = [prefix for prefix in _sources if prefix]
    near = difflib.get_close_matches(beginning.lower() + colon, kinds, n=1, cutoff=0.6 if colon else 0.85)
    if near or (colon and len(beginning) > 1):  # C: is a disk of Windows
        hint = f" Did you mean {near[0]}?" if near else ""
        raise ValueError(
            f"{setting('detector')} {source!r} is no file, and names no kind of detector: grid:NAME, vcr:NAME, shapes, "
            f"or a model on the hub, OWNER/NAME.{hint}"
        )


def _listed(names: Iterable[str]) -> str:
    """Settings of detectors as their user writes them: in a command its options alone."""
    if not in_command():
        return ", ".join(names)
    shown = [setting("detector_revision" if name == "revision" else name) for name in names]
    return ", ".join(name for name in shown if name.startswith("--"))


def _begins(source: str, prefix: str) -> bool:
    return source.startswith(prefix) if prefix.endswith(":") else source == prefix


def check_images(images: Sequence[ImageInput]) -> None:
    """Refuse an array of several images, whose axis 0 would be taken for the batch or not by guess."""
    for image in images:
        if isinstance(image, np.ndarray) and image.ndim == 4:
            raise ValueError(
                f"each image must be an array [H, W, 3]; got one of shape {image.shape}. Pass list(images)."
            )


def in_rgb(image: ImageInput, channel_order: str) -> ImageInput:
    """An image whose array, if it is one, is in RGB order; gray and opacity stay.

    Raises:
        ValueError: another order than those of `CHANNEL_ORDERS`.
    """
    if channel_order not in CHANNEL_ORDERS:
        raise ValueError(f'channel_order must be "RGB" or "BGR"; got {channel_order!r}.')
    if channel_order == "RGB" or not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] < 3:
        return image
    return image[..., [2, 1, 0, *range(3, image.shape[2])]]


def _names(names: Sequence[str] | None, ids: Any, what: str, detector: str) -> Any:
    if names is None:
        raise ValueError(
            f"the names of the {what} of {detector} are not known; pass {setting(what)} to from_pretrained, their "
            "list or its file."
        )
    numbers = np.asarray(ids)
    if numbers.ndim:
        return [_names(names, part, what, detector) for part in numbers]
    number = int(numbers)
    if number != NO_ID and not 0 <= number < len(names):
        raise ValueError(f"ids of {what} must be 0 to {len(names) - 1}, or {NO_ID} for none; got {number}.")
    return "" if number == NO_ID else names[number]
