"""LXMERT, VisualBERT and their detectors in PyTorch: plain `nn.Module`s."""

try:
    import torch  # noqa: F401
except ImportError as _error:
    raise ImportError(
        'lxmert.pt needs PyTorch. Install it with: pip install "lxmert[pt]". (lxmert.tf does not need it.)'
    ) from _error

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
from lxmert.common.tokenizer import BertTokenizer, BertTokenizerFast, LxmertTokenizer, LxmertTokenizerFast
from lxmert.pt.cpu_kernels.dispatch import use_cpu_kernels
from lxmert.pt.cpu_kernels.packing import PackedWeights, use_packed_weights
from lxmert.pt.cpu_kernels.product_choice import use_cpu_products

from .detector import VisualGenomeDetector
from .lxmert import LxmertModel
from .lxmert_tasks import LxmertForPreTraining, LxmertForQuestionAnswering, LxmertForVisualReasoning
from .pretrained import LxmertPreTrainedModel, VisualBertPreTrainedModel
from .vcr_detector import VcrDetector
from .visual_bert import VisualBertModel
from .visual_bert_scoring import (
    VisualBertForMultipleChoice,
    VisualBertForQuestionAnswering,
    VisualBertForVisualReasoning,
)
from .visual_bert_tasks import VisualBertForPreTraining, VisualBertForRegionToPhraseAlignment

__all__ = [
    "BertTokenizer",
    "BertTokenizerFast",
    "DetectorConfig",
    "LxmertConfig",
    "LxmertForPreTraining",
    "LxmertForPreTrainingOutput",
    "LxmertForQuestionAnswering",
    "LxmertForQuestionAnsweringOutput",
    "LxmertForVisualReasoning",
    "LxmertForVisualReasoningOutput",
    "LxmertModel",
    "LxmertModelOutput",
    "LxmertPreTrainedModel",
    "LxmertTokenizer",
    "LxmertTokenizerFast",
    "PackedWeights",
    "VcrDetector",
    "VcrDetectorConfig",
    "VisualBertConfig",
    "VisualBertForMultipleChoice",
    "VisualBertForPreTraining",
    "VisualBertForPreTrainingOutput",
    "VisualBertForQuestionAnswering",
    "VisualBertForRegionToPhraseAlignment",
    "VisualBertForVisualReasoning",
    "VisualBertModel",
    "VisualBertModelOutput",
    "VisualBertPreTrainedModel",
    "VisualBertTaskOutput",
    "VisualGenomeDetector",
    "use_cpu_kernels",
    "use_cpu_products",
    "use_packed_weights",
]
