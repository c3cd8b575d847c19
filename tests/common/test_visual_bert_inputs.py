"""Inputs as the published VisualBERT models were trained on them: text, types of regions, choices, two images."""

import copy

import numpy as np
import pytest
import torch

import lxmert.pt
from lxmert import LxmertTokenizer, VisualBertConfig, prepare_visual_bert_inputs
from lxmert.common.visual_bert_inputs import encode_questions

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "?", "what", "is", "red", "the", "ball", "a", "cat"]
REGIONS = np.random.default_rng(0).standard_normal((2, 3, 7)).astype("float32")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    file = tmp_path_factory.mktemp("words") / "vocab.txt"
    file.write_text("\n".join(WORDS) + "\n")
    return LxmertTokenizer(file)


def told(tokenizer, rows):
    return [" ".join(tokenizer.convert_ids_to_tokens([int(i) for i in row])) for row in rows]


@pytest.mark.parametrize(
    "question", ["what is red?", "What is red", "what is red ?", "what is red??", " what is red ? "]
)
def test_a_question_ends_in_one_mark_and_a_mask(tokenizer, question):
    given = encode_questions(tokenizer, [question], 20)
    assert told(tokenizer, given["input_ids"]) == ["[CLS] what is red ? [MASK] [SEP]"]
    # Where the model reads the answer: the last token but one.
    assert given["input_ids"][0, given["attention_mask"][0].sum() - 2] == tokenizer.mask_token_id


def test_a_long_question_keeps_its_end(tokenizer):
    given = encode_questions(tokenizer, ["the ball " * 30, "red"], 8)
    assert told(tokenizer, given["input_ids"]) == [
        "[CLS] the ball the ball ? [MASK] [SEP]",
        "[CLS] red ? [MASK] [SEP] [PAD] [PAD] [PAD]",
    ]
    assert given["attention_mask"].sum(axis=1).tolist() == [8, 5]
    assert not given["token_type_ids"].any()
    assert encode_questions(tokenizer, ["red"], 9, padding="max_length")["input_ids"].shape == (1, 9)


def test_padding_in_front(tokenizer):
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.padding_side = "left"
    given = encode_questions(tokenizer, ["what is red?", "a cat"], 20)
    assert told(tokenizer, given["input_ids"])[1] == "[PAD] [CLS] a cat ? [MASK] [SEP]"
    assert given["attention_mask"].tolist() == [[1] * 7, [0] + [1] * 6]


def test_vqa(tokenizer):
    given = prepare_visual_bert_inputs(tokenizer, ["what is red?", "a cat"], REGIONS, task="vqa")
    assert told(tokenizer, given.input_ids)[1] == "[CLS] a cat ? [MASK] [SEP] [PAD]"
    assert given.visual_embeds is not None
    np.testing.assert_array_equal(given.visual_embeds, REGIONS)
    assert given.visual_token_type_ids.tolist() == [[0, 0, 0]] * 2
    assert given.visual_attention_mask.tolist() == [[1, 1, 1]] * 2


def test_captions_alone_and_in_pairs(tokenizer):
    alone = prepare_visual_bert_inputs(tokenizer, ["a red ball", "a cat"], REGIONS, task="pretraining")
    assert told(tokenizer, alone.input_ids) == ["[CLS] a red ball [SEP]", "[CLS] a cat [SEP] [PAD]"]
    pairs = prepare_visual_bert_inputs(tokenizer, ["a ball", "red"], REGIONS, ["a cat", "cat"], task="pretraining")
    assert told(tokenizer, pairs.input_ids)[0] == "[CLS] a ball [SEP] a cat [SEP]"
    assert pairs.token_type_ids[0].tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert not pairs.visual_token_type_ids.any()


def test_choices(tokenizer):
    mask = np.array([[1, 1, 0], [1, 0, 0]])
    given = prepare_visual_bert_inputs(
        tokenizer, ["what is red?", "a cat?"], REGIONS, [["ball", "a cat"]] * 2, task="vcr", visual_attention_mask=mask
    )
    assert given.input_ids.shape[:2] == (2, 2)
    assert told(tokenizer, given.input_ids[0])[1] == "[CLS] what is red ? [SEP] a cat [SEP]"
    assert given.token_type_ids[0, 1].tolist() == [0] * 6 + [1] * 3
    for choice in range(2):
        np.testing.assert_array_equal(given.visual_embeds[:, choice], REGIONS)
        np.testing.assert_array_equal(given.visual_attention_mask[:, choice], mask)


def test_two_images(tokenizer):
    second = REGIONS[:, :2] + 1
    given = prepare_visual_bert_inputs(
        tokenizer,
        ["a red ball", "a cat"],
        (REGIONS, second),
        task="nlvr2",
        visual_attention_mask=(np.ones((2, 3)), np.array([[1, 0], [1, 1]])),
    )
    np.testing.assert_array_equal(given.visual_embeds, np.concatenate([REGIONS, second], axis=1))
    assert given.visual_token_type_ids.tolist() == [[0, 0, 0, 1, 1]] * 2
    assert given.visual_attention_mask.tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]


@pytest.mark.parametrize(
    ("task", "name", "pair"),
    [
        ("vqa", "VisualBertForQuestionAnswering", None),
        ("nlvr2", "VisualBertForVisualReasoning", None),
        ("vcr", "VisualBertForMultipleChoice", [["ball", "cat"]] * 2),
        ("pretraining", "VisualBertForPreTraining", ["a cat", "red"]),
    ],
)
def test_the_models_read_it(tokenizer, task, name, pair):
    sizes = dict(hidden_size=12, num_attention_heads=2, intermediate_size=8, num_hidden_layers=1)
    config = VisualBertConfig(vocab_size=len(WORDS), visual_embedding_dim=7, max_position_embeddings=30, **sizes)
    regions = (REGIONS, REGIONS) if task == "nlvr2" else REGIONS
    given = prepare_visual_bert_inputs(tokenizer, ["a ball", "red"], regions, pair, task=task, return_tensors="pt")
    output = getattr(lxmert.pt, name)(config)(**given)
    assert all(torch.isfinite(value).all() for value in output.to_tuple())


def test_kinds_of_tensors(tokenizer):
    import tensorflow as tf

    given = prepare_visual_bert_inputs(tokenizer, "a cat", REGIONS[:1], task="vqa", return_tensors="tf")
    assert given.input_ids.dtype == given.visual_token_type_ids.dtype == tf.int32
    assert given.visual_embeds.dtype == tf.float32
    given = prepare_visual_bert_inputs(tokenizer, "a cat", REGIONS[:1], task="vqa", return_tensors="pt")
    assert (given.input_ids.dtype, given.visual_embeds.dtype) == (torch.int64, torch.float32)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"task": "gqa"}, ValueError, "task must be one of pretraining, vqa, vcr, nlvr2; got 'gqa'"),
        ({"return_tensors": "jax"}, ValueError, "return_tensors must be"),
        ({"padding": False}, ValueError, 'padding must be True or "max_length"; got False'),
        ({"text_pair": ["a", "b"]}, ValueError, "text_pair is not used by task='vqa'"),
        ({"task": "vcr"}, ValueError, "text_pair must be the choices of each text"),
        ({"task": "vcr", "text_pair": [["a"], ["a", "b"]]}, ValueError, r"as many for each; got \[1, 2\] choices"),
        ({"task": "vcr", "text_pair": [["a"]]}, ValueError, r"as many for each; got \[1\] choices"),
        ({"task": "nlvr2"}, ValueError, "visual_embeds must be a pair"),
        ({"task": "vcr", "text_pair": ["a", "b"]}, ValueError, "text_pair must be a list of choices for each text"),
        ({"task": "nlvr2", "visual_embeds": (REGIONS, REGIONS[..., :2])}, ValueError, r"the same F; got \[7, 2\]"),
        ({"text": None}, TypeError, "text must be a str or a list of str; got None"),
        ({"visual_embeds": REGIONS[:1]}, ValueError, r"\[B, R, F\] with B = 2 texts; got \[1, 3, 7\]"),
        ({"visual_embeds": REGIONS[0]}, ValueError, r"\[B, R, F\] with B = 2 texts; got \[3, 7\]"),
        ({"visual_attention_mask": np.ones((2, 4))}, ValueError, r"\[B, R\] = \[2, 3\]; got \[2, 4\]"),
        ({"max_length": 4}, ValueError, "max_length must be at least 5"),
        ({"text": ["a", 3]}, TypeError, r"text\[1\] is int 3"),
    ],
)
def test_bad_input(tokenizer, changes, error, message):
    given = {"text": ["a", "b"], "visual_embeds": REGIONS, "task": "vqa", **changes}
    with pytest.raises(error, match=message):
        prepare_visual_bert_inputs(tokenizer, **given)


def test_a_vocabulary_without_a_mask(tmp_path):
    (tmp_path / "vocab.txt").write_text("\n".join(word for word in WORDS if word != "?") + "\n")
    with pytest.raises(ValueError, match=r'the vocabulary must hold "\?" and'):
        encode_questions(LxmertTokenizer(tmp_path / "vocab.txt"), ["a"], 20)
