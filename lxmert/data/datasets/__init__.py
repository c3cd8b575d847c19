"""Read and write the questions, statements and sentences of data sets.

Each reader takes one file or several, recognizes the layout by content, and gives columns (examples.py). NumPy only, no
framework.
"""

from .answer_tables import AnswerTable, make_answer_table, write_answer_table
from .columns import CategoricalColumn, TextColumn
from .examples import (
    ChoiceQuestions,
    Phrase,
    PhraseSentences,
    Questions,
    Sentences,
    Statements,
    check_disjoint,
)
from .flickr30k import read_flickr30k
from .gqa import read_gqa, write_gqa, write_official_gqa
from .nlvr2 import read_nlvr2, write_nlvr2, write_official_nlvr2
from .pretraining import read_pretraining, write_pretraining
from .question_records import questions_from_records
from .soft_scores import soft_scores
from .vcr import read_vcr
from .vqa import read_vqa, write_vqa
from .vqa_official import write_official_vqa

__all__ = [
    "AnswerTable",
    "CategoricalColumn",
    "ChoiceQuestions",
    "Phrase",
    "PhraseSentences",
    "Questions",
    "Sentences",
    "Statements",
    "TextColumn",
    "check_disjoint",
    "make_answer_table",
    "questions_from_records",
    "read_flickr30k",
    "read_gqa",
    "read_nlvr2",
    "read_pretraining",
    "read_vcr",
    "read_vqa",
    "soft_scores",
    "write_answer_table",
    "write_gqa",
    "write_nlvr2",
    "write_official_gqa",
    "write_official_nlvr2",
    "write_official_vqa",
    "write_pretraining",
    "write_vqa",
]
