"""The official scores of each data set, in percent and not rounded, and the official result files."""

from .flickr30k import Flickr30kScores, flickr30k_scores, read_flickr30k_results, write_flickr30k_results
from .gqa import GqaAnswers, GqaScores, gqa_accuracy, read_gqa_answers
from .nlvr2 import Nlvr2Scores, nlvr2_scores
from .result_files import check_predictions, write_meme_predictions, write_predictions
from .result_reader import ResultFile, read_predictions, read_result_file
from .scoring import score_result_file
from .vcr import VcrScores, join_vcr_results, read_vcr_results, vcr_results, vcr_scores, write_vcr_results
from .vqa import VqaScores, read_vqa_annotations, soft_accuracy, vqa_accuracy

__all__ = [
    "Flickr30kScores",
    "GqaAnswers",
    "GqaScores",
    "Nlvr2Scores",
    "ResultFile",
    "VcrScores",
    "VqaScores",
    "check_predictions",
    "flickr30k_scores",
    "gqa_accuracy",
    "join_vcr_results",
    "nlvr2_scores",
    "read_flickr30k_results",
    "read_gqa_answers",
    "read_predictions",
    "read_result_file",
    "read_vcr_results",
    "read_vqa_annotations",
    "score_result_file",
    "soft_accuracy",
    "vcr_results",
    "vcr_scores",
    "vqa_accuracy",
    "write_flickr30k_results",
    "write_meme_predictions",
    "write_predictions",
    "write_vcr_results",
]
