"""One set of operations for both backends, so that a test says once what each of them has to do by itself."""

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
import torch

import lxmert.pt
import lxmert.tf
from tests.models import gradients_pt, gradients_tf, weights
from tests.pt.tensors import tensors
from tests.small import NAMES, small_config

# Of each model a class with several heads or inputs of its own; Keras takes its time for each.
VARIED = (
    "LxmertForPreTraining",
    "LxmertForVisualReasoning",
    "VisualBertForMultipleChoice",
    "VisualBertForRegionToPhraseAlignment",
)


def every_class(*names: str) -> Any:
    """Parameters of a test of what no class changes: every class in PyTorch, and some in Keras."""
    rows = [("pt", name) for name in names or NAMES]
    rows += [("tf", name) for name in names or NAMES if name in VARIED]
    return pytest.mark.parametrize(("backend", "name"), rows, indirect=["backend"])


class Backend:
    """The operations in PyTorch; `Keras` says them for Keras."""

    name = "pt"
    gradients = staticmethod(gradients_pt)  # of the loss, by the names of the weights

    def kind(self, name: str) -> Any:
        """A model class by its name."""
        return getattr(lxmert.pt, name)

    def make(self, name: str, dtype: str = "float32", config: Any = None, **changes: Any) -> Any:
        """A small model in evaluation."""
        return self.kind(name)(config or small_config(name, **changes)).to(getattr(torch, dtype)).eval()

    def run(self, model: Any, given: dict[str, Any], training: bool = False, **options: Any) -> Any:
        """The outputs for NumPy inputs."""
        return model.train(training)(**tensors(given), **options)

    def encode(self, method: Any, given: dict[str, Any]) -> Any:
        """What a method of a model returns for NumPy inputs."""
        return method(**tensors(given))

    def reached(self, model: Any, given: dict[str, Any]) -> list[str]:
        """The names of the trainable weights that the pooled output depends on."""
        model.zero_grad()
        self.run(model, given).pooled_output.sum().backward()
        return [parameter.name for parameter, weight in model.weights_by_name() if weight.grad is not None]

    def weights(self, model: Any) -> dict[str, np.ndarray]:
        """All weights by name, PyTorch's way round, as copies."""
        return {name: values.copy() for name, values in weights(model).items()}

    def assign(self, model: Any, name: str, values: Any) -> None:
        """Set one weight, given PyTorch's way round."""
        (found,) = (weight for parameter, weight in model.weights_by_name() if parameter.name == name)
        with torch.no_grad():
            found.copy_(torch.as_tensor(values))

    def copy_weights(self, source: Any, target: Any) -> None:
        """Set all weights of a model to those of another one, which may have another dtype."""
        target.load_state_dict(source.state_dict())

    def trainable(self, model: Any) -> list[str]:
        """The names of the weights that training changes."""
        return [parameter.name for parameter, weight in model.weights_by_name() if weight.requires_grad]

    def freeze(self, layer: Any) -> None:
        """Keep the weights of a layer as they are in training."""
        layer.requires_grad_(False)

    def stored(self, model: Any) -> set[str]:
        """The dtypes of the weights."""
        return {self.dtype(weight) for _, weight in model.weights_by_name()}

    def dtype(self, tensor: Any) -> str:
        """The name of a tensor's dtype."""
        return str(tensor.dtype).removeprefix("torch.")

    def embedding(self, rows: int, width: int) -> Any:
        """A new embedding layer."""
        return torch.nn.Embedding(rows, width)

    def table(self, layer: Any) -> np.ndarray:
        """The values of an embedding layer."""
        return layer.weight.detach().numpy()

    def paths(self, model: Any) -> list[str]:
        """The framework's own names of the weights."""
        return sorted(model.state_dict())

    def steps(self, model: Any, given: dict[str, Any], count: int = 1, rate: float = 0.01) -> list[float]:
        """The losses before each of some steps of gradient descent."""
        optimizer = torch.optim.SGD(model.parameters(), lr=rate)
        losses = []
        for _ in range(count):
            optimizer.zero_grad()
            loss = self.run(model, given, training=True).loss
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        model.eval()
        return losses


class Keras(Backend):
    """The same in Keras."""

    name = "tf"
    gradients = staticmethod(gradients_tf)

    def kind(self, name: str) -> Any:
        return getattr(lxmert.tf, f"TF{name}")

    def make(self, name: str, dtype: str = "float32", config: Any = None, **changes: Any) -> Any:
        return self.kind(name)(config or small_config(name, **changes), dtype=dtype)

    def run(self, model: Any, given: dict[str, Any], training: bool = False, **options: Any) -> Any:
        return model(given, **options, **({"training": True} if training else {}))

    def encode(self, method: Any, given: dict[str, Any]) -> Any:
        return method(**given)

    def reached(self, model: Any, given: dict[str, Any]) -> list[str]:
        with tf.GradientTape() as tape:
            total = keras.ops.sum(self.run(model, given).pooled_output)
        named = {parameter.name: weight for parameter, weight in model.weights_by_name() if weight.trainable}
        found = tape.gradient(total, [weight.value for weight in named.values()])
        return [name for name, gradient in zip(named, found, strict=True) if gradient is not None]

    def assign(self, model: Any, name: str, values: Any) -> None:
        ((parameter, found),) = (one for one in model.weights_by_name() if one[0].name == name)
        found.assign(parameter.leaf.to_keras(np.asarray(values)))

    def copy_weights(self, source: Any, target: Any) -> None:
        for variable, other in zip(target.variables, source.variables, strict=True):
            variable.assign(keras.ops.cast(other, variable.dtype))

    def trainable(self, model: Any) -> list[str]:
        return [parameter.name for parameter, weight in model.weights_by_name() if weight.trainable]

    def freeze(self, layer: Any) -> None:
        layer.trainable = False

    def dtype(self, tensor: Any) -> str:
        return keras.backend.standardize_dtype(tensor.dtype)

    def embedding(self, rows: int, width: int) -> Any:
        layer = lxmert.tf.layers.Embedding(rows, width)
        layer.build((None, None))
        return layer

    def table(self, layer: Any) -> np.ndarray:
        return keras.ops.convert_to_numpy(layer.embeddings)

    def paths(self, model: Any) -> list[str]:
        return sorted(variable.path for variable in model.variables)

    def steps(self, model: Any, given: dict[str, Any], count: int = 1, rate: float = 0.01) -> list[float]:
        model.compile(keras.optimizers.SGD(rate), run_eagerly=True)
        given = {name: values for name, values in given.items() if name != "head_mask"}  # it has no axis of examples
        # Pre-training models return their own losses after the loss.
        return [float(np.ravel(model.train_on_batch(given))[0]) for _ in range(count)]


BACKENDS = {backend.name: backend for backend in (Backend(), Keras())}
