"""Vocabularies, settings and texts made to take time or memory: each is refused or read in linear time."""

import json

import pytest
from tokenizers import AddedToken

from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.utils.foreign_files import InvalidFileError
from lxmert.utils.text_length import LONGEST_TEXT

WORDS = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "low"]
SIZE = len(WORDS)
LONG = "x" * 10**6


def tokenizer_json(words=WORDS, **changes):
    pipeline = {"normalizer": {"type": "BertNormalizer"}, "pre_tokenizer": {"type": "BertPreTokenizer"}}
    model = {"type": "WordPiece", "unk_token": "[UNK]", "vocab": {word: number for number, word in enumerate(words)}}
    return {**pipeline, "model": model, **changes}


def write(folder, **files):
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / (name + (".txt" if name == "vocab" else ".json"))).write_text(text, encoding="utf-8")
    return folder


def with_settings(**settings):
    return {"vocab": "\n".join(WORDS), "tokenizer_config": settings}


def with_added(*tokens):
    return {"tokenizer": tokenizer_json(added_tokens=list(tokens))}


BAD = {
    "a template in cls_token": (
        {"tokenizer": tokenizer_json([*WORDS, "$B"]), "tokenizer_config": {"cls_token": "$B"}},
        r"makes no tokenizer: cls_token must not begin with \$ or contain a colon; got '\$B'",
    ),
    "a colon in sep_token": (with_settings(sep_token="[SEP]:1"), "sep_token must not begin with"),
    "a long token": (with_settings(pad_token=LONG), "pad_token must be a str of 1 to 200 characters; got 'xxx"),
    "a long unknown token": ({"tokenizer": tokenizer_json([LONG])}, "the vocabulary must contain unk_token"),
    "a long prefix": (with_settings(wordpieces_prefix=LONG), "wordpieces_prefix must be a str of 1 to 200"),
    "long words to spell": (
        with_settings(max_input_chars_per_word=10**9),
        "max_input_chars_per_word must be at most 256",
    ),
    "a huge integer": (with_settings(max_input_chars_per_word=10**400), "at most 256; got an integer of 1,329 bits"),
    "an infinite length": (with_settings(model_max_length=float("inf")), "model_max_length must be an integer of 1 or"),
    "no list of tokens": (with_settings(extra_special_tokens=5), "extra_special_tokens must be a list of str or None"),
    "a token of the wrong kind": (with_settings(cls_token={"content": 5}), "holds a token of the wrong kind"),
    "a token of half a character": (with_settings(unknown="\ud800"), "holds texts that cannot be saved"),
    "added without a list": (
        {"tokenizer": tokenizer_json(added_tokens=5)},
        "must have an id and a content: 'int' object",
    ),
    "added at infinity": (
        with_added({"id": float("inf"), "content": "a"}),
        "must have an id and a content: cannot conv",
    ),
    "added at a huge number": (
        with_added({"id": 10**400, "content": "a"}),
        "must have id 6, .*; the file has an integer",
    ),
    "added of half a character": (with_added({"id": SIZE, "content": "\ud800"}), "must have an id and a content"),
    "added under many digits": (
        with_settings(added_tokens_decoder={"9" * 5000: {"content": "a"}}),
        "must have an id and a content: Exceeds the limit",
    ),
    "half a character": ({"tokenizer": tokenizer_json([*WORDS, "\ud800"])}, "makes no tokenizer: "),
    "a truth value as an id": (
        {"tokenizer": tokenizer_json(model={"vocab": {"[UNK]": False}})},
        "an integer as its id",
    ),
    "a long kind of model": (
        {"tokenizer": tokenizer_json(model={"vocab": {"[UNK]": 0}, "type": LONG})},
        "the file holds a model of type 'xxx",
    ),
    "deep": ({"tokenizer": '{"a":' * 5000}, "tokenizer.json is not a JSON file"),
    "less deep": ({"tokenizer": '{"a":' * 500 + "1" + "}" * 500}, "nested more than 100 deep"),
    "a million empty lines": ({"vocab": "[UNK]" + "\n" * 10**6 + "low"}, "vocab.txt: line 2 is empty"),
    "a long line twice": ({"vocab": f"[UNK]\n{LONG}\n{LONG}"}, "line 3 repeats line 2, 'xxx"),
    "a vocabulary without an end": ({"vocab": "x" * (16 * 2**20 + 1)}, "too large for a vocabulary"),
}


@pytest.mark.parametrize("name", BAD)
def test_files_are_refused_by_name(name, tmp_path):
    files, message = BAD[name]
    with pytest.raises((InvalidFileError, ValueError), match=message) as error:
        LxmertTokenizer.from_pretrained(write(tmp_path, **files))
    assert str(tmp_path) in str(error.value)
    assert len(str(error.value)) < 700


def added_one_by_one(backend, tokens):
    for token in tokens:
        (backend.add_special_tokens if token.special else backend.add_tokens)([token])


def test_twenty_thousand_added_tokens_are_added_at_once(tmp_path):
    count = 20_000
    entries = [{"id": SIZE + i, "content": f"<{i}>", "special": i % 2 == 0} for i in range(count)]
    tokenizer = LxmertTokenizer.from_pretrained(write(tmp_path, **with_added(*entries)))
    assert len(tokenizer) == SIZE + count
    assert tokenizer.tokenize("low <7><19999>") == ["low", "<7>", "<19999>"]
    few = LxmertTokenizer.from_pretrained(write(tmp_path, **with_added(*entries[:5])))
    backend = LxmertTokenizer({word: number for number, word in enumerate(WORDS)})._backend
    added_one_by_one(backend, [AddedToken(f"<{i}>", special=i % 2 == 0) for i in range(5)])
    ours, theirs = few.added_tokens_decoder, backend.get_added_tokens_decoder()
    assert {n: (t.content, t.special) for n, t in ours.items()} == {
        n: (t.content, t.special) for n, t in theirs.items()
    }


def test_many_words_are_never_split(tmp_path):
    words = [f"word-{i}" for i in range(20_000)]
    files = {"vocab": "\n".join(WORDS + words), "tokenizer_config": {"never_split": words + ["low"] * 50_000}}
    tokenizer = LxmertTokenizer.from_pretrained(write(tmp_path, **files))
    assert tokenizer.tokenize("word-7, low") == ["word-7", "[UNK]", "low"]
    tokenizer.do_lower_case = False  # made anew
    assert tokenizer.tokenize("word-19999") == ["word-19999"]


# Texts


@pytest.fixture(scope="module")
def tokenizer():
    return LxmertTokenizer({word: number for number, word in enumerate(WORDS)})


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((" " * 10**8,), {}),
        ((["low", " " * 10**6 + "low?"],), {}),
        (("low", "x" * LONGEST_TEXT), {}),
        (([("low", "x" * LONGEST_TEXT)],), {}),
        (([["low"] * 10**6],), {"is_split_into_words": True}),
        (([[""] * 10**6],), {"is_split_into_words": True}),
    ],
)
def test_a_text_of_no_question_is_refused(tokenizer, arguments, options):
    with pytest.raises(ValueError, match=r"^a text must have at most 100,000 characters; text [01] has [14]"):
        tokenizer(*arguments, truncation=True, max_length=20, **options)


@pytest.mark.parametrize("text", ["\ufdfa", "\u1f82", "e\u0301\u0323", "中", ".", "\0", "[MASK]", " ", "low "])
def test_the_longest_text_is_read(tokenizer, text):
    row = tokenizer(text * (LONGEST_TEXT // len(text)), truncation=True, max_length=20)["input_ids"]
    assert len(row) <= 20
    assert row == tokenizer(text * 100, truncation=True, max_length=20)["input_ids"][: len(row)]


def test_lengths_that_no_row_has(tokenizer):
    """Those of a file cut nothing, and nothing is padded to them."""
    tokenizer = LxmertTokenizer({word: number for number, word in enumerate(WORDS)}, model_max_length=10**25)
    assert tokenizer("low low", truncation=True) == tokenizer("low low")
    assert tokenizer("low", truncation=True, max_length=10**30) == tokenizer("low")
    for options in ({}, {"max_length": 10**30}):
        with pytest.raises(ValueError, match=r'padding="max_length" needs a length; got max_length='):
            tokenizer("low", padding="max_length", **options)
