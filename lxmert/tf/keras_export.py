"""Export of a model for serving, under the names of its inputs and scores.

Separate from the models, because PyTorch has no counterpart.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from lxmert.common.outputs import ModelOutput
from lxmert.common.specs import input_shapes
from lxmert.weights.base_model import BaseModel

from .fitting import InternalLossMixin
from .serving import write_saved_model


class KerasExport(BaseModel, InternalLossMixin):
    """A model of words and regions that is trained by `fit` and exported."""

    def export(self, filepath: str | Path, format: str = "tf_saved_model", **kwargs: Any) -> None:
        """Write the model for serving; it answers without this package.

        Its input is a dict of the words, the regions, the masks and the token types (what
        `lxmert.common.specs.input_shapes` lists), of any batch size, length and number of regions; its output a
        dict of the scores. In a SavedModel masks and token types may be absent: see `write_saved_model`. For
        other inputs wrap the model in a functional `keras.Model` and export that.
        """
        if format == "tf_saved_model" and set(kwargs) <= {"verbose"}:
            write_saved_model(self, filepath, **kwargs)
            return
        inputs = self.symbolic_inputs()
        scores = self(inputs, **self.plain_options())
        outputs = dict(scores.items()) if isinstance(scores, ModelOutput) else scores
        keras.Model(inputs, outputs).export(str(filepath), format=format, **kwargs)

    def symbolic_inputs(self) -> dict[str, Any]:
        """A `keras.Input` for each input of a served model."""
        inputs = {}
        for name, given in input_shapes(self.config, self.architecture()).items():
            sizes = tuple(None if isinstance(axis, str) else axis for axis in given.axes[1:])
            dtype = self.variable_dtype if given.kind == "float" else "int32"
            inputs[name] = keras.Input(sizes, dtype=dtype, name=name)
        return inputs

    def plain_options(self) -> dict[str, bool]:
        """The options of a call that returns scores by name and nothing else."""
        wanted = {"output_attentions": False, "output_hidden_states": False, "return_dict": True}
        return {name: value for name, value in wanted.items() if name in self.keywords()}
