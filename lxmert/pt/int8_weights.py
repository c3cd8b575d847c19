"""int8 weights on their way from files and state dicts into models."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from lxmert.utils.file_bytes import ALIGNED, empty_aligned
from lxmert.weights.base_model import StoredModel
from lxmert.weights.checkpoint import Checkpoint
from lxmert.weights.formats.int8_file import INT8, SCALE
from lxmert.weights.int8_rounding import int8_parameters
from lxmert.weights.loading import Found
from lxmert.weights.naming.key_mapping import Parameter
from lxmert.weights.naming.quantized import is_quantized

from .named_weights import tensor_of
from .quantization import Int8Linear, RoundedWeight, round_weight

Model = TypeVar("Model", bound=StoredModel)


def weight_reader(file: Checkpoint, found: Found) -> Callable[[Parameter], Tensor | RoundedWeight]:
    """A function that reads a parameter in the form that the model will have it in.

    Raises:
        CheckpointMismatchError: the file has some layers in int8, and others not, and nothing says which it should be.
    """
    wanted = {p.name: p for p in int8_parameters(file, found)}
    room = _make_room([p for p in wanted.values() if not file.is_int8(p)])

    def read(parameter: Parameter) -> Tensor | RoundedWeight:
        if parameter.name not in wanted:
            return tensor_of(file.read(parameter, mapped=True))
        if file.is_int8(parameter):
            return RoundedWeight(*map(tensor_of, file.read_int8(parameter)))
        # Not a map of the file: its pages would stay in memory as long as anything of the file does.
        rows, scale = round_weight(tensor_of(file.read(parameter)))
        return RoundedWeight(room[parameter.name].copy_(rows), scale)

    return read


@torch.inference_mode(False)  # the threads that read are in none
def _make_room(wanted: Sequence[Parameter]) -> dict[str, Tensor]:
    """Uninitialized memory for int8 weights, by the names of their parameters, in one piece.

    Pieces of their own would lie between the floating-point numbers that they are rounded from. The allocator could not
    give back the memory of these: three times as much as the weights take.
    """
    sizes = [-(-math.prod(p.shape) // ALIGNED) * ALIGNED for p in wanted]
    whole = empty_aligned((sum(sizes),), INT8)
    starts = accumulate(sizes, initial=0)
    return {
        p.name: tensor_of(whole[start : start + math.prod(p.shape)].reshape(p.shape))
        for p, start in zip(wanted, starts, strict=False)
    }


def assign_int8(model: StoredModel, parameter: Parameter, weight: RoundedWeight, dtype: torch.dtype) -> None:
    """Give the layer of a parameter this weight; the layer becomes an `Int8Linear`, with the bias that it has."""
    module, _ = model.locate(parameter)
    if not isinstance(module, Int8Linear):
        with torch.device("meta"):
            layer = Int8Linear(module.in_features, module.out_features, module.bias is not None, dtype=dtype)
        if module.bias is not None:
            layer.bias = nn.Parameter(module.bias.detach(), requires_grad=False)
        path, _, name = parameter.module.rpartition(".")
        setattr(model.base.get_submodule(path), name, layer)
        module = layer
    module.weight = nn.Parameter(weight.rows, requires_grad=False)
    module.weight_scale = weight.scale


def quantize_rest(model: Model, found: Found) -> Model:
    """A loaded model, in which the layers that were not in the file are in int8 too, if that is wanted."""
    for parameter in model.table_parameters() if found.quantize else ():
        module, attribute = model.locate(parameter)
        if attribute == "weight" and isinstance(module, nn.Linear) and is_quantized(parameter.module):
            weight = module.weight.detach()
            assign_int8(model, parameter, round_weight(weight), weight.dtype)
    return model


# State dicts


def fit_state_dict(model: Any, state_dict: dict[str, Any], prefix: str, names: Callable[[], Iterable[str]]) -> None:
    """Check that a state dict has what the layers of a model take, and give scales the shape that they have there.

    Args:
        model: the model, or a part of one.
        state_dict: it is changed.
        prefix: of the names of this model in it.
        names: returns the names of the model's weights, without the prefix.

    Raises:
        RuntimeError: int8 weights for a model that is not quantized, or without proper scales.
    """
    quantized = {f"{path}.weight" for path, module in model.named_modules() if isinstance(module, Int8Linear)}
    integers = any(
        isinstance(v, Tensor) and not v.is_floating_point() for k, v in state_dict.items() if k.endswith("weight")
    )
    if not (quantized or integers):
        return
    for name in dict.fromkeys((*names(), *quantized)):
        key = prefix + name
        value, scale = state_dict.get(key), state_dict.get(key + SCALE)
        if not isinstance(value, Tensor):
            continue
        if name not in quantized:
            if not value.is_floating_point():
                raise RuntimeError(
                    f"{key} is {value.dtype} in the state dict, and floating-point numbers in this "
                    f'{type(model).__name__}. Nothing was loaded. Call model.quantize("int8") first.'
                )
        elif value.is_floating_point() and value.ndim == 2:
            continue  # the layer rounds it
        elif value.dtype == torch.int8 and isinstance(scale, Tensor) and are_scales(scale):
            state_dict[key + SCALE] = (scale.reshape(-1) if scale.shape[1:] == (1,) else scale).float()
        else:
            raise RuntimeError(
                f"{key} is {value.dtype} {list(value.shape)} in the state dict; floating-point numbers were expected, "
                f"or int8 with positive and finite {key}{SCALE}. Nothing was loaded."
            )


def are_scales(scale: Tensor) -> bool:
    """Whether a tensor holds scales: positive, finite numbers."""
    return scale.is_floating_point() and (scale.is_meta or bool((scale.isfinite() & (scale > 0)).all()))
