"""Drawn texts and options: each call gives what `transformers` gives, in every entry and every place of the text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lxmert.common.tokenizer import LxmertTokenizerFast
from tests.common.tokenizers import CORPUS, hugging_face

TEXT = st.one_of(
    st.sampled_from([text for text in CORPUS if len(text) < 200]),
    st.text(max_size=20),
    st.lists(st.sampled_from(["playing", "cats", "[MASK]", "it's", "Ünïcödé", "中文", ",", "\u00a0"]), max_size=12).map(
        " ".join
    ),
)
WORDS = st.lists(
    st.one_of(st.sampled_from(["playing", "it's", "[SEP]", "中文", "", " "]), st.text(max_size=6)), max_size=6
)
SIDE = st.sampled_from(["left", "right"])
OPTIONS = st.fixed_dictionaries(
    {"padding": st.sampled_from([False, True, "max_length"]), "truncation": st.sampled_from([True, "longest_first"])},
    optional={
        "padding_side": SIDE,
        "add_special_tokens": st.booleans(),
        "return_overflowing_tokens": st.booleans(),
        "return_token_type_ids": st.booleans(),
        "return_attention_mask": st.booleans(),
        "return_offsets_mapping": st.booleans(),
        "return_special_tokens_mask": st.booleans(),
        "return_length": st.booleans(),
        "split_special_tokens": st.booleans(),
    },
)


@pytest.fixture(scope="module")
def fast(vocab_file):
    return LxmertTokenizerFast(vocab_file, model_max_length=64)


@pytest.fixture(scope="module")
def other(vocab_file):
    return hugging_face(vocab_file, model_max_length=64)


def assert_places_equal(mine, theirs):
    for row, encoding in enumerate(theirs.encodings):
        for name in ("tokens", "word_ids", "sequence_ids"):
            assert getattr(mine, name)(row) == getattr(theirs, name)(row)
        for token in range(len(encoding)):
            for name in ("token_to_chars", "token_to_word", "token_to_sequence"):
                assert getattr(mine, name)(row, token) == getattr(theirs, name)(row, token)
        for place in range(12):
            for text in range(theirs.n_sequences):
                for name in ("char_to_token", "char_to_word", "word_to_tokens"):
                    assert getattr(mine, name)(row, place, text) == getattr(theirs, name)(row, place, text)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), options=OPTIONS, length=st.integers(8, 24), stride=st.integers(0, 4), words=st.booleans())
def test_calls(fast, other, data, options, length, stride, words):
    kind = WORDS if words else TEXT
    form = data.draw(st.sampled_from(["one", "pair", "several", "pairs"]))
    several = data.draw(st.lists(kind, min_size=1, max_size=4))
    pairs = [data.draw(kind) for _ in several]
    if words and (form in ("several", "pairs")) and not several[0]:
        several[0] = ["a"]
    texts = {"one": (several[0],), "pair": (several[0], pairs[0]), "several": (several,), "pairs": (several, pairs)}
    options = options | {"max_length": length, "stride": stride, "is_split_into_words": words}
    try:
        mine = fast(*texts[form], **options)
    except ValueError as error:
        if "stride must be below the number of tokens" not in str(error):
            raise
        # Truncation may leave fewer tokens of a text in a pair than `stride`: the library panics.
        with pytest.raises(BaseException, match="`stride` must be strictly less"):
            other(*texts[form], **options)
        return
    theirs = other(*texts[form], **options)
    assert list(mine) == list(theirs)
    assert dict(mine) == dict(theirs)
    assert_places_equal(mine, theirs)


ROW = st.lists(st.integers(0, 30521), max_size=9)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(ROW, min_size=1, max_size=4),
    entries=st.sets(st.sampled_from(["attention_mask", "token_type_ids", "special_tokens_mask"])),
    padding=st.sampled_from([True, "longest", "max_length"]),
    length=st.integers(1, 12),
    multiple=st.sampled_from([None, 4]),
    side=SIDE,
    mask=st.sampled_from([None, True]),
    kind=st.sampled_from(["one", "dict", "list", "np", "pt"]),
)
def test_pad(fast, other, rows, entries, padding, length, multiple, side, mask, kind):
    def features():
        columns = {"input_ids": rows} | {name: [[1] * len(row) for row in rows] for name in sorted(entries)}
        made = [{name: column[n] for name, column in columns.items()} | {"labels": n / 2} for n in range(len(rows))]
        if kind == "one":
            return {name: value for name, value in made[0].items() if name != "labels"}
        return columns if kind == "dict" else made

    options = {"padding": padding, "max_length": length, "pad_to_multiple_of": multiple, "padding_side": side}
    options |= {"return_attention_mask": mask, "verbose": False}
    if kind in ("np", "pt") and all(len(row) <= length for row in rows):
        options["return_tensors"] = kind
    mine, theirs = fast.pad(features(), **options), other.pad(features(), **options)
    assert list(mine) == list(theirs)
    for name, value in theirs.items():
        if "return_tensors" in options:
            assert mine[name].dtype == value.dtype
            assert (mine[name].tolist(), mine[name].shape) == (value.tolist(), value.shape)
        else:
            assert mine[name] == value


TOKENS = {True: ["<a>", "cat", "<b>", "O o"], False: ["playing", "Dog house", "##s", "Ö", "a"]}  # by whether special
CALL = st.tuples(st.booleans(), st.booleans()).flatmap(
    lambda call: st.tuples(st.lists(st.sampled_from(TOKENS[any(call)]), max_size=3), st.just(call[0]), st.just(call[1]))
)


@settings(max_examples=60, deadline=None)
@given(calls=st.lists(CALL, max_size=4))
def test_added_tokens(tmp_path_factory, calls):
    text = "cat <a> playing<b> Dog house dog  house cats <c> Ö ö, ##s"
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_text("\n".join("[PAD] [UNK] [CLS] [SEP] [MASK] cat ##s play ##ing dog house a < > , o".split()) + "\n")  # noqa: SIM905
    mine, theirs = LxmertTokenizerFast(path), hugging_face(path)
    for tokens, special, named in calls:
        names = {"additional_special_tokens": tokens, "mask_token": "<c>"}
        found, expected = (
            one.add_special_tokens(names, special) if named else one.add_tokens(tokens, special)
            for one in (mine, theirs)
        )
        assert found == expected
    assert (len(mine), mine.vocab_size, mine.get_vocab()) == (len(theirs), theirs.vocab_size, theirs.get_vocab())
    assert mine.get_added_vocab() == theirs.get_added_vocab()
    assert mine.added_tokens_decoder == theirs.added_tokens_decoder
    assert mine.all_special_tokens == theirs.all_special_tokens
    assert mine.special_tokens_map == theirs.special_tokens_map
    encoding = mine(text, return_offsets_mapping=True)
    assert dict(encoding) == dict(theirs(text, return_offsets_mapping=True))
    for skip in (True, False):
        assert mine.decode(encoding.input_ids, skip) == theirs.decode(encoding.input_ids, skip)
