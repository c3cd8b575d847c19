"""Image backbones in Keras: `keras.applications`, KerasHub, and any model that gives a map or tokens."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np

from lxmert.utils.hub_errors import first_line
from lxmert.utils.messages import nearly_known
from lxmert.utils.optional_imports import import_extra
from lxmert.utils.setting_names import setting

from .backbone import Backbone, pair
from .input import BackboneInput, Normalization
from .options import KERAS_HUB, RANDOM, GridOptions

# The sizes that keras.applications were trained on; all others on 224.
_SIZES = {
    **dict.fromkeys(("InceptionResNetV2", "InceptionV3", "Xception"), 299),
    "NASNetLarge": 331,
    **{f"EfficientNetB{n}": size for n, size in enumerate((224, 240, 260, 300, 380, 456, 528, 600))},
    **{f"EfficientNetV2B{n}": size for n, size in enumerate((224, 240, 260, 300))},
    **{"EfficientNetV2S": 384, "EfficientNetV2M": 480, "EfficientNetV2L": 480},
}


class GridNetwork:
    """A backbone of Keras; see `backbone.GridNetwork`.

    Args:
        model: maps images ``[B, H, W, 3]`` to maps ``[B, h, w, C]`` or to tokens ``[B, T, C]``.
    """

    backend = "tf"

    def __init__(self, model: keras.Model):
        self.model = model
        self.patch = pair(getattr(model, "patch_size", None))
        registers = getattr(model, "num_register_tokens", None)
        self.leading_tokens = None if registers is None else 1 + registers
        shape = getattr(model, "input_shape", None)
        known = isinstance(shape, tuple) and len(shape) == 4 and None not in shape[1:3]
        self.image_size = pair(shape[1:3]) if known and shape is not None else None
        self.precision = str(model.compute_dtype)
        self._name = _input_name(model)

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """See `backbone.GridNetwork.features`."""
        output = self.model.predict_on_batch(pixels if self._name is None else {self._name: pixels})
        if not isinstance(output, np.ndarray) or output.ndim not in (3, 4) or len(output) != len(pixels):
            given = list(output.shape) if isinstance(output, np.ndarray) else type(output).__name__
            raise ValueError(
                f"the model must give maps [B, h, w, C] or tokens [B, T, C] for {list(pixels.shape)}; got {given}."
            )
        return output.astype(np.float32)

    def weights(self) -> Iterator[np.ndarray]:
        """See `backbone.GridNetwork.weights`."""
        for weight in self.model.weights:
            yield keras.ops.convert_to_numpy(weight)


def _input_name(model: keras.Model) -> str | None:
    """The name of the input of a model that takes a dictionary; None of one that takes an array."""
    try:
        structure = model.input
    except (AttributeError, ValueError):  # a model that is no graph of layers
        return None
    return str(next(iter(structure))) if isinstance(structure, dict) else None


def open_backbone(options: GridOptions) -> Backbone:
    """Make a backbone of `keras.applications` or KerasHub.

    Raises:
        ConnectionError: the published weights cannot be downloaded.
        ImportError: KerasHub is not installed.
        ValueError: no such backbone, or its weights do not fit.
    """
    if keras.config.image_data_format() != "channels_last":
        raise ValueError("grid features in Keras need the image_data_format channels_last.")
    given = [setting(name) for name, value in options.hub.items() if value]
    if given:
        raise ValueError(f"{', '.join(given)} cannot be chosen for {options.source}: Keras downloads by itself.")
    family = _find(options)
    with _seeded(options.seed), _typed(options.precision):
        try:
            model = _make(options, family)
        except Exception as error:  # keras.applications raises it itself where a download fails
            if isinstance(error, OSError) or "URL fetch failure" in str(error):
                raise ConnectionError(
                    f"the files of {options.source} cannot be downloaded: {first_line(error)}. Name files that you "
                    f'have, as in "grid:ResNet50,weights=FILE", or write "grid:ResNet50,weights={RANDOM}".'
                ) from error
            raise ValueError(f"{options.source} cannot be loaded: {first_line(error).rstrip(':')}.") from error
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 4:
        raise ValueError(f"{options.source} is a {type(model).__name__}, which reads no images alone.")
    return Backbone(model, _input(options, family, model))


def _find(options: GridOptions) -> ModuleType:
    """The module that holds a backbone: KerasHub, or a module of `keras.applications` with its `preprocess_input`."""
    if options.name.startswith(KERAS_HUB):
        if options.weights not in (None, RANDOM):
            raise ValueError(f"weights must be {RANDOM} for KerasHub; for weights of your own name their preset.")
        return import_extra("keras_hub", "keras-hub", options.source)
    modules = [value for value in vars(keras.applications).values() if isinstance(value, ModuleType)]
    for module in modules:
        if options.name[:1].isupper() and hasattr(module, options.name) and hasattr(module, "preprocess_input"):
            return module
    names = {name.lower(): name for name in dir(keras.applications) if name[:1].isupper()}
    near = nearly_known(options.name.lower(), names)
    raise ValueError(
        f"{options.source} names no backbone of Keras. It must be one of keras.applications, such as "
        f"{names[near or 'resnet50']}, or {KERAS_HUB}PRESET of KerasHub; the models of transformers need "
        f"{setting('backend')} pt."
    )


def _make(options: GridOptions, family: ModuleType) -> keras.Model:
    """The model without its classifier."""
    if options.name.startswith(KERAS_HUB):
        shape = {} if options.image_size is None else {"image_shape": (*options.image_size, 3)}
        preset = options.name.removeprefix(KERAS_HUB)
        return family.models.Backbone.from_preset(preset, load_weights=not options.random, **shape)
    make: Callable[..., keras.Model] = getattr(family, options.name)
    weights = None if options.random else "imagenet" if options.weights is None else str(options.weights)
    if weights not in (None, "imagenet") and not Path(weights).is_file():
        raise ValueError(f"weights must be {RANDOM} or a file; there is no file {weights}")
    return make(include_top=False, weights=weights, input_shape=(*_application_size(options), 3))


def _application_size(options: GridOptions) -> tuple[int, int]:
    usual = _SIZES.get(options.name, 224)
    return options.image_size or (usual, usual)


def _input(options: GridOptions, family: ModuleType, model: keras.Model) -> BackboneInput:
    """The model's own normalization; of KerasHub that of its image converter, but for the crop."""
    if not options.name.startswith(KERAS_HUB):
        return BackboneInput(_application_size(options), "bilinear", family.preprocess_input)
    converter = family.layers.ImageConverter.from_preset(options.name.removeprefix(KERAS_HUB))
    size = options.image_size or pair(converter.image_size) or GridNetwork(model).image_size or (224, 224)
    scale = 1.0 if converter.scale is None else converter.scale
    offset = np.broadcast_to(0.0 if converter.offset is None else converter.offset, 3)
    mean = tuple(0.0 - float(value) for value in offset)
    scales = tuple(float(value) for value in np.broadcast_to(scale, 3))
    return BackboneInput(size, converter.interpolation, Normalization(scales, mean, (1.0, 1.0, 1.0)))


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw from a seed; Keras' initializers take theirs from Python's generator, which stays where it is."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


@contextmanager
def _typed(precision: str) -> Iterator[None]:
    """Make layers that compute in a dtype."""
    before: Any = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else precision)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
