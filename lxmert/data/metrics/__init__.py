"""Scores of the four tasks as their official evaluations compute them, and the result files that these read.

Scores are in percent and as computed. Names resolve on first use: what reads questions uses the text processing in
here, and what scores uses the readers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .gqa import GqaAnswers, GqaScores, gqa_accuracy, read_gqa_answers
    from .nlvr2 import Nlvr2Scores, nlvr2_scores
    from .predictions import (
        check_predictions,
        read_gqa_predictions,
        read_nlvr2_predictions,
        read_vqa_predictions,
        write_gqa_predictions,
        write_nlvr2_predictions,
        write_vqa_predictions,
    )
    from .result_files import score_result_file
    from .vqa import VqaScores, read_vqa_annotations, soft_accuracy, vqa_accuracy

_HOME = {
    name: module
    for module, names in {
        "gqa": "GqaAnswers GqaScores gqa_accuracy read_gqa_answers",
        "nlvr2": "Nlvr2Scores nlvr2_scores",
        "predictions": "check_predictions read_gqa_predictions read_nlvr2_predictions read_vqa_predictions "
        "write_gqa_predictions write_nlvr2_predictions write_vqa_predictions",
        "result_files": "score_result_file",
        "vqa": "VqaScores read_vqa_annotations soft_accuracy vqa_accuracy",
    }.items()
    for name in names.split()
}

__all__ = [
    "GqaAnswers",
    "GqaScores",
    "Nlvr2Scores",
    "VqaScores",
    "check_predictions",
    "gqa_accuracy",
    "nlvr2_scores",
    "read_gqa_answers",
    "read_gqa_predictions",
    "read_nlvr2_predictions",
    "read_vqa_annotations",
    "read_vqa_predictions",
    "score_result_file",
    "soft_accuracy",
    "vqa_accuracy",
    "write_gqa_predictions",
    "write_nlvr2_predictions",
    "write_vqa_predictions",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}.")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value  # the next look-up does not come here again
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
