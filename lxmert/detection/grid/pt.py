"""Image backbones in PyTorch: those of `transformers`, and any module that gives a map or tokens."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from lxmert.hub import folder_with
from lxmert.pt.named_weights import array_of
from lxmert.utils.hub_errors import first_line
from lxmert.utils.json_files import read_json
from lxmert.utils.messages import first_few, nearly_known
from lxmert.utils.optional_imports import import_extra
from lxmert.utils.paths import CONFIG_NAME, INDEX_NAME, SAFETENSORS_NAME
from lxmert.utils.setting_names import setting
from lxmert.weights.download import download_weights
from lxmert.weights.formats import Selection

from .backbone import Backbone, pair
from .input import BackboneInput, Normalization, input_of_processor
from .options import RANDOM, GridOptions

# In the second, which newer processors write, the image processor is one of several.
_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
_USUAL_SIZE = 224
_PATCHES = {"dinov3_convnext": 4}  # whose config does not say it


class GridNetwork:
    """A backbone of PyTorch; see `backbone.GridNetwork`.

    Args:
        model: of `transformers`, or any module whose output for images ``[B, 3, H, W]`` is maps ``[B, C, h, w]`` or
            tokens ``[B, T, C]``, or has one of them as `last_hidden_state`. It is put into evaluation mode.
    """

    backend = "pt"

    def __init__(self, model: nn.Module):
        self.model = model.eval()
        config = getattr(model, "config", None)
        patch = pair(getattr(config, "patch_size", _PATCHES.get(getattr(config, "model_type", ""))))
        # The later stages of Swin and FocalNet each merge two by two patches.
        merged = 2 ** len(getattr(config, "depths", ())[1:])
        self.patch = None if patch is None else (patch[0] * merged, patch[1] * merged)
        registers = getattr(config, "num_register_tokens", None)
        self.leading_tokens = None if registers is None else 1 + registers
        self.image_size = pair(getattr(config, "image_size", None))
        self._like = next(model.parameters(), torch.zeros(()))
        self.precision = str(self._like.dtype).removeprefix("torch.")
        self._interpolates = "interpolate_pos_encoding" in inspect.signature(model.forward).parameters

    def features(self, pixels: np.ndarray) -> np.ndarray:
        """See `backbone.GridNetwork.features`."""
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(self._like.device, self._like.dtype)
        options = {"interpolate_pos_encoding": pixels.shape[1:3] != self.image_size} if self._interpolates else {}
        with torch.inference_mode():
            output = self.model(images, **options)
        output = getattr(output, "last_hidden_state", output)
        if not isinstance(output, torch.Tensor) or output.ndim not in (3, 4) or len(output) != len(pixels):
            given = list(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
            raise ValueError(
                f"the model must give maps [B, C, h, w] or tokens [B, T, C] for {list(images.shape)}; got {given}."
            )
        found = output.permute(0, 2, 3, 1) if output.ndim == 4 else output
        return np.ascontiguousarray(found.float().cpu().numpy())

    def weights(self) -> Iterator[np.ndarray]:
        """See `backbone.GridNetwork.weights`."""
        for name, tensor in self.model.state_dict().items():
            if not name.startswith("pooler."):  # which is not used, and newly initialized where the file lacks it
                yield array_of(tensor)


def open_backbone(options: GridOptions) -> Backbone:
    """Make a backbone of `transformers`: of a folder, of a repository on the hub, or a kind of model by its name.

    Raises:
        FileNotFoundError, PermissionError, ConnectionError, OSError: it is not there, or lacks files.
        ImportError: `transformers` is not installed.
        ValueError: it is no backbone of images, or its files do not fit each other.
    """
    transformers = import_extra("transformers", "grid", f"{options.source} in PyTorch")
    if options.weights not in (None, RANDOM):
        raise ValueError(f"weights must be {RANDOM} in PyTorch; for weights of your own name their folder.")
    folder, revision = _find(options, transformers.CONFIG_MAPPING)
    with _quiet(transformers):
        try:
            model = _make(transformers, options, folder)
        except ImportError:
            raise
        except Exception as error:  # the library raises nearly anything for files that do not fit each other
            raise ValueError(f"{options.source} cannot be loaded: {first_line(error)}.") from error
    if "pixel_values" not in inspect.signature(model.forward).parameters:
        raise ValueError(f"{options.source} is a {type(model).__name__}, which reads no images.")
    model = model.to(options.device, getattr(torch, options.precision))
    return Backbone(model, _input(options, folder, model), revision)


def _find(options: GridOptions, kinds: Collection[str]) -> tuple[Path | None, str | None]:
    """The folder of a backbone and its commit on the hub; neither for a kind of model with random weights."""
    path, revision = Path(options.name).expanduser(), None
    if not path.exists() and options.name in kinds:
        if not options.random:
            raise ValueError(
                f"{options.source} is a kind of model, without weights. Name a repository such as "
                f'"grid:microsoft/resnet-50", or write "{options.source},weights={RANDOM}".'
            )
        return None, None
    if not path.exists():
        if "/" not in options.name:
            near = nearly_known(options.name.lower(), kinds)
            raise FileNotFoundError(
                f"{options.source}: there is no folder of this name, and it is neither a repository OWNER/NAME nor a "
                f"kind of model of transformers{f' (such as {near})' * bool(near)}. Models of Keras need "
                f"{setting('backend')} tf."
            )
        if options.random:
            path = folder_with(options.name, [CONFIG_NAME], _PROCESSORS, **options.hub)
        else:
            path = download_weights(options.name, Selection(use_safetensors=True), _PROCESSORS, **options.hub)
        revision = path.name
    wanted: dict[str, tuple[str, ...]] = {CONFIG_NAME: (CONFIG_NAME,)}
    if not options.random:
        wanted |= {SAFETENSORS_NAME: (SAFETENSORS_NAME, INDEX_NAME), _PROCESSORS[0]: _PROCESSORS}
    missing = [name for name, names in wanted.items() if not any((path / other).is_file() for other in names)]
    if missing:
        held = sorted(file.name for file in path.iterdir()) if path.is_dir() else [f"{path.name}, a file"]
        raise FileNotFoundError(
            f"{options.source} must be a folder with {', '.join(wanted)}; it lacks {', '.join(missing)}, and holds "
            f"{first_few(held) or 'nothing'}."
        )
    return path, revision


def _make(transformers: Any, options: GridOptions, folder: Path | None) -> nn.Module:
    """The model in float32; of a model of images and text the part that reads images."""
    if folder is None:
        config = transformers.AutoConfig.for_model(options.name)
    else:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    with _seeded(options.seed):
        if options.random or folder is None:
            config = getattr(config, "vision_config", config)
            return transformers.AutoModel.from_config(config, dtype=torch.float32, trust_remote_code=False)
        model, found = transformers.AutoModel.from_pretrained(
            folder,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    missing = sorted(name for name in found["missing_keys"] if not name.startswith("pooler."))
    if missing:
        raise ValueError(f"its weights lack {len(missing)} of the model's, such as {first_few(missing, 3)}")
    return getattr(model, "vision_model", model)


def _input(options: GridOptions, folder: Path | None, model: nn.Module) -> BackboneInput:
    """What the processor in the folder says; without one, of random weights, the normalization of ImageNet."""
    for name in _PROCESSORS:
        if folder is not None and (folder / name).is_file():
            values = read_json(folder / name)
            values = values.get("image_processor", values)
            return input_of_processor(values, f"{name} of {options.source}", options.image_size)
    own = pair(getattr(model.config, "image_size", None)) or (_USUAL_SIZE, _USUAL_SIZE)
    size = (min(own[0], _USUAL_SIZE), min(own[1], _USUAL_SIZE))
    return BackboneInput(options.image_size or size, "bicubic", Normalization())


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Draw from a seed, also what a file lacks; the generator of the caller stays where it is."""
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)
        yield


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Without the library's bars, and its words about heads that are not used."""
    logs = transformers.utils.logging
    level, bars = logs.get_verbosity(), logs.is_progress_bar_enabled()
    logs.set_verbosity_error()
    logs.disable_progress_bar()
    try:
        yield
    finally:
        logs.set_verbosity(level)
        if bars:
            logs.enable_progress_bar()
