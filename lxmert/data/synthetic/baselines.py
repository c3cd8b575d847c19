"""Baselines that see only the question, or only the image: the scores that a model must exceed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence

from lxmert.data.datasets import Questions

Rates = dict[str, float]


def question_only(train: Questions, test: Questions) -> Rates:
    """The score of the answer that the same question had most often in training.

    A question that is not in the training data gets the most frequent answer of its question type.

    Returns:
        The fraction of correct answers, 0..1, for each question type and for "all".
    """
    by_text, by_type = defaultdict[str, Counter[str]](Counter), defaultdict[str, Counter[str]](Counter)
    for text, kind, answer in zip(train.texts, _types(train), _answers(train), strict=True):
        by_text[text][answer] += 1
        by_type[kind][answer] += 1
    guesses = [
        _commonest(by_text[text] if text in by_text else by_type[kind])
        for text, kind in zip(test.texts, _types(test), strict=True)
    ]
    return _rates(guesses, test)


def image_only(train: Questions, test: Questions, shown: Mapping[str, Mapping[str, int]]) -> Rates:
    """The score of the most probable answer by the image and the question's type.

    The probability of an answer is its frequency in training among questions of this type about images that show as
    many things of that name; for an answer that is no name of a thing, such as "yes", images with as many things.

    Args:
        train: for the frequencies.
        test: the questions to answer.
        shown: for each image the number of things of each name, and of all things under "".

    Returns:
        The fraction of correct answers, 0..1, for each question type and for "all".
    """
    names = set[str]().union(*(things.keys() for things in shown.values()))

    def seen(image: str, answer: str) -> int:
        return shown[image].get(answer if answer in names else "", 0)

    asked, right = Counter[Hashable](), Counter[Hashable]()
    answers = defaultdict[str, Counter[str]](Counter)
    for kind, answer in zip(_types(train), _answers(train), strict=True):
        answers[kind][answer] += 1
    for image, kind, answer in zip(train.images, _types(train), _answers(train), strict=True):
        for possible in answers[kind]:
            key = (kind, possible, seen(image, possible))
            asked[key] += 1
            right[key] += possible == answer
    guesses = []
    for image, kind in zip(test.images, _types(test), strict=True):
        keys = {answer: (kind, answer, seen(image, answer)) for answer in sorted(answers[kind])}
        guesses.append(max(keys, key=lambda answer: right[keys[answer]] / max(asked[keys[answer]], 1), default=""))
    return _rates(guesses, test)


def _rates(guesses: Sequence[str], test: Questions) -> Rates:
    asked, right = Counter[str](), Counter[str]()
    for guess, kind, answer in zip(guesses, _types(test), _answers(test), strict=True):
        for name in (kind, "all"):
            asked[name] += 1
            right[name] += guess == answer
    return {name: right[name] / asked[name] for name in asked}


def _types(questions: Questions) -> Sequence[str]:
    return questions.question_types if questions.question_types is not None else [""] * len(questions)


def _answers(questions: Questions) -> list[str]:
    if questions.answers is None:
        raise ValueError("questions must have answers; these are of a test set, which has none.")
    return [max(answers, key=answers.__getitem__, default="") for answers in questions.answers]


def _commonest(counts: Counter[str]) -> str:
    """The most frequent answer; of several, the first alphabetically."""
    return min(counts, key=lambda answer: (-counts[answer], answer), default="")
