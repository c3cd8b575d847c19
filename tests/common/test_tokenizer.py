"""The tokenizer against `transformers`, its options, and what it returns."""

import builtins
import copy
import importlib.util
import itertools
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lxmert.common.tokenizer import BatchEncoding, LxmertTokenizer, LxmertTokenizerFast
from tests.common.tokenizers import CORPUS, EXTRA_ROWS, LENGTH_ARGUMENTS, hugging_face, same, write_vocab


def test_reference_sees_the_whole_vocabulary(ours, theirs):
    assert len(theirs) == len(ours) == ours.vocab_size == 30522
    assert theirs.get_vocab() == ours.get_vocab() == ours.vocab
    assert same(ours, theirs, "a man")["input_ids"] == [101, 1037, 2158, 102]


@pytest.mark.parametrize("options", LENGTH_ARGUMENTS, ids=str)
def test_batches_equal_transformers(ours, theirs, options):
    same(ours, theirs, CORPUS, **options, **EXTRA_ROWS)
    for text in CORPUS:
        same(ours, theirs, text, **options, **EXTRA_ROWS)


@pytest.mark.parametrize("options", LENGTH_ARGUMENTS, ids=str)
def test_pairs_equal_transformers(ours, theirs, options):
    # The texts of 3000 words stay out of the product; each text meets each of a few.
    first, second = zip(*itertools.product([t for t in CORPUS if len(t) < 5000], CORPUS[:6]), strict=True)
    same(ours, theirs, list(first), list(second), **options, **EXTRA_ROWS)
    same(ours, theirs, list(zip(first, second, strict=True)), **options)
    for text, pair in zip(first[::7], second[::7], strict=True):
        same(ours, theirs, text, pair, **options, **EXTRA_ROWS)


@pytest.mark.parametrize(
    ("cut", "pair"), [("only_first", ("a b c d e f g", "x y")), ("only_second", ("a", "u v w x y z"))]
)
def test_cutting_one_side_equals_transformers(ours, theirs, cut, pair):
    for length in range(7, 13):
        same(ours, theirs, *pair, truncation=cut, max_length=length)
    same(ours, theirs, pair[0], truncation="only_first", max_length=3)


@pytest.mark.parametrize("side", ["padding_side", "truncation_side"])
def test_left_side_equals_transformers(vocab_file, side):
    mine, other = LxmertTokenizer(vocab_file), hugging_face(vocab_file, **{side: "left"})
    assert getattr(mine, side) == "right"
    setattr(mine, side, "left")
    same(mine, other, CORPUS, padding=True, truncation=True, max_length=9)


@pytest.mark.parametrize("lower", [True, False])
@pytest.mark.parametrize("accents", [True, False, None])
@pytest.mark.parametrize("chinese", [True, False])
def test_options_equal_transformers(vocab_file, lower, accents, chinese):
    options = {"do_lower_case": lower, "strip_accents": accents, "tokenize_chinese_chars": chinese}
    other = hugging_face(vocab_file, **options)
    for cls in (LxmertTokenizer, LxmertTokenizerFast):
        same(cls(vocab_file, **options), other, CORPUS, CORPUS[::-1])


def test_options_matter(cased_file):
    """So that the comparison above cannot pass with an option that does nothing."""

    def tokens(text, cls=LxmertTokenizer, **options):
        return cls(cased_file, **options).tokenize(text)

    assert (tokens("Foo"), tokens("Foo", do_lower_case=False)) == (["foo"], ["Foo"])
    assert (tokens("été"), tokens("été", strip_accents=False)) == (["ete"], ["été"])
    assert (tokens("été", do_lower_case=False), tokens("été", do_lower_case=False, strip_accents=True)) == (
        ["été"],
        ["ete"],
    )
    assert (tokens("中文"), tokens("中文", tokenize_chinese_chars=False)) == (["中", "文"], ["中", "##文"])
    fast = LxmertTokenizerFast
    assert (tokens("f\x07oo", fast), tokens("f\x07oo", fast, clean_text=False)) == (["foo"], ["[UNK]"])
    assert tokens("unwanted", fast, wordpieces_prefix="@") == ["[UNK]"]


def test_special_token_names_matter(tmp_path):
    names = {"unk_token": "<u>", "sep_token": "<s>", "pad_token": "<p>", "cls_token": "<c>", "mask_token": "<m>"}
    path = write_vocab(tmp_path / "vocab.txt", ["<p>", "<c>", "<s>", "<u>", "<m>", "low"])
    for cls in (LxmertTokenizer, LxmertTokenizerFast):
        tokenizer = cls(path, **names)
        encoding = tokenizer(["low <m>", "zzz"], padding="max_length", max_length=5)
        assert encoding.input_ids == [[1, 5, 4, 2, 0], [1, 3, 2, 0, 0]]
        same(tokenizer, hugging_face(path, **names), ["low <m>", "zzz [SEP]"], padding=True)
        assert tokenizer.special_tokens_map == names


def test_small_vocabulary_as_in_transformers(tiny_file):
    mine, other = LxmertTokenizer(tiny_file), hugging_face(tiny_file)
    assert mine.tokenize("UNwant\u00e9d,running") == ["un", "##want", "##ed", ",", "runn", "##ing"]
    assert mine.encode("UNwant\u00e9d,running", add_special_tokens=False) == [7, 4, 5, 10, 8, 9]
    # [PAD] and [MASK], which it lacks, continue the ids.
    assert (mine.pad_token_id, mine.mask_token_id, mine.vocab_size, len(mine)) == (13, 14, 13, 15)
    assert (len(other), other.pad_token_id, other.mask_token_id) == (15, 13, 14)
    same(mine, other, ["low [MASK] [PAD]", "lowest"], padding=True)


def test_special_tokens_as_in_transformers(ours, theirs):
    for name in ("unk", "sep", "pad", "cls", "mask"):
        assert getattr(ours, f"{name}_token") == getattr(theirs, f"{name}_token")
        assert getattr(ours, f"{name}_token_id") == getattr(theirs, f"{name}_token_id")
    assert ours.all_special_tokens == theirs.all_special_tokens
    assert ours.all_special_ids == theirs.all_special_ids == [100, 102, 0, 101, 103]
    assert ours.model_max_length == theirs.model_max_length
    assert (ours.is_fast, ours.padding_side) == (theirs.is_fast, theirs.padding_side) == (True, "right")
    assert list(ours.model_input_names) == theirs.model_input_names


# Ids back to text


@pytest.mark.parametrize("skip", [True, False])
@pytest.mark.parametrize("clean", [True, False])
def test_decoding_equals_transformers(ours, theirs, skip, clean):
    rows = theirs(CORPUS, CORPUS[::-1])["input_ids"]
    options = {"skip_special_tokens": skip, "clean_up_tokenization_spaces": clean}
    assert ours.batch_decode(rows, **options) == theirs.batch_decode(rows, **options)
    assert ours.decode(rows[0], **options) == theirs.decode(rows[0], **options)


def test_clean_up_setting(vocab_file):
    row = LxmertTokenizer(vocab_file).encode("It's so, isn't it?", add_special_tokens=False)
    assert LxmertTokenizer(vocab_file).decode(row) == "it's so, isn't it?"
    other = LxmertTokenizer(vocab_file, clean_up_tokenization_spaces=False)
    assert other.decode(row) == LxmertTokenizerFast(vocab_file).decode(row) == "it ' s so, isn ' t it?"


@pytest.mark.parametrize("form", [list, tuple, np.array, lambda row: np.array(row, dtype=np.int32), "pt", "tf"])
def test_decode_takes_arrays_and_tensors(ours, form):
    row = [101, 1037, 2158, 102]
    if form in ("pt", "tf"):
        importlib.import_module({"pt": "torch", "tf": "tensorflow"}[form])
        ids = ours(["a man"], return_tensors=form).input_ids
        assert ours.batch_decode(ids) == ["[CLS] a man [SEP]"]
        ids = ids[0]
    else:
        ids = form(row)
    assert ours.decode(ids) == "[CLS] a man [SEP]"
    assert ours.convert_ids_to_tokens(ids, skip_special_tokens=True) == ["a", "man"]


def test_tokens_and_ids(ours, theirs):
    assert ours.convert_tokens_to_ids("man") == theirs.convert_tokens_to_ids("man") == 2158
    assert ours.convert_tokens_to_ids(["man", "no such token"]) == [2158, 100]
    assert ours.convert_ids_to_tokens(2158) == ours.convert_ids_to_tokens(np.int64(2158)) == "man"
    assert ours.convert_ids_to_tokens([101, 2158]) == ["[CLS]", "man"]
    assert ours.decode(2158) == "man"
    assert ours.decode([]) == ""
    assert ours.convert_tokens_to_string(["un", "##want", "##ed", ","]) == "unwanted,"
    assert ours.tokenize("Unbelievable!", "Yes", add_special_tokens=True) == theirs.tokenize(
        "Unbelievable!", "Yes", add_special_tokens=True
    )
    for text in CORPUS:
        assert ours.tokenize(text) == theirs.tokenize(text)
        assert ours.encode(text) == theirs.encode(text)


def test_special_layout_matches_the_call(ours):
    first, second = [ours.encode(text, add_special_tokens=False) for text in ("a red bus", "where")]
    for pair in (False, True):
        arguments = (first, second) if pair else (first,)
        encoding = ours("a red bus", "where" if pair else None, return_special_tokens_mask=True)
        assert ours.build_inputs_with_special_tokens(*arguments) == encoding.input_ids
        assert ours.create_token_type_ids_from_sequences(*arguments) == encoding.token_type_ids
        assert ours.get_special_tokens_mask(*arguments) == encoding.special_tokens_mask
        assert ours.get_special_tokens_mask(encoding.input_ids, already_has_special_tokens=True) == (
            encoding.special_tokens_mask
        )
        assert ours.num_special_tokens_to_add(pair) == sum(encoding.special_tokens_mask)
    with pytest.raises(ValueError, match="takes one finished row; got token_ids_1 as well"):
        ours.get_special_tokens_mask(first, second, already_has_special_tokens=True)


# Arrays and tensors


@pytest.mark.parametrize("kind", ["np", "pt", "tf"])
def test_tensors(ours, kind):
    module = importlib.import_module({"np": "numpy", "pt": "torch", "tf": "tensorflow"}[kind])
    texts = ["a man", "what is it?"]
    rows = ours(texts, padding=True, **EXTRA_ROWS)
    arrays = ours(texts, padding=True, return_tensors=kind, **EXTRA_ROWS)
    assert list(arrays) == list(rows)
    for name, array in arrays.items():
        assert array.dtype == (module.int32 if kind == "tf" else module.int64)
        np.testing.assert_array_equal(np.asarray(array), np.asarray(rows[name]))
    assert ours("a man", return_tensors=kind)["input_ids"].shape == (1, 4)
    assert ours([], return_tensors=kind)["input_ids"].shape == (0, 0)


def test_no_texts(ours):
    assert ours([]) == {"input_ids": [], "token_type_ids": [], "attention_mask": []}


@pytest.mark.parametrize(
    ("kind", "hidden", "message"),
    [
        ("pt", "torch", r'return_tensors="pt" needs PyTorch. Install it with: pip install "lxmert\[pt\]".'),
        ("tf", "tensorflow", r'return_tensors="tf" needs TensorFlow. Install it with: pip install "lxmert\[tf\]".'),
    ],
)
def test_missing_framework(ours, monkeypatch, kind, hidden, message):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name == hidden:
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=message):
        ours("a man", return_tensors=kind)


def test_import_is_framework_free():
    code = (
        "import sys; from lxmert.common.tokenizer import LxmertTokenizer; "
        "print(sorted({'torch', 'keras', 'tensorflow', 'transformers', 'h5py'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_batch_encoding(ours):
    torch = importlib.import_module("torch")
    encoding = ours("a man", return_tensors="pt")
    assert isinstance(encoding, dict)
    assert encoding.input_ids is encoding["input_ids"]
    assert encoding.to("cpu").input_ids.device == torch.device("cpu")
    assert pickle.loads(pickle.dumps(ours("a man"))) == ours("a man")
    assert isinstance(copy.deepcopy(ours("a man")), BatchEncoding)
    with pytest.raises(AttributeError, match="no 'inputs'; it has input_ids, token_type_ids"):
        encoding.inputs  # noqa: B018
    # As in transformers, what is no tensor stays, and a dtype changes nothing.
    assert ours("a man").to("cpu") == ours("a man")
    with pytest.warns(UserWarning, match=r"moves to a device, and ids stay integers; torch.float16 changes nothing"):
        assert encoding.to(torch.float16).input_ids.dtype == torch.int64


def test_rows_can_be_left_out(ours):
    assert list(ours("a", return_token_type_ids=False, return_attention_mask=False)) == ["input_ids"]


# Options that transformers 5 ignores


def test_without_basic_tokenize(cased_file):
    tokenizer = LxmertTokenizer(cased_file, do_basic_tokenize=False)
    assert tokenizer.tokenize("Foo foo, it's  été\n中文 [MASK]") == [
        *("Foo", "foo", "##,", "[UNK]", "été", "中", "##文", "[MASK]"),
    ]
    assert LxmertTokenizer(cased_file).tokenize("Foo foo, it's") == ["foo", "foo", ",", "it", "'", "s"]


def test_never_split(cased_file):
    tokenizer = LxmertTokenizer(cased_file, never_split=["Foo", "été"])
    assert tokenizer.tokenize("Foo foo FOO (Foo), été Été Fooo") == [
        *("Foo", "foo", "foo", "[UNK]", "Foo", "[UNK]", ",", "été", "ete", "foo", "##o"),
    ]
    assert len(tokenizer) == len(LxmertTokenizer(cased_file))
    # As a word, it is not special.
    assert "Foo" not in tokenizer.all_special_tokens
    assert tokenizer.decode(tokenizer.encode("Foo"), skip_special_tokens=True) == "Foo"


# State


def test_calls_do_not_influence_each_other(ours, vocab_file):
    ours(CORPUS, padding="max_length", max_length=8, truncation=True)
    assert len(ours.tokenize(CORPUS[0])) == 9
    assert ours(CORPUS[0]) == LxmertTokenizer(vocab_file)(CORPUS[0])


def test_threads(ours):
    expected = {length: ours(CORPUS, padding="max_length", max_length=length, truncation=True) for length in (8, 20)}
    with ThreadPoolExecutor(2) as pool:
        for length, encoding in pool.map(
            lambda n: (n, ours(CORPUS, padding="max_length", max_length=n, truncation=True)), [8, 20] * 20
        ):
            assert encoding == expected[length]


def test_threads_that_change_a_tokenizer(tiny_file):
    tokenizer = LxmertTokenizer(tiny_file)
    size = len(tokenizer)

    def work(number):
        for step in range(50):
            if number % 2:
                tokenizer.add_tokens([f"new{number}x{step}"])
            else:
                tokenizer.do_lower_case = bool(step % 2)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert len(tokenizer) == size + 100


def test_numbers_of_numpy(tiny_file, tmp_path):
    tokenizer = LxmertTokenizer(tiny_file, model_max_length=np.int64(5))
    text = "low low low low low low"
    tokenizer.save_pretrained(tmp_path)
    assert len(LxmertTokenizer.from_pretrained(tmp_path)(text, truncation=True)["input_ids"]) == 5
    windows = dict(max_length=np.int32(4), truncation=True, stride=np.int64(1), return_overflowing_tokens=True)
    plain = dict(max_length=4, truncation=True, stride=1, return_overflowing_tokens=True)
    assert tokenizer(text, **windows) == tokenizer(text, **plain)
    assert tokenizer("low", add_special_tokens=0) == tokenizer("low", add_special_tokens=False)


def test_pickle_and_copy(tiny_file):
    tokenizer = LxmertTokenizer(tiny_file, do_lower_case=False)
    tokenizer.model_max_length = 4
    for other in (pickle.loads(pickle.dumps(tokenizer)), copy.deepcopy(tokenizer)):
        assert other("low UN low", truncation=True) == tokenizer("low UN low", truncation=True)
        assert len(other("low UN low", truncation=True).input_ids) == other.model_max_length == 4


def test_attributes_may_be_set(cased_file):
    """And are followed from the next call on, as if the tokenizer had been made with them."""
    texts = ["Foo été, it's 中文 low", "unwanted Foo [MASK]"]
    for name, value in (
        ("do_lower_case", False),
        ("strip_accents", False),
        ("tokenize_chinese_chars", False),
        ("never_split", ["Foo"]),
        ("do_basic_tokenize", False),
        ("cls_token", "low"),
        ("sep_token", "foo"),
        ("unk_token", "un"),
        ("extra_special_tokens", ["été"]),
        ("max_input_chars_per_word", 3),
    ):
        tokenizer, made = LxmertTokenizer(cased_file), LxmertTokenizer(cased_file, **{name: value})
        setattr(tokenizer, name, value)
        assert getattr(tokenizer, name) == getattr(made, name) == value
        assert tokenizer(texts) == made(texts)
        assert tokenizer.settings == made.settings
        ids, old = made(texts)["input_ids"], LxmertTokenizer(cased_file)
        assert (ids, made.decode(ids, True)) != (old(texts)["input_ids"], old.decode(ids, True)), name
    tokenizer.never_split = ["Foo"]
    tokenizer.never_split = None
    assert tokenizer.tokenize("Foo") == ["foo"], "a word is not kept from an earlier setting"
    tokenizer.add_tokens(["<new>"])
    tokenizer.never_split = ["<new>"]
    tokenizer.never_split = []
    assert tokenizer.tokenize("low<new>") == ["low", "<new>"], "an added token stays"
    with pytest.warns(
        UserWarning, match="no setting 'pading_side'; the attribute has no effect. Did you mean 'padding_"
    ):
        tokenizer.pading_side = "left"
    tokenizer.purpose = "anything else is the user's"
    tokenizer.bos_token_id = tokenizer.convert_tokens_to_ids("low")
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.eos_token_id) == ("low", None, None)


@pytest.mark.parametrize(
    ("name", "value", "error", "message"),
    [
        ("padding_side", "middle", TypeError, 'padding_side must be "right" or "left"; got \'middle\''),
        ("do_lower_case", "no", TypeError, "do_lower_case must be True or False; got 'no'"),
        (
            "pad_token",
            "x",
            ValueError,
            "a special token must be in the vocabulary; 'x' is not. Add it with add_special",
        ),
        ("additional_special_tokens", ["<x>"], ValueError, "a special token must be in the vocabulary; '<x>' is not"),
        ("pad_token", None, TypeError, "pad_token must be a str of 1 to 200 characters; got None"),
        ("pad_token_id", 99, ValueError, "ids must be 0 to 14"),
        ("never_split", ["x"], ValueError, "never_split words must be in the vocabulary; 'x' is not"),
    ],
)
def test_attributes_are_checked(tiny_file, name, value, error, message):
    tokenizer, other = LxmertTokenizer(tiny_file), LxmertTokenizer(tiny_file)
    with pytest.raises(error, match=message):
        setattr(tokenizer, name, value)
    assert tokenizer.settings == other.settings
    assert tokenizer.backend_tokenizer.to_str() == other.backend_tokenizer.to_str()


def test_what_a_tokenizer_shows(tiny_file):
    tokenizer = LxmertTokenizer(tiny_file)
    with pytest.raises(AttributeError, match="LxmertTokenizer has no 'word_token'"):
        tokenizer.word_token  # noqa: B018
    assert repr(tokenizer).startswith("LxmertTokenizer(vocab_size=13, do_lower_case=True, unk_token='[UNK]'")
    assert tokenizer


def test_long_text_is_logged_once(tiny_file, caplog):
    tokenizer = LxmertTokenizer(tiny_file)
    tokenizer.model_max_length = 3
    tokenizer("low", truncation=True)
    tokenizer("low low", max_length=4)
    assert not caplog.records
    tokenizer("low low", verbose=False)
    tokenizer("low low")
    tokenizer("low low low")
    assert [record.message for record in caplog.records] == [
        "a text has 4 tokens and the model takes 3 (model_max_length); pass truncation=True to cut it."
    ]


# Files
