"""Small models of both frameworks from one set of weights, and how to run them and take their gradients.

The weights are large (0.3, biases and norms too), so that a mistake anywhere shows in the outputs.
"""

import zlib
from functools import cache
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
import torch

import lxmert.pt
import lxmert.tf
from lxmert.common.config import LxmertConfig
from lxmert.common.names import Parameter

from .inputs import Sizes

# Two thread pools on few cores wait for each other: with more threads the small models are a hundred times slower.
torch.set_num_threads(1)


class Case(NamedTuple):
    """A configuration and the sizes of its inputs."""

    config: LxmertConfig
    sizes: Sizes = Sizes()


def small(layers: str, **changes: Any) -> LxmertConfig:
    """A small configuration; `layers` counts language, cross and visual layers."""
    l_layers, x_layers, r_layers = (int(count) for count in layers.split("/"))
    sizes = dict(
        vocab_size=37,
        hidden_size=24,
        num_attention_heads=3,
        intermediate_size=20,
        max_position_embeddings=9,
        visual_feat_dim=11,
        num_qa_labels=6,
        num_object_labels=8,
        num_attr_labels=7,
    )
    return LxmertConfig(**{**sizes, **changes}, l_layers=l_layers, x_layers=x_layers, r_layers=r_layers)


# Each activation, task and visual loss is in some cases on and in others off; each count of layers changes by itself.
CASES = {
    "smallest": Case(small("1/1/1")),
    "deep": Case(small("3/2/3"), Sizes(3, 5, 4)),
    "relu, no visual layers": Case(small("2/1/0", hidden_act="relu"), Sizes(2, 6, 3)),
    "silu, no answers": Case(small("1/2/2", hidden_act="silu", task_qa=False)),
    "gelu_new, no objects": Case(small("2/1/1", hidden_act="gelu_new", task_obj_predict=False), Sizes(3, 4, 5)),
    "one region, features only": Case(small("1/1/1", visual_obj_loss=False, visual_attr_loss=False), Sizes(2, 5, 1)),
    "one head, objects only": Case(
        small("1/1/2", num_attention_heads=1, visual_attr_loss=False, visual_feat_loss=False), Sizes(2, 3, 7)
    ),
    "attributes only, no words": Case(
        small("1/3/1", task_mask_lm=False, visual_obj_loss=False, visual_feat_loss=False), Sizes(2, 7, 4)
    ),
    "no language layers, no matching": Case(
        small("0/2/1", hidden_size=20, num_attention_heads=5, visual_pos_dim=6, task_matched=False), Sizes(4, 9, 2)
    ),
}
SMALLEST = CASES["smallest"].config
CLASSES = ("LxmertModel", "LxmertForPreTraining", "LxmertForQuestionAnswering")
DTYPES = ("float64", "float32")


def weight(parameter: Parameter) -> np.ndarray:
    """The values of a parameter, the same for a name and shape in every model; float32 holds them exactly."""
    draw = np.random.default_rng([zlib.crc32(parameter.name.encode()), *parameter.shape])
    center = 1.0 if parameter.kind == "norm" and parameter.leaf.torch == "weight" else 0.0
    return (center + 0.3 * draw.standard_normal(parameter.shape)).astype(np.float32)


def new_pt(config: LxmertConfig, name: str, dtype: str) -> Any:
    """A fresh PyTorch model, in evaluation."""
    model = getattr(lxmert.pt, name)(config).to(getattr(torch, dtype)).eval()
    with torch.no_grad():
        for parameter, values in model.weights_by_name():
            values.copy_(torch.from_numpy(weight(parameter)))
    return model


def new_tf(config: LxmertConfig, name: str, dtype: str) -> Any:
    """A fresh Keras model with the same weights."""
    model = getattr(lxmert.tf, f"TF{name}")(config, dtype=dtype)
    for parameter, variable in model.weights_by_name():
        values = weight(parameter).astype(dtype)
        variable.assign(values.T if parameter.leaf.transposed else values)
    return model


# For tests that leave a model as it is.
pt_model = cache(new_pt)
tf_model = cache(new_tf)


def weights(model: Any) -> dict[str, np.ndarray]:
    """All parameters of a model of either framework by name, PyTorch's way round."""
    if isinstance(model, torch.nn.Module):
        return {p.name: values.detach().numpy() for p, values in model.weights_by_name()}
    turned = {p.name: (p.leaf.transposed, keras.ops.convert_to_numpy(w)) for p, w in model.weights_by_name()}
    return {name: values.T if transposed else values for name, (transposed, values) in turned.items()}


def cast(tree: Any, dtype: str) -> Any:
    """Arrays with their fractions in `dtype`."""
    return keras.tree.map_structure(
        lambda x: x.astype(dtype) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x, tree
    )


def run_pt(model: Any, given: dict[str, Any], **options: Any) -> Any:
    """The outputs of a PyTorch model."""
    dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    tensors = keras.tree.map_structure(
        lambda x: torch.from_numpy(x) if isinstance(x, np.ndarray) else x, cast(given, dtype)
    )
    return model(**tensors, **options)


def run_tf(model: Any, given: dict[str, Any], **options: Any) -> Any:
    """The outputs of a Keras model."""
    return model(**cast(given, model.variable_dtype), **options)


def gradients_pt(model: Any, given: dict[str, Any], **options: Any) -> tuple[Any, dict[str, Any]]:
    """The outputs, and the gradient of the loss by name for every trainable parameter; None where it does not reach."""
    output = run_pt(model, given, **options)
    named = {p.name: values for p, values in model.weights_by_name() if values.requires_grad}
    found = torch.autograd.grad(output.loss, list(named.values()), allow_unused=True)
    return output, dict(zip(named, found, strict=True))


def gradients_tf(model: Any, given: dict[str, Any], **options: Any) -> tuple[Any, dict[str, Any]]:
    """The same of a Keras model; kernels are turned PyTorch's way round."""
    named = {p: variable for p, variable in model.weights_by_name() if variable.trainable}
    with tf.GradientTape() as tape:
        output = run_tf(model, given, **options)
    found = tape.gradient(output.loss, [variable.value for variable in named.values()])
    by_name = {}
    for parameter, gradient in zip(named, found, strict=True):
        values = None if gradient is None else tf.convert_to_tensor(gradient).numpy()
        by_name[parameter.name] = values.T if values is not None and parameter.leaf.transposed else values
    return output, by_name
