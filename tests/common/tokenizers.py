"""Vocabularies and texts of the tokenizer's tests, and the comparison with `transformers`."""

# The corpus is made of letters that look like others.
# ruff: noqa: RUF001

from pathlib import Path

TINY = ["[UNK]", "[CLS]", "[SEP]", "want", "##want", "##ed", "wa", "un", "runn", "##ing", ",", "low", "lowest"]
CASED = [*TINY, "[PAD]", "[MASK]", "Foo", "foo", "##o", "f", "été", "ete", "it", "'", "s", "##,", "中", "##文", "文"]

CORPUS = [
    "What is the man wearing on his head?",
    "",
    " ",
    " \t\n\r  ",
    "Ünïcödé ÉTÉ naïve Ångström Straße İstanbul ǅ ﬁ",
    "cafe\u0301 e\u0302\u0323 n\u0303o \u0301alone a\u0300\u0301\u0302\u0303",
    "这是什么？东京タワー 漢字かな交じり文 \U00020000\U0002f800 한국어 각",
    "emoji 😀 \U0001f469\u200d\U0001f469\u200d\U0001f467 🇫🇷 ✊🏽 \u2764\ufe0f",
    "control\x00\x01\x07\x1f\x7f\x85\ufffd\u200b\u200e\u2060\ufeffchars\u00ad",
    "spaces\u00a0\u2003\u3000\u2028\u2029\u202fbetween",
    "w" * 100,
    "w" * 101,
    "x" * 10_000,
    "ab " * 3000,
    "שלום עולם مرحبا بالعالم ﷺ ١٢٣",
    "literal [MASK] and [SEP] [CLS][PAD] [UNK] [mask] x[MASK]y [MASK].",
    "don't it's we've they're I'm 'quoted' rock'n'roll",
    "C++ C# a_b-c/d\\e @home #tag $5.00 50% a^b `q` {x} ~!…—–«»¿¡§",
    "हिन्दी தமிழ் ไทย ქართული",
    "𝕳𝖊𝖑𝖑𝖔 ℌ ½ ² ™ ﬀ Ⅳ",
    "MiXeD CaSe UNwantéd,running",
    "un##want ##ed ##",
    "low\u0307 \u0130 \u0131 ß ẞ ς Σ",
    "\U0010ffff\ue000 private",
]
# Every kind of padding and truncation, with lengths around those of the corpus.
LENGTH_ARGUMENTS = [
    {},
    {"max_length": 7},
    {"padding": True},
    {"padding": "longest", "pad_to_multiple_of": 8},
    {"padding": "max_length", "max_length": 20},
    {"padding": "max_length", "max_length": 20, "truncation": True},
    {"padding": "max_length", "max_length": 16, "truncation": "longest_first", "pad_to_multiple_of": 8},
    {"truncation": True, "max_length": 3},
    {"truncation": True, "max_length": 4, "padding": True},
    {"truncation": "longest_first", "max_length": 11},
    {"truncation": "longest_first", "max_length": 512},
    {"truncation": False, "max_length": 5},
    {"truncation": True},
    {"add_special_tokens": False, "truncation": True, "max_length": 5, "padding": True},
    {"add_special_tokens": False},
]
EXTRA_ROWS = {"return_special_tokens_mask": True, "return_offsets_mapping": True, "return_length": True}


def write_vocab(path, tokens) -> Path:
    path.write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")
    return path


def hugging_face(vocab_file, **options):
    from transformers import BertTokenizerFast

    tokens = vocab_file.read_text(encoding="utf-8").split("\n")[:-1]
    return BertTokenizerFast(vocab={token: number for number, token in enumerate(tokens)}, **options)


def same(ours, theirs, *arguments, **options):
    mine, other = ours(*arguments, **options), theirs(*arguments, **options)
    assert list(mine) == list(other)
    assert dict(mine) == dict(other)
    return mine


# Equal to transformers
