"""Questions about one image each: the readers of VQA v2 and of the data sets after it."""

from __future__ import annotations

from pathlib import Path

from .examples import Questions
from .question_layouts import OFFICIAL, recognize
from .question_records import read_questions, write_original
from .record_checks import Paths, list_files
from .vqa_official import read_official


def read_vqa(paths: Paths, formula: str = "auto") -> Questions:
    """Read questions about images, with the scores of their answers.

    Args:
        paths: one file or several of one layout, which is recognized by content:

            - The original's lists of `question_id`, `img_id`, `sent` and, except in test sets, `label` {answer: score}.
            - The official files, in any order: questions (`v2_OpenEnded_mscoco_train2014_questions.json`) and the
              annotations of all or none of them (`v2_mscoco_train2014_annotations.json`). Images are named as in the
              original's files, `COCO_train2014_000000458752`, if the `data_type` is "mscoco", otherwise
              `{data_type}_{data_subtype}_{image_id:012d}`. OK-VQA has them too, and VQA-CP as lists with `coco_split`.
            - VizWiz (the ids are the images), A-OKVQA (`direct_answers`), TextVQA and others with a list "data".
            - SNLI-VE and Hateful Memes: the text is the statement, and the answer its class ("not hateful" and
              "hateful" for the labels 0 and 1).
            - One's own, as a JSON list, JSON lines, CSV or TSV: `image`, `question`, and `answer` or `answers`: several
              people's, or answers with weights. Without `question_id`, ids are made of the file's name and the place.

        formula: how the answers of several people are scored; see `soft_scores`.

    Raises:
        OSError: a file cannot be read.
        ValueError: a wrong record, which is named; a repeated id; annotations and questions that do not belong
            together; no questions.
    """
    files = list_files(paths)
    layouts = [layout.name for layout, _ in map(recognize, files) if layout is not None]
    if OFFICIAL in layouts and set(layouts) == {OFFICIAL}:
        return read_official(files, formula)
    return read_questions(files, text_ids=False, formula=formula)


def write_vqa(path: str | Path, questions: Questions) -> None:
    """Write questions as the original's list of records; the file is replaced when it is complete."""
    write_original(path, questions)
