"""From images to regions through a detector's network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from lxmert.utils.messages import warn_caller
from lxmert.utils.softmax import softmax
from lxmert.vision.detections import ImageDetections
from lxmert.vision.faster_rcnn.anchors import map_anchors
from lxmert.vision.faster_rcnn.boxes import clip_boxes, move_boxes
from lxmert.vision.faster_rcnn.choice import choose_caffe, choose_hf
from lxmert.vision.faster_rcnn.network import DetectorNetwork, Proposed
from lxmert.vision.faster_rcnn.pooling import distinct_regions, inside_map, map_regions
from lxmert.vision.faster_rcnn.preprocess import NetworkInput, network_input
from lxmert.vision.faster_rcnn.profiles import CaffeProfile, Profile
from lxmert.vision.faster_rcnn.proposals import Proposals, choose_proposals
from lxmert.vision.images import ImageInput


class FoundRegions(NamedTuple):
    """The regions of an image, in the order of the profile and the dtype of the network.

    Attributes:
        rows: int64 ``[R]``, their places among the proposals.
        features: ``[R, F]``.
        boxes: ``[R, 4]``, in pixels of the image.
        object_ids, object_scores: ``[R]``.
        attribute_ids, attribute_scores: ``[R]``.
        threshold: of profile "hf", the one of its schedule that was taken; NaN of "caffe".
    """

    rows: np.ndarray
    features: np.ndarray
    boxes: np.ndarray
    object_ids: np.ndarray
    object_scores: np.ndarray
    attribute_ids: np.ndarray
    attribute_scores: np.ndarray
    threshold: float


def prepare_image(image: ImageInput, network: DetectorNetwork, profile: Profile) -> NetworkInput:
    """Open and resize an image for `detect_regions`, which needs no network for that.

    Raises:
        As `open_image`.
    """
    return network_input(image, network.config, profile.min_size, profile.max_size)


def detect_regions(
    network: DetectorNetwork,
    images: Sequence[ImageInput | NetworkInput],
    profile: Profile,
    batch_size: int = 1,
) -> list[ImageDetections]:
    """The regions of each image.

    An image's regions do not depend on those beside it: no image is padded, because padding changes the map inside of
    the image too. Images that have the same size after resizing may share a batch of the first stage. Frameworks
    round sums in another order for another batch; so with a `batch_size` of 1, the default, an image's numbers are the
    same to the last bit whatever is beside it, and with more they agree as far as the dtype goes. The second stage,
    where most of the time goes, takes the regions of one image at a time.

    Args:
        network: of either backend.
        images: see `open_image`; or what `prepare_image` made of them.
        profile: how regions are chosen.
        batch_size: the most images of one size that go through the first stage together.

    Raises:
        FileNotFoundError, ValueError, TypeError: an image that cannot be opened, which the message names.
        ValueError: the network's numbers are not finite.
    """
    found: dict[int, ImageDetections] = {}
    few: list[int] = []
    for batch in _same_size(images, network, profile, batch_size):
        proposed = network.propose(np.stack([image.pixels for image in batch.values()]))
        for place, (number, image) in enumerate(batch.items()):
            try:
                regions = find_regions(network, proposed, place, image, profile)
            except FloatingPointError as error:
                raise ValueError(f"{_name(images[number], number)}: {error}") from None
            if len(regions.rows) < profile.min_regions:
                few.append(number)
            found[number] = _detections(regions, image)
    if few:
        warn_caller(
            f"{len(few)} of {len(images)} images have fewer proposals than the {profile.min_regions} regions wanted, "
            f"and get fewer regions: {_name(images[few[0]], few[0])} has {len(found[few[0]])}."
        )
    return [found[number] for number in range(len(images))]


def find_regions(
    network: DetectorNetwork, proposed: Proposed, place: int, image: NetworkInput, profile: Profile
) -> FoundRegions:
    """Choose the regions of one image of a batch.

    Args:
        network: of either backend.
        proposed: its first stage.
        place: of the image in the batch.
        image: as the network read it.
        profile: how regions are chosen.

    Raises:
        FloatingPointError: the network's numbers are not finite.
    """
    proposals = _proposals(network, proposed, place, image, profile)
    regions, rows = distinct_regions(inside_map(map_regions(proposals.boxes), proposed.map_size))
    features = network.region_features(proposed.feature_map, place, regions)
    scores = network.object_scores(features)
    _check_finite(scores, "scores of objects")
    objects = softmax(scores)[:, :-1]
    best = objects.argmax(axis=1)
    threshold = float("nan")
    if isinstance(profile, CaffeProfile):
        boxes = proposals.boxes * image.scale
        chosen = choose_caffe(boxes, objects[rows], profile)
        boxes = boxes[chosen]
    else:
        boxes = _moved(network, features, best, proposals, rows, image)
        chosen, threshold = choose_hf(boxes, objects[np.arange(len(best)), best][rows], profile)
        boxes = boxes[chosen] * image.scale
    rows = rows[chosen]
    # The embedding is that of the best class with the background among them.
    known = network.attribute_scores(features[rows], scores.argmax(axis=1)[rows])
    _check_finite(known, "scores of attributes")
    attributes = softmax(known)[:, :-1] if isinstance(profile, CaffeProfile) else softmax(known[:, :-1])
    attribute = attributes.argmax(axis=1)
    return FoundRegions(
        rows=chosen,
        features=features[rows],
        boxes=boxes,
        object_ids=best[rows],
        object_scores=objects[rows, best[rows]],
        attribute_ids=attribute,
        attribute_scores=attributes[np.arange(len(attribute)), attribute],
        threshold=threshold,
    )


def _proposals(
    network: DetectorNetwork, proposed: Proposed, place: int, image: NetworkInput, profile: Profile
) -> Proposals:
    objectness, deltas = proposed.objectness[place], proposed.deltas[place]
    _check_finite(objectness, "scores of anchors")
    _check_finite(deltas, "deltas of anchors")
    anchors = map_anchors(network.anchors, proposed.map_size, network.config.anchor_offset, deltas.dtype.name)
    least = profile.least_sides(image.image_size, image.size) if isinstance(profile, CaffeProfile) else None
    return choose_proposals(objectness, deltas, anchors, image.size, network.config, least)


def _moved(
    network: DetectorNetwork,
    features: np.ndarray,
    best: np.ndarray,
    proposals: Proposals,
    rows: np.ndarray,
    image: NetworkInput,
) -> np.ndarray:
    """The proposals moved by the deltas of their best classes, and clipped, in pixels of the network's input."""
    deltas = network.box_deltas(features, best)
    _check_finite(deltas, "deltas of boxes")
    return clip_boxes(move_boxes(proposals.boxes, deltas[rows], network.config.box_weights), image.size)


def _prepared(
    image: ImageInput | NetworkInput, number: int, network: DetectorNetwork, profile: Profile
) -> NetworkInput:
    if isinstance(image, NetworkInput):
        return image
    try:
        return prepare_image(image, network, profile)
    except (OSError, ValueError, TypeError) as error:
        if isinstance(image, str) or hasattr(image, "__fspath__"):
            raise  # the message has its path
        raise type(error)(f"{_name(image, number)}: {error}") from error


def _name(image: object, number: int) -> str:
    if isinstance(image, NetworkInput) and image.path:
        return image.path
    return str(image) if isinstance(image, str) or hasattr(image, "__fspath__") else f"images[{number}]"


def _same_size(
    images: Sequence[ImageInput | NetworkInput], network: DetectorNetwork, profile: Profile, batch_size: int
) -> Iterator[dict[int, NetworkInput]]:
    """The images by number, prepared when it is their turn, in batches of one size."""
    waiting: dict[tuple[int, int], dict[int, NetworkInput]] = {}
    for number, image in enumerate(images):
        prepared = _prepared(image, number, network, profile)
        batch = waiting.setdefault(prepared.size, {})
        batch[number] = prepared
        if len(batch) >= batch_size:
            yield waiting.pop(prepared.size)
    yield from waiting.values()


def _detections(regions: FoundRegions, image: NetworkInput) -> ImageDetections:
    return ImageDetections(
        features=regions.features.astype(np.float32),
        # Multiplied by a scale that is rounded, a box may end after the image by the last digit.
        boxes=clip_boxes(regions.boxes.astype(np.float32), image.image_size),
        size=image.image_size,
        object_ids=regions.object_ids.astype(np.int64),
        object_scores=regions.object_scores.astype(np.float32),
        attribute_ids=regions.attribute_ids.astype(np.int64),
        attribute_scores=regions.attribute_scores.astype(np.float32),
    )


def _check_finite(values: np.ndarray, what: str) -> None:
    if not np.isfinite(values).all():
        raise FloatingPointError(
            f"the detector's {what} are not all finite numbers: its weights are damaged, or its dtype is too narrow."
        )
