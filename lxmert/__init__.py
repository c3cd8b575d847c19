"""LXMERT and VisualBERT for PyTorch and Keras 3: one function in two native backends.

Importing this package imports no framework. A name is imported when it is first used, and brings its backend;
`from lxmert import *` brings the names that need none. `lxmert.explain` tells why a model gives an answer.
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from lxmert.utils.lazy_names import lazy_names

if TYPE_CHECKING:
    from lxmert import explain as explain
    from lxmert import pt, tf
    from lxmert.common.config import DetectorConfig, LxmertConfig, VcrDetectorConfig, VisualBertConfig
    from lxmert.common.outputs import (
        LxmertForPreTrainingOutput,
        LxmertForQuestionAnsweringOutput,
        LxmertForVisualReasoningOutput,
        LxmertModelOutput,
        VisualBertForPreTrainingOutput,
        VisualBertModelOutput,
        VisualBertTaskOutput,
    )
    from lxmert.common.specs import register_spec
    from lxmert.common.tokenizer import BertTokenizer, BertTokenizerFast, LxmertTokenizer, LxmertTokenizerFast
    from lxmert.common.visual_bert_inputs import prepare_visual_bert_inputs
    from lxmert.detection.region_detector import RegionDetector
    from lxmert.inference.answering import VisualQuestionAnswering
    from lxmert.pt import *  # noqa: F403
    from lxmert.tf import *  # noqa: F403
    from lxmert.weights.checkpoint import CheckpointMismatchError
    from lxmert.weights.convert import convert
    from lxmert.weights.load import LoadReport

__version__ = "0.1.0"

# The names that need no framework.
__all__ = [
    "BertTokenizer",
    "BertTokenizerFast",
    "CheckpointMismatchError",
    "DetectorConfig",
    "LoadReport",
    "LxmertConfig",
    "LxmertForPreTrainingOutput",
    "LxmertForQuestionAnsweringOutput",
    "LxmertForVisualReasoningOutput",
    "LxmertModelOutput",
    "LxmertTokenizer",
    "LxmertTokenizerFast",
    "RegionDetector",
    "VcrDetectorConfig",
    "VisualBertConfig",
    "VisualBertForPreTrainingOutput",
    "VisualBertModelOutput",
    "VisualBertTaskOutput",
    "VisualQuestionAnswering",
    "__version__",
    "convert",
    "prepare_visual_bert_inputs",
    "register_spec",
]
if TYPE_CHECKING:
    __all__ += pt.__all__
    __all__ += tf.__all__


def _public_names() -> Mapping[str, Iterable[str]]:
    """Every public name, by the module that defines it."""
    from lxmert.common.specs import CLASSES, DETECTORS, SPECS  # `import lxmert` alone stays fast

    outputs = {SPECS[name].output.__name__ for name in CLASSES}
    bases = ("LxmertPreTrainedModel", "VisualBertPreTrainedModel")
    return {
        "lxmert.common.config": ("DetectorConfig", "LxmertConfig", "VcrDetectorConfig", "VisualBertConfig"),
        "lxmert.common.outputs": outputs,
        "lxmert.common.specs": ("register_spec",),
        "lxmert.common.tokenizer": ("BertTokenizer", "BertTokenizerFast", "LxmertTokenizer", "LxmertTokenizerFast"),
        "lxmert.common.visual_bert_inputs": ("prepare_visual_bert_inputs",),
        "lxmert.detection.region_detector": ("RegionDetector",),
        "lxmert.inference.answering": ("VisualQuestionAnswering",),
        "lxmert.weights.checkpoint": ("CheckpointMismatchError",),
        "lxmert.weights.convert": ("convert",),
        "lxmert.weights.load": ("LoadReport",),
        "lxmert.pt": (
            *CLASSES,
            *DETECTORS,
            *bases,
            "PackedWeights",
            "use_cpu_kernels",
            "use_cpu_products",
            "use_packed_weights",
        ),
        "lxmert.tf": [f"TF{name}" for name in (*CLASSES, *DETECTORS, *bases, *outputs)],
    }


if not TYPE_CHECKING:  # a checker would take every name for one of the package's
    __getattr__, __dir__ = lazy_names(__name__, _public_names, packages=("explain",))
