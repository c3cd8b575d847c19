"""LXMERT and VisualBERT in Keras 3: plain `keras.Model`s."""

try:
    import keras
except ImportError as _error:
    raise ImportError(
        'lxmert.tf needs Keras 3 and TensorFlow. Install them with: pip install "lxmert[tf]" (or "lxmert[tf-cpu]"). '
        "(lxmert.pt does not need them.)"
    ) from _error

if int(keras.__version__.split(".")[0]) < 3:
    raise ImportError(f'lxmert.tf needs Keras 3; Keras {keras.__version__} is installed. Run: pip install "keras>=3"')

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        f"lxmert.tf needs Keras on TensorFlow; KERAS_BACKEND is {keras.backend.backend()!r}. Unset it, or use "
        "lxmert.pt."
    )

from lxmert.common.config import DetectorConfig, LxmertConfig, VcrDetectorConfig, VisualBertConfig
from lxmert.common.outputs import LxmertForPreTrainingOutput as TFLxmertForPreTrainingOutput
from lxmert.common.outputs import LxmertForQuestionAnsweringOutput as TFLxmertForQuestionAnsweringOutput
from lxmert.common.outputs import LxmertForVisualReasoningOutput as TFLxmertForVisualReasoningOutput
from lxmert.common.outputs import LxmertModelOutput as TFLxmertModelOutput
from lxmert.common.outputs import VisualBertForPreTrainingOutput as TFVisualBertForPreTrainingOutput
from lxmert.common.outputs import VisualBertModelOutput as TFVisualBertModelOutput
from lxmert.common.outputs import VisualBertTaskOutput as TFVisualBertTaskOutput
from lxmert.common.tokenizer import BertTokenizer, BertTokenizerFast, LxmertTokenizer, LxmertTokenizerFast

from .detector import TFVisualGenomeDetector
from .lxmert import TFLxmertModel
from .lxmert_tasks import TFLxmertForPreTraining, TFLxmertForQuestionAnswering, TFLxmertForVisualReasoning
from .pretrained import TFLxmertPreTrainedModel, TFVisualBertPreTrainedModel
from .vcr_detector import TFVcrDetector
from .visual_bert import TFVisualBertModel
from .visual_bert_scoring import (
    TFVisualBertForMultipleChoice,
    TFVisualBertForQuestionAnswering,
    TFVisualBertForVisualReasoning,
)
from .visual_bert_tasks import TFVisualBertForPreTraining, TFVisualBertForRegionToPhraseAlignment

__all__ = [
    "BertTokenizer",
    "BertTokenizerFast",
    "DetectorConfig",
    "LxmertConfig",
    "LxmertTokenizer",
    "LxmertTokenizerFast",
    "TFLxmertForPreTraining",
    "TFLxmertForPreTrainingOutput",
    "TFLxmertForQuestionAnswering",
    "TFLxmertForQuestionAnsweringOutput",
    "TFLxmertForVisualReasoning",
    "TFLxmertForVisualReasoningOutput",
    "TFLxmertModel",
    "TFLxmertModelOutput",
    "TFLxmertPreTrainedModel",
    "TFVcrDetector",
    "TFVisualBertForMultipleChoice",
    "TFVisualBertForPreTraining",
    "TFVisualBertForPreTrainingOutput",
    "TFVisualBertForQuestionAnswering",
    "TFVisualBertForRegionToPhraseAlignment",
    "TFVisualBertForVisualReasoning",
    "TFVisualBertModel",
    "TFVisualBertModelOutput",
    "TFVisualBertPreTrainedModel",
    "TFVisualBertTaskOutput",
    "TFVisualGenomeDetector",
    "VcrDetectorConfig",
    "VisualBertConfig",
]
