"""Small models of both frameworks from one set of weights, and how to run them and take their gradients.

The weights are large (0.3, biases and norms too), so that a mistake anywhere shows in the outputs.
"""

import copy
import zlib
from functools import cache
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
import torch

import lxmert.pt
import lxmert.tf
from lxmert.common.config import LxmertConfig, VisualBertConfig
from lxmert.common.config.base import ModelConfig
from lxmert.weights.naming.key_mapping import Parameter

from .inputs import Sizes, inputs, labels_of
from .visual_bert_inputs import visual_bert_inputs, visual_bert_labels

# Two thread pools on few cores wait for each other: with more threads the small models are a hundred times slower.
torch.set_num_threads(1)


class Case(NamedTuple):
    """A configuration and the sizes of its inputs."""

    config: Any
    sizes: Sizes = Sizes()


def small(layers: str, **changes: Any) -> LxmertConfig:
    """A small configuration of LXMERT; `layers` counts language, cross and visual layers."""
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
CLASSES = ("LxmertModel", "LxmertForPreTraining", "LxmertForQuestionAnswering", "LxmertForVisualReasoning")


def small_visual_bert(layers: int, **changes: Any) -> VisualBertConfig:
    """A small configuration of VisualBERT with so many layers."""
    sizes = dict(
        vocab_size=37,
        hidden_size=24,
        visual_embedding_dim=11,
        num_attention_heads=4,
        intermediate_size=20,
        max_position_embeddings=9,
        num_labels=6,
    )
    return VisualBertConfig(**{**sizes, **changes}, num_hidden_layers=layers)


# Every activation, and each of the other choices in some cases one way and in others another.
VISUAL_BERT_CASES = {
    "smallest": Case(small_visual_bert(1)),
    "deep": Case(small_visual_bert(3, num_labels=8), Sizes(4, 6, 5)),
    "relu, every word learns": Case(
        small_visual_bert(2, hidden_act="relu", pad_token_id=None, type_vocab_size=4), Sizes(2, 6, 4)
    ),
    "selu, one label, padding 0": Case(
        small_visual_bert(1, hidden_act="selu", pad_token_id=0, num_labels=1), Sizes(4, 5, 2)
    ),
    "gelu_new, one region, one type": Case(
        small_visual_bert(2, hidden_act="gelu_new", type_vocab_size=1, layer_norm_eps=0.1), Sizes(2, 5, 1)
    ),
    "silu, one head, one word": Case(
        small_visual_bert(1, hidden_act="silu", num_attention_heads=1, layer_norm_eps=1e-5), Sizes(2, 1, 7)
    ),
    "regions bypass the layers": Case(small_visual_bert(2, bypass_transformer=True), Sizes(4, 9, 2)),
    "regions bypass one layer": Case(
        small_visual_bert(1, bypass_transformer=True, hidden_size=20, num_attention_heads=5, pad_token_id=0),
        Sizes(2, 4, 7),
    ),
}
SMALLEST_VISUAL_BERT = VISUAL_BERT_CASES["smallest"].config
VISUAL_BERT_CLASSES = (
    "VisualBertModel",
    "VisualBertForPreTraining",
    "VisualBertForMultipleChoice",
    "VisualBertForQuestionAnswering",
    "VisualBertForVisualReasoning",
    "VisualBertForRegionToPhraseAlignment",
)
DTYPES = ("float64", "float32")


def labelled(config: Any, name: str, sizes: Sizes, masks: str = "ragged", seed: int = 0) -> dict[str, Any]:
    """The inputs of a class of either model, with every label that it takes."""
    if isinstance(config, VisualBertConfig):
        given = visual_bert_inputs(config, sizes, masks, name, seed)
        return {**given, **visual_bert_labels(config, sizes, name, seed)}
    return {**inputs(config, sizes, masks, seed, name), **labels_of(config, sizes, name, seed)}


def weight(parameter: Parameter) -> np.ndarray:
    """The values of a parameter, the same for a name and shape in every model; float32 holds them exactly."""
    draw = np.random.default_rng([zlib.crc32(parameter.name.encode()), *parameter.shape])
    center = 1.0 if parameter.kind == "norm" and parameter.leaf.torch == "weight" else 0.0
    return (center + 0.3 * draw.standard_normal(parameter.shape)).astype(np.float32)


def new_pt(config: ModelConfig, name: str, dtype: str, **constructor_options: Any) -> Any:
    """A fresh PyTorch model, in evaluation. Its config is its own, because pruning and resizing change it."""
    model = getattr(lxmert.pt, name)(copy.deepcopy(config), **constructor_options).to(getattr(torch, dtype)).eval()
    with torch.no_grad():
        for parameter, values in model.weights_by_name():
            values.copy_(torch.from_numpy(weight(parameter)))
    return model


def new_tf(config: ModelConfig, name: str, dtype: str, **constructor_options: Any) -> Any:
    """A fresh Keras model with the same weights."""
    model = getattr(lxmert.tf, f"TF{name}")(copy.deepcopy(config), dtype=dtype, **constructor_options)
    for parameter, variable in model.weights_by_name():
        values = weight(parameter).astype(dtype)
        variable.assign(parameter.leaf.to_keras(values))
    return model


# For tests that leave a model as it is.
pt_model = cache(new_pt)
tf_model = cache(new_tf)


def weights(model: Any) -> dict[str, np.ndarray]:
    """All parameters of a model of either framework by name, PyTorch's way round."""
    if isinstance(model, torch.nn.Module):
        return {p.name: values.detach().numpy() for p, values in model.weights_by_name()}
    return {p.name: p.leaf.to_torch(keras.ops.convert_to_numpy(w)) for p, w in model.weights_by_name()}


def cast(tree: Any, dtype: str) -> Any:
    """Arrays with their fractions in `dtype`."""
    return keras.tree.map_structure(
        lambda x: x.astype(dtype) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x, tree
    )


def tensors(model: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Arrays as PyTorch's tensors, their fractions in the format of the model."""
    dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    return keras.tree.map_structure(
        lambda x: torch.from_numpy(x) if isinstance(x, np.ndarray) else x, cast(given, dtype)
    )


def run_pt(model: Any, given: dict[str, Any], **options: Any) -> Any:
    """The outputs of a PyTorch model."""
    return model(**tensors(model, given), **options)


def run_tf(model: Any, given: dict[str, Any], **options: Any) -> Any:
    """The outputs of a Keras model."""
    return model(**cast(given, model.variable_dtype), **options)


def gradients_pt(model: Any, given: dict[str, Any], also: tuple[str, ...] = (), **options: Any) -> tuple[Any, Any]:
    """The outputs, and the gradient of the loss by name for every trainable parameter; None where it does not reach.

    `also` names inputs whose gradients are wanted beside them.
    """
    taken = tensors(model, given)
    for name in also:
        taken[name].requires_grad_()
    output = model(**taken, **options)
    named = {p.name: values for p, values in model.weights_by_name() if values.requires_grad}
    named |= {name: taken[name] for name in also}
    found = torch.autograd.grad(output.loss, list(named.values()), allow_unused=True)
    return output, dict(zip(named, found, strict=True))


def gradients_tf(model: Any, given: dict[str, Any], also: tuple[str, ...] = (), **options: Any) -> tuple[Any, Any]:
    """The same of a Keras model; kernels are turned PyTorch's way round."""
    named = {p: variable for p, variable in model.weights_by_name() if variable.trainable}
    taken = cast(given, model.variable_dtype)
    watched = {name: tf.convert_to_tensor(taken[name]) for name in also}
    with tf.GradientTape() as tape:
        tape.watch(list(watched.values()))
        output = model(**{**taken, **watched}, **options)
    sources = [variable.value for variable in named.values()]
    found = tape.gradient(output.loss, [*sources, *watched.values()])
    by_name = {}
    for parameter, gradient in zip([*named, *watched], found, strict=True):
        values = None if gradient is None else tf.convert_to_tensor(gradient).numpy()
        turned = values is not None and isinstance(parameter, Parameter)
        by_name[getattr(parameter, "name", parameter)] = parameter.leaf.to_torch(values) if turned else values
    return output, by_name
