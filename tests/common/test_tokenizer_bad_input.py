"""Wrong vocabularies, folders and arguments of the tokenizer, each with its message."""

import json

import numpy as np
import pytest

from lxmert.common.tokenizer import BatchEncoding, LxmertTokenizer, LxmertTokenizerFast


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (None, FileNotFoundError, "expected a vocabulary at .*; there is no file"),
        (b"", ValueError, "expected a vocabulary; the file is empty"),
        (b"\n \n", ValueError, "expected a vocabulary; the file is empty"),
        (b"[UNK]\n\nlow\n", ValueError, "line 2 is empty"),
        (b"[UNK]\nlow\nun\nlow\n", ValueError, "line 4 repeats line 2, 'low'"),
        (b"[UNK]\n\xff\xfe\n", ValueError, "is not a text in UTF-8"),
        (b"[CLS]\nlow\n", ValueError, r"must contain unk_token '\[UNK\]'; its 2 entries do not"),
    ],
)
@pytest.mark.parametrize("cls", [LxmertTokenizer, LxmertTokenizerFast])
def test_wrong_vocabularies(tmp_path, cls, content, error, message):
    path = tmp_path / "vocab.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=message):
        cls(path)


GOOD_MODEL = {"type": "WordPiece", "unk_token": "[UNK]", "vocab": {"[UNK]": 0, "low": 1}}
GOOD_JSON = {
    "normalizer": {"type": "BertNormalizer", "lowercase": True},
    "pre_tokenizer": {"type": "BertPreTokenizer"},
    "model": GOOD_MODEL,
}


@pytest.mark.parametrize(
    ("files", "error", "message"),
    [
        ({"tokenizer.json": GOOD_JSON}, None, ""),
        ({"tokenizer.json": GOOD_JSON | {"normalizer": None}}, None, ""),
        ({"tokenizer.json": GOOD_JSON, "tokenizer_config.json": {"unknown": 1, "tokenizer_class": "X"}}, None, ""),
        ({}, FileNotFoundError, "must hold vocab.txt or tokenizer.json; it holds nothing"),
        ({"config.json": {}}, FileNotFoundError, "it holds config.json"),
        ({"tokenizer.json": ""}, ValueError, "tokenizer.json: expected a JSON file; the file is empty"),
        ({"tokenizer.json": "{"}, ValueError, "tokenizer.json is not a JSON file"),
        ({"tokenizer.json": []}, ValueError, "must hold a JSON object"),
        ({"tokenizer.json": {}}, ValueError, "expected a WordPiece tokenizer; the file holds no model"),
        (
            {"tokenizer.json": GOOD_JSON | {"model": GOOD_MODEL | {"type": "BPE"}}},
            ValueError,
            "expected a WordPiece tokenizer; the file holds a model of type 'BPE'",
        ),
        ({"tokenizer.json": GOOD_JSON | {"model": GOOD_MODEL | {"vocab": {}}}}, ValueError, "expected a WordPiece"),
        (
            {"tokenizer.json": GOOD_JSON | {"model": GOOD_MODEL | {"vocab": {"[UNK]": "0"}}}},
            ValueError,
            "must have an integer as its id",
        ),
        (
            {"tokenizer.json": GOOD_JSON | {"model": GOOD_MODEL | {"vocab": {"[UNK]": 0, "low": 2}}}},
            ValueError,
            "ids of the vocabulary must be 0 to 1",
        ),
        (
            {"tokenizer.json": GOOD_JSON | {"normalizer": {"type": "NFC"}}},
            ValueError,
            "expected BertNormalizer and BertPreTokenizer; the file has 'NFC' and 'BertPreTokenizer'",
        ),
        ({"tokenizer.json": GOOD_JSON | {"added_tokens": [{"id": 2}]}}, ValueError, "must have an id and a content"),
        (
            {"tokenizer.json": GOOD_JSON | {"added_tokens": [{"id": 9, "content": "<o>"}]}},
            ValueError,
            "the added token '<o>' must have id 2, the next free one after a vocabulary of 2; the file has 9",
        ),
        (
            {"tokenizer.json": GOOD_JSON, "tokenizer_config.json": "no"},
            ValueError,
            "tokenizer_config.json is not a JSON file",
        ),
        (
            {"tokenizer.json": GOOD_JSON, "tokenizer_config.json": {"do_lower_case": "yes"}},
            ValueError,
            "tokenizer_config.json .*: do_lower_case must be True or False; got 'yes'",
        ),
        (
            {"tokenizer.json": GOOD_JSON, "tokenizer_config.json": {"unk_token": "<unk>"}},
            ValueError,
            "must contain unk_token '<unk>'",
        ),
    ],
)
def test_folders(tmp_path, files, error, message):
    for name, content in files.items():
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    if error is None:
        assert LxmertTokenizer.from_pretrained(tmp_path).tokenize("low") == ["low"]
    else:
        with pytest.raises(error, match=message):
            LxmertTokenizer.from_pretrained(tmp_path)


def test_no_such_folder(tmp_path):
    with pytest.raises(
        FileNotFoundError,
        match=r"^there is no file or folder '.*nowhere'; pass a folder with vocab\.txt or tokenizer\.json",
    ):
        LxmertTokenizer.from_pretrained(tmp_path / "nowhere")


# Wrong arguments


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"never_split": None}, None, ""),
        ({"never_split": ("Foo",)}, None, ""),
        ({"do_basic_tokenize": False, "strip_accents": False}, None, ""),
        ({"do_basic_tokenize": False, "never_split": ["no such word"]}, None, ""),
        (
            {"do_lowercase": True},
            TypeError,
            "LxmertTokenizer: unexpected keyword 'do_lowercase'. Did you mean 'do_lower_",
        ),
        ({"do_lower_case": 1}, TypeError, "do_lower_case must be True or False; got 1"),
        ({"strip_accents": "no"}, TypeError, "strip_accents must be True, False or None; got 'no'"),
        ({"pad_token": None}, TypeError, "pad_token must be a str of 1 to 200 characters; got None"),
        ({"cls_token": ""}, TypeError, "cls_token must be a str of 1 to 200 characters; got ''"),
        ({"never_split": "Foo"}, TypeError, "never_split must be a list of str or None; got 'Foo'"),
        ({"never_split": [1]}, TypeError, r"never_split must be a list of words, each .*, or None; got \(1,\)"),
        ({"never_split": ["Bar"]}, ValueError, "never_split words must be in the vocabulary; 'Bar' is not"),
        ({"do_basic_tokenize": False, "strip_accents": True}, ValueError, "strip_accents is part of the basic token"),
        ({"padding_side": "middle"}, TypeError, 'padding_side must be "right" or "left"; got \'middle\''),
        ({"model_max_length": 0}, TypeError, "model_max_length must be an integer of 1 or more; got 0"),
        ({"extra_special_tokens": "<a>"}, TypeError, "extra_special_tokens must be a list of str or None; got '<a>'"),
        ({"extra_special_tokens": {"a": "<a>"}}, TypeError, r"got .*Pass extra_special_tokens=\[...\]"),
        ({"additional_special_tokens": [3]}, TypeError, r"extra_special_tokens must be a list of words.*got \(3,\)"),
        ({"bos_token": 3}, TypeError, "bos_token must be a str of 1 to 200 characters, or None; got 3"),
        ({"split_special_token": True}, TypeError, "Did you mean 'split_special_tokens'"),
        ({"vocab": {"a": 0}}, ValueError, "needs one of vocab_file .*; got vocab_file and vocab"),
    ],
)
def test_constructor_arguments(cased_file, options, error, message):
    if error is None:
        assert LxmertTokenizer(cased_file, **options).tokenize("low") == ["low"]
    else:
        with pytest.raises(error, match=message):
            LxmertTokenizer(cased_file, **options)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (("a", "b"), {}, None, ""),
        ((("a", "b"),), {}, None, ""),
        (([("a", "b")],), {}, None, ""),
        (("a",), {"padding": "do_not_pad", "truncation": "do_not_truncate"}, None, ""),
        (("a",), {"max_length": np.int64(4)}, None, ""),
        ((["a", "b c"],), {"padding": True, "return_tensors": "np"}, None, ""),
        ((None,), {}, TypeError, "text must be a str or a list of str; got None"),
        ((7,), {}, TypeError, "text must be a str or a list of str; got int 7"),
        ((b"a",), {}, TypeError, "got bytes b'a'. Decode it first"),
        ((np.array(["a"]),), {}, TypeError, r"got ndarray .*Pass list\(text\)"),
        ((["a", None],), {}, TypeError, r"text\[1\] is None"),
        ((["a", ("b", "c")],), {}, TypeError, r"text\[1\] is tuple"),
        (([("a", "b", "c")],), {}, TypeError, r"text\[0\] must be a str, or a pair of str; got \('a', 'b', 'c'\)"),
        (("a", ["b"]), {}, TypeError, "text_pair must be a str as text is; got list"),
        ((["a"], "b"), {}, TypeError, "text_pair must be a list of str as text is; got str 'b'"),
        ((["a"], [3]), {}, TypeError, r"text_pair\[0\] is int 3"),
        ((["a"], ["b", "c"]), {}, ValueError, "text_pair must have one text for each of text; got 1 and 2"),
        (("a \ud800",), {}, ValueError, "text must be valid Unicode; one text has a lone surrogate"),
        (("a",), {"paddin": True}, TypeError, "unexpected keyword 'paddin'. Did you mean 'padding'"),
        (("a",), {"return_tensor": "pt"}, TypeError, "Did you mean 'return_tensors'"),
        (("a",), {"padding": "max"}, ValueError, "padding must be one of .*'max_length'; got 'max'"),
        (("a",), {"padding": 1}, ValueError, "padding must be one of .*; got 1"),
        (("a",), {"truncation": "longest"}, ValueError, "truncation must be one of .*; got 'longest'"),
        (
            ("a",),
            {"return_tensors": "torch"},
            ValueError,
            'return_tensors must be "np", "pt", "tf" or None; got \'torch\'',
        ),
        (
            ("a",),
            {"padding": True, "padding_side": "middle"},
            ValueError,
            'padding_side must be "right", "left" or None',
        ),
        (("a",), {"stride": -1}, ValueError, "stride must be an integer of 0 or more"),
        (("a",), {"max_length": 4, "stride": 2}, ValueError, "and below the 2 tokens of text in a row; got 2"),
        (("a b c d", "e"), {"max_length": 6, "stride": 2}, ValueError, "stride must be below the number of tokens"),
        ((["a", "b"],), {"is_split_into_words": True}, None, ""),
        (([["a"], "b"],), {"is_split_into_words": True}, TypeError, r"text\[1\] is str 'b'"),
        (
            (["a"], "b"),
            {"is_split_into_words": True},
            TypeError,
            "text_pair must be a list of words as text is; got str",
        ),
        ((), {}, TypeError, "text must be a str or a list of str; got None"),
        ((), {"text_target": 3}, TypeError, "text must be a str or a list of str; got int 3"),
        (("a",), {"max_length": 0}, ValueError, "max_length must be an integer of 1 or more, or None; got 0"),
        (("a",), {"max_length": 4.0}, ValueError, "max_length must be an integer"),
        (("a",), {"max_length": True}, ValueError, "max_length must be an integer"),
        (("a",), {"max_length": 1}, ValueError, "must leave room for the 2 special tokens; got 1"),
        (("a", "b"), {"max_length": 2}, ValueError, "must leave room for the 3 special tokens; got 2"),
        (("a",), {"padding": "max_length"}, ValueError, 'padding="max_length" needs a length; got max_length=None'),
        (("a",), {"pad_to_multiple_of": 8}, ValueError, "pad_to_multiple_of=8 needs padding; got padding=False"),
        (
            ("a",),
            {"padding": True, "pad_to_multiple_of": 0},
            ValueError,
            "pad_to_multiple_of must be an integer of 1",
        ),
        (
            ("a",),
            {"padding": True, "truncation": True, "max_length": 9, "pad_to_multiple_of": 8},
            ValueError,
            "max_length must be a multiple of pad_to_multiple_of when rows are truncated and padded; got 9 and 8",
        ),
        (
            (["a", "b c"],),
            {"return_tensors": "np"},
            ValueError,
            "needs rows of one length; input_ids has rows of 3 to 4 values. Pass padding=True",
        ),
        ((["a", "b c d"],), {"return_tensors": "pt"}, ValueError, "rows of 3 to 5 values. Pass padding=True, and"),
        (
            (["a", "b c d"],),
            {"return_tensors": "np", "padding": "max_length", "max_length": 4},
            ValueError,
            "and truncation=True with a max_length",
        ),
        (
            ("a", "b c d"),
            {"truncation": "only_first", "max_length": 4},
            ValueError,
            'truncation="only_first" must be able',
        ),
        (
            ("a b c",),
            {"truncation": "only_second", "max_length": 4},
            ValueError,
            'truncation="only_second" must be able',
        ),
    ],
)
def test_call_arguments(ours, arguments, options, error, message):
    if error is None:
        assert "input_ids" in ours(*arguments, **options)
    else:
        with pytest.raises(error, match=message):
            ours(*arguments, **options)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda t: t.decode([5, -100]), ValueError, "ids must be 0 to 30521, the ids of the vocabulary; got -100"),
        (lambda t: t.decode([30522]), ValueError, "got 30522"),
        (lambda t: t.decode([[1, 2], [30522]]), ValueError, "got 30522"),
        (lambda t: t.decode(np.ones((2, 3, 1), dtype=int)), ValueError, "several rows. Pass them one by one"),
        (lambda t: t.convert_ids_to_tokens([[1, 2], [3]]), ValueError, "ids must be one row of ids"),
        (lambda t: t.decode([0.5]), TypeError, "ids must be integers; got list"),
        (lambda t: t.decode("man"), TypeError, "ids must be integers; got str 'man'. Convert tokens with"),
        (lambda t: t.convert_ids_to_tokens([True]), TypeError, "integers"),
        (lambda t: t.decode([1], skip_special=True), TypeError, "Did you mean 'skip_special_tokens'"),
        (lambda t: t.tokenize(["a"]), TypeError, "text must be a str; got list. Call tokenize once for each text"),
        (lambda t: t.tokenize("a", is_split_into_words=True), TypeError, "must be a list of words .*pass text.split"),
        (lambda t: t.encode("a", paddin=True), TypeError, "Did you mean 'padding'"),
        (lambda t: t.add_tokens(["a", 3]), TypeError, "new_tokens must be str or AddedToken; got 3"),
        (lambda t: t.add_special_tokens({"pad": "a"}), TypeError, "Did you mean 'pad_token'"),
        (lambda t: t.add_special_tokens({"pad_token": 3}), TypeError, "pad_token must be a str"),
        (lambda t: t.add_special_tokens({"extra_special_tokens": "<a>"}), TypeError, "must be a list of str or None"),
        (
            lambda t: t.add_special_tokens({"unk_token": "<u>"}),
            ValueError,
            "unk_token must be a word of the vocabulary",
        ),
        (lambda t: t.pad(3), TypeError, "encoded_inputs must be an encoding or a list of them; got int"),
        (lambda t: t.pad([]), TypeError, "got list"),
        (lambda t: t.pad({"labels": [1]}), ValueError, "encodings must have input_ids; got labels"),
        (
            lambda t: t.pad([{"input_ids": [1], "labels": 1}, {"input_ids": [1]}]),
            ValueError,
            "encodings must have the same entries; number 1 has no labels",
        ),
        (
            lambda t: t.pad({"input_ids": [[1], [2]], "labels": [1]}),
            ValueError,
            "labels must have a value for each of the 2 rows; got 1",
        ),
        (
            lambda t: t.pad({"input_ids": [[1, 2]], "attention_mask": [[1]]}),
            ValueError,
            r"attention_mask must have as many values in a row as input_ids, \[2\]; got \[1\]",
        ),
        (
            lambda t: t.pad(
                [{"input_ids": [1], "labels": [1]}, {"input_ids": [1], "labels": [1, 2]}], return_tensors="pt"
            ),
            ValueError,
            "labels has rows of 1 to 2 values. Pad it before, or leave it out",
        ),
        (lambda t: t.pad({"input_ids": [1]}, padding="max_length"), ValueError, 'padding="max_length" needs a length'),
        (lambda t: t.pad({"input_ids": [1]}, paddin=True), TypeError, "Did you mean 'padding'"),
        (lambda t: BatchEncoding({"a": [1]}).tokens(), ValueError, "need the encodings of a tokenizer's call"),
        (lambda t: BatchEncoding({"a": [1]})[0], KeyError, "entries have names: a"),
        (
            lambda t: BatchEncoding({"a": ["b"]}, tensor_type="pt"),
            ValueError,
            "needs numbers; 'a' holds <U1. Leave that",
        ),
        (lambda t: t.convert_tokens_to_ids([3]), TypeError, "tokens must be a str or several; got int 3"),
    ],
)
def test_other_calls(ours, call, error, message):
    with pytest.raises(error, match=message):
        call(ours)
