"""The official scores of VQA, GQA and NLVR2, in percent and not rounded, and the official result files."""

from .gqa import GqaAnswers, GqaScores, gqa_accuracy, read_gqa_answers
from .nlvr2 import Nlvr2Scores, nlvr2_scores
from .result_files import check_predictions, write_predictions
from .result_reader import ResultFile, read_predictions, read_result_file
from .scoring import score_result_file
from .vqa import VqaScores, read_vqa_annotations, soft_accuracy, vqa_accuracy

__all__ = [
    "GqaAnswers",
    "GqaScores",
    "Nlvr2Scores",
    "ResultFile",
    "VqaScores",
    "check_predictions",
    "gqa_accuracy",
    "nlvr2_scores",
    "read_gqa_answers",
    "read_predictions",
    "read_result_file",
    "read_vqa_annotations",
    "score_result_file",
    "soft_accuracy",
    "vqa_accuracy",
    "write_predictions",
]
