"""Grid features: the cells of an image backbone's last map as regions, in either backend."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lxmert.utils.counts import check_integer
from lxmert.utils.setting_names import setting
from lxmert.vision.detections import ImageDetections
from lxmert.vision.grid import cell_boxes, map_of_tokens, pool_map
from lxmert.vision.images import ImageInput, open_image

from ..backends import network_backend
from ..region_detector import RegionDetector, register_source
from .backbone import GridNetwork, arrays_sha256
from .input import BackboneInput, Normalization
from .options import PREFIX, RANDOM, GridOptions, Sides, check_sides

if TYPE_CHECKING:
    import keras
    from torch import nn

logger = logging.getLogger(__name__)

_VANISHING = 1e-4  # features of this size are lost in the epsilon of a model's normalization


class PreparedImage(NamedTuple):
    """What `GridDetector.prepare` makes of an image.

    Attributes:
        pixels: float32 ``[h, w, 3]``, the input of the backbone.
        size: height and width of the image.
    """

    pixels: np.ndarray
    size: tuple[int, int]


@register_source(PREFIX)
class GridDetector(RegionDetector):
    """Cuts images into the cells of a grid; the features of a cell are those of the backbone's last map there.

    An image is resized to one size as a whole: nothing is cropped or padded, so its aspect ratio is not kept, and all
    images have the same number of regions. Boxes are in pixels of the image. The cells are in the order of reading, row
    by row.

    Args:
        model: the backbone. In PyTorch a model of `transformers`, or any `nn.Module` that maps images ``[B, 3, H, W]``
            to maps ``[B, C, h, w]`` or to tokens ``[B, T, C]``, and is put into evaluation mode; in Keras a
            `keras.Model` that maps ``[B, H, W, 3]`` to ``[B, h, w, C]`` or to tokens. Of tokens those of the image as a
            whole (classes, registers) are left out; the model or its `config` must have a `patch_size`.
        normalization: what the model reads: a `Normalization`, or a function of RGB pixels ``[H, W, 3]`` in 0..255,
            such as a `preprocess_input` of `keras.applications`.
        image_size: height and width that images are resized to; by default those that the model says it was made for.
        grid: rows and columns of the regions, at most as many as the map has; by default those of the map. A cell of a
            coarser grid has the mean of the map over it.
        resample: the filter that resizes, one of Pillow's: "bilinear", "bicubic", ...
        batch_size: the most images that go through the backbone together. With more than one, the last bits of an
            image's features may depend on the others.
        name: what messages call the detector; by default the class of the model.

    Attributes:
        network, input, grid: the backbone, what it reads, and rows and columns.
        mean_size: the mean absolute feature of a gray image.

    Raises:
        TypeError: `model` is of neither framework.
        ValueError: no `image_size` where the model does not say one; a model whose output is neither a map nor tokens;
            a grid that is finer than the map.
    """

    def __init__(
        self,
        model: nn.Module | keras.Model,
        *,
        normalization: Callable[[np.ndarray], Any],
        image_size: Sides | None = None,
        grid: Sides | None = None,
        resample: str = "bilinear",
        batch_size: int = 1,
        name: str | None = None,
    ):
        self.network = _network(model)
        self.name = name or f"{PREFIX}{type(model).__name__}"
        size = self.network.image_size if image_size is None else check_sides("image_size", image_size)
        if size is None:
            raise ValueError(f"{self.name} does not say the size of its images. Pass image_size=(height, width).")
        self.input = BackboneInput(size, resample, normalization)
        self.batch_size = check_integer(setting("batch_size"), batch_size)
        # One image shows what the model gives, before any work is done with it.
        gray = self.input(np.full((*size, 3), 128, np.uint8))
        if gray.shape != (*size, 3):
            raise ValueError(f"normalization must keep the shape {[*size, 3]}; it gave {list(gray.shape)}.")
        found = self._maps(gray[None])
        _, rows, columns, self.feature_size = found.shape
        self.grid = (rows, columns) if grid is None else check_sides("grid", grid)
        if self.grid[0] > rows or self.grid[1] > columns:
            raise ValueError(
                f"grid must be at most {rows}x{columns}, the map of {self.name} for images of {size[0]}x{size[1]}; got "
                f"{self.grid[0]}x{self.grid[1]}. A larger image_size gives a larger map."
            )
        self.mean_size = float(np.abs(found).mean())
        self._source: dict[str, Any] = {"model": type(model).__name__}
        self._sha256 = arrays_sha256(self.network.weights())
        self._computing: Callable[[], AbstractContextManager[Any]] = nullcontext

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        source: str | Path,
        *,
        backend: str = "pt",
        grid: Sides | None = None,
        image_size: Sides | None = None,
        weights: str | Path | None = None,
        seed: int | None = None,
        precision: str | None = None,
        batch_size: int = 1,
        device: str | None = None,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool | None = None,
    ) -> GridDetector:
        """Load a backbone by its name, with the preprocessing that it was published with, but for the crop.

        Args:
            source: "grid:NAME". In PyTorch NAME is a repository on the hub ("microsoft/resnet-50",
                "facebook/dinov2-base") or a folder in the format of `transformers`, with safetensors and the file of
                its image processor; with random weights also a kind of model of `transformers` in its usual size
                ("resnet", "dinov2"). In Keras NAME is a model of `keras.applications` ("ResNet50"), or
                "keras_hub:PRESET" (KerasHub). Options may follow: "grid:ResNet50,weights=random,seed=1,grid=7x7"; they
                are `grid`, `image_size`, `weights`, `seed` and `revision`.
            backend: "pt" for PyTorch, "tf" for Keras. They have different backbones.
            grid: see the class; 7, (7, 7) or "7x7".
            image_size: see the class; by default that of the published preprocessing.
            weights: "random" for none that need a download; the features are then untrained. In Keras also the file of
                weights without the classifier.
            seed: of random weights; by default 0. The same seed gives the same bits.
            precision: "float32" (default), "float64" or "bfloat16".
            batch_size: see the class.
            device: "cpu", "cuda" or "cuda:1"; by default a GPU where there is one.
            revision, cache_dir, token, local_files_only: see `lxmert.hub.HubOptions`; for PyTorch.

        Raises:
            FileNotFoundError, PermissionError, ConnectionError, OSError: no such backbone, or files that are missing,
                which the message names.
            ImportError: a library is not installed.
            ValueError: an unknown backend or option; a model that reads no images; files that do not fit each other.
        """
        loader = network_backend(backend)
        found_device = loader.find_device(device)
        hub = {
            "revision": revision,
            "cache_dir": cache_dir,
            "token": token,
            "local_files_only": local_files_only,
        }
        options = GridOptions.parse(
            source,
            hub,
            grid=grid,
            image_size=image_size,
            weights=weights,
            seed=seed,
            precision=precision,
            device=found_device,
        )
        with loader.computing_on(found_device):
            opened = _backend(backend).open_backbone(options)
            made = cls(
                opened.model,
                normalization=opened.input.normalize,
                image_size=opened.input.size,
                grid=options.grid,
                resample=opened.input.resample,
                batch_size=batch_size,
                name=str(source),
            )
        made._computing = partial(loader.computing_on, found_device)
        made._source = {
            "model": options.model,
            "revision": opened.revision,
            **({"weights": RANDOM, "seed": options.seed} if options.random else {}),
        }
        if options.random:
            _warn_of_random_weights(made, options.seed)
        return made

    def _maps(self, pixels: np.ndarray) -> np.ndarray:  # [B, H, W, 3] -> [B, h, w, C]
        found = self.network.features(pixels)
        if found.ndim == 4:
            return found
        if self.network.patch is None:
            raise ValueError(f"{self.name} gives tokens and does not say the size of its patches, patch_size.")
        size, patch, leading = self.input.size, self.network.patch, self.network.leading_tokens
        return np.stack([map_of_tokens(tokens, size, patch, leading) for tokens in found])

    def prepare(self, image: ImageInput) -> PreparedImage:
        """Open an image, and make the input of the backbone of it; see `RegionDetector.prepare`."""
        pixels = open_image(image)
        return PreparedImage(self.input(pixels), pixels.shape[:2])

    def detect(self, images: Sequence[Any]) -> list[ImageDetections]:
        """See `RegionDetector.detect`; the regions are the cells of the grid, row by row."""
        found = []
        for start in range(0, len(images), self.batch_size):
            given = images[start : start + self.batch_size]
            batch = [image if isinstance(image, PreparedImage) else self.prepare(image) for image in given]
            with self._computing():
                maps = self._maps(np.stack([image.pixels for image in batch]))
            for feature_map, (_, size) in zip(maps, batch, strict=True):
                features = pool_map(feature_map, self.grid).reshape(-1, self.feature_size)
                found.append(ImageDetections(features, cell_boxes(self.grid, size), size))
        return found

    @property
    def settings(self) -> dict[str, Any]:
        """See `RegionDetector.settings`; `weights_sha256` is of the weights in the order of the model."""
        return {
            "kind": "grid",
            "backend": self.network.backend,
            **self._source,
            "weights_sha256": self._sha256,
            "precision": self.network.precision,
            **self.input.settings,
            "grid": list(self.grid),
            **({"batch_size": self.batch_size} if self.batch_size > 1 else {}),
        }


def _warn_of_random_weights(detector: GridDetector, seed: int) -> None:
    vanish = ""
    if detector.mean_size < _VANISHING:
        vanish = (
            f" They vanish ({detector.mean_size:.0e} on average): its normalization has no statistics of images. "
            "Choose a backbone with layer normalization, convnext in PyTorch and ConvNeXtTiny in Keras."
        )
    logger.warning(
        "%s has random weights (seed %d): its features are untrained, for trials alone.%s", detector.name, seed, vanish
    )


def _backend(backend: str) -> Any:
    if backend == "pt":
        from . import pt

        return pt
    from . import tf

    return tf


def _network(model: Any) -> GridNetwork:
    """A model of either framework, which is imported if there is a model of it."""
    for framework, base, backend in (("torch.nn", "Module", "pt"), ("keras", "Model", "tf")):
        module = sys.modules.get(framework)
        if module is not None and isinstance(model, getattr(module, base)):
            network: GridNetwork = _backend(backend).GridNetwork(model)
            return network
    raise TypeError(f"model must be an nn.Module or a keras.Model; got {type(model).__name__}.")


__all__ = ["GridDetector", "Normalization"]
