"""LXMERT and VisualBERT for PyTorch and Keras 3: one function in two native backends.

Importing this package imports no framework. A name below is looked up when it is first used, and brings its backend.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "lxmert.common.config": ("LxmertConfig", "VisualBertConfig"),
    "lxmert.common.visual_bert_inputs": ("prepare_visual_bert_inputs",),
    "lxmert.common.tokenizer": ("LxmertTokenizer", "LxmertTokenizerFast"),
    "lxmert.weights.checkpoint": ("CheckpointMismatchError",),
    "lxmert.weights.load": ("LoadReport",),
    "lxmert.weights.convert": ("convert",),
    "lxmert.common.outputs": (
        "LxmertForPreTrainingOutput",
        "LxmertForQuestionAnsweringOutput",
        "LxmertForVisualReasoningOutput",
        "LxmertModelOutput",
        "VisualBertForPreTrainingOutput",
        "VisualBertModelOutput",
        "VisualBertTaskOutput",
    ),
    "lxmert.inference.answering": ("VisualQuestionAnswering",),
    "lxmert.pt": (
        "LxmertForPreTraining",
        "LxmertForQuestionAnswering",
        "LxmertForVisualReasoning",
        "LxmertModel",
        "PackedWeights",
        "VisualBertForMultipleChoice",
        "VisualBertForPreTraining",
        "VisualBertForQuestionAnswering",
        "VisualBertForRegionToPhraseAlignment",
        "VisualBertForVisualReasoning",
        "VisualBertModel",
    ),
    "lxmert.tf": (
        "TFLxmertForPreTraining",
        "TFLxmertForPreTrainingOutput",
        "TFLxmertForQuestionAnswering",
        "TFLxmertForQuestionAnsweringOutput",
        "TFLxmertForVisualReasoning",
        "TFLxmertForVisualReasoningOutput",
        "TFLxmertModel",
        "TFLxmertModelOutput",
        "TFVisualBertForMultipleChoice",
        "TFVisualBertForPreTraining",
        "TFVisualBertForPreTrainingOutput",
        "TFVisualBertForQuestionAnswering",
        "TFVisualBertForRegionToPhraseAlignment",
        "TFVisualBertForVisualReasoning",
        "TFVisualBertModel",
        "TFVisualBertModelOutput",
        "TFVisualBertTaskOutput",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [*sorted(_HOME_OF), "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
