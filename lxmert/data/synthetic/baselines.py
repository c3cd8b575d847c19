"""What can be answered without looking, or without listening: the scores that a model has to be compared with."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence

from lxmert.data.datasets import Questions

Rates = dict[str, float]


def question_only(train: Questions, test: Questions) -> Rates:
    """Who knows only the question gives the answer that the same question had most often in training.

    A question that training did not have gets the commonest answer of its question type.

    Returns:
        The part that is right, 0..1, for each question type and for "all".
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
    """Who knows the image and the type of the question, but not the question.

    For each answer: how often was it right for that type of question, in images that show as many things of that
    name? (For an answer that is no name of a thing, such as "yes": in images with as many things.) The answer for
    which this was most often is given.

    Args:
        train: where the rates are counted.
        test: what is answered.
        shown: for each image how many things of each name it shows, and under "" how many in all.

    Returns:
        The part that is right, 0..1, for each question type and for "all".
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
        raise ValueError("questions must have answers; these are a test set without.")
    return [max(answers, key=answers.__getitem__, default="") for answers in questions.answers]


def _commonest(counts: Counter[str]) -> str:
    """Of those that are equally common, the first in the alphabet."""
    return min(counts, key=lambda answer: (-counts[answer], answer), default="")
