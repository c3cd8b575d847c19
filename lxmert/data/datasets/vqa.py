"""VQA v2: the questions of the original LXMERT; vqa_official.py has the official ones."""

from __future__ import annotations

from pathlib import Path

from .examples import Questions
from .question_records import is_official, read_original, write_original
from .record_checks import Paths, list_files
from .vqa_official import check_integer_ids, read_official


def read_vqa(paths: Paths, formula: str = "auto") -> Questions:
    """Read questions about images, with the scores of their answers.

    Args:
        paths: one file or several of one layout, which is recognized by content:

            - The original's lists of `question_id`, `img_id`, `sent` and, except in test sets, `label` {answer: score}.
            - The official files, in any order: questions (`v2_OpenEnded_mscoco_train2014_questions.json`) and the
              annotations of all or none of them (`v2_mscoco_train2014_annotations.json`). Images are named as in the
              original's files, `COCO_train2014_000000458752`, if the `data_type` is "mscoco", otherwise
              `{data_type}_{data_subtype}_{image_id:012d}`. The scores are those of `soft_scores`, with the annotation's
              `multiple_choice_answer` first.

    Raises:
        OSError: a file cannot be read.
        ValueError: a wrong record, which is named; a repeated id; annotations and questions that do not belong
            together; no questions.
    """
    files = list_files(paths)
    if is_official(files, "the official questions and annotations"):
        return read_official(files)
    return read_original(files, integer_ids=True)


def write_vqa(path: str | Path, questions: Questions) -> None:
    """Write questions with integer ids as the original's list of records; the file is replaced when it is complete."""
    check_integer_ids(questions)
    write_original(path, questions)
