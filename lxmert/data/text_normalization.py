"""The text of an answer as the official VQA evaluation compares it, for metrics and for soft labels.

Every step is as in the public evaluation code of VQA v2 (github.com/GT-Vision-Lab/VQA), even where that code seems to
do something unintended: with a corrected rule it would be another metric.
"""

from __future__ import annotations

import re
from functools import lru_cache

# `_without_punctuation` removes these marks. The apostrophe, the colon and the dollar stay.
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_DIGIT_COMMA_DIGIT = re.compile(r"\d,\d")
# As in the original: its look-behind for "not after a digit" has a typing error, and is always true.
_FULL_STOP = re.compile(r"\.(?!\d)")
# As in the original, which passes a flag of the value 32 as the number of replacements.
_MOST_FULL_STOPS = 32

_ARTICLES = frozenset(("a", "an", "the"))
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS = {**{word: str(i) for i, word in enumerate(_NUMBERS)}, "none": "0"}
# Words that are also recognized with one of their apostrophes missing; others ("it's", "she'd", "we're", …) are not
# changed. The original has some with a capital I too, which never occurs in lower case text.
_CONTRACTIONS = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've
    he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've
    o'clock oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's
    someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've
    there're there's they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's
    what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've
    wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've
"""
_APOSTROPHES = {
    word[:i] + word[i + 1 :]: word
    for word in _CONTRACTIONS.split()
    for i, character in enumerate(word)
    if character == "'"
}
# As in the original, where the two sides of this one are swapped.
_APOSTROPHES["somebody'd"] = "somebodyd"


def tidy_answer(text: str) -> str:
    """An answer without white space around it, and with spaces for line feeds and tabs.

    Nothing else is done to the answers of a question to which all people gave the same one.
    """
    return text.replace("\n", " ").replace("\t", " ").strip()


@lru_cache(maxsize=2**18)  # answers repeat often: those of VQA's validation set fit
def process_answer(text: str) -> str:
    """An answer as the official evaluation compares it.

    In this order: white space (`tidy_answer`); punctuation is removed or becomes a space; lower case; number words
    become digits ("none" is 0); articles are removed; missing apostrophes are restored; single spaces between words.
    """
    words = _without_punctuation(tidy_answer(text)).lower().split()
    digits = (_DIGITS.get(word, word) for word in words)
    return " ".join(_APOSTROPHES.get(word, word) for word in digits if word not in _ARTICLES)


def _without_punctuation(text: str) -> str:
    """Remove each mark that is next to a space anywhere in the text, and replace each other mark by a space.

    In a text with a comma between digits every mark is removed.
    """
    remove_all = _DIGIT_COMMA_DIGIT.search(text) is not None
    cleaned = text
    for mark in _PUNCTUATION:
        if mark in text:
            beside_blank = f"{mark} " in text or f" {mark}" in text
            cleaned = cleaned.replace(mark, "" if remove_all or beside_blank else " ")
    return _FULL_STOP.sub("", cleaned, count=_MOST_FULL_STOPS)
