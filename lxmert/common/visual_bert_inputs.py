"""Prepare texts and regions as the published VisualBERT models were trained on them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .tokenizer import BatchEncoding, LxmertTokenizer
from .tokenizer.batch_encoding import TENSOR_KINDS, as_framework_arrays
from .tokenizer.text_inputs import as_batch

TASKS = ("pretraining", "vqa", "vcr", "nlvr2")


def prepare_visual_bert_inputs(
    tokenizer: LxmertTokenizer,
    text: str | Sequence[str],
    visual_embeds: Any,
    text_pair: str | Sequence[str] | Sequence[Sequence[str]] | None = None,
    *,
    task: str,
    visual_attention_mask: Any = None,
    max_length: int = 128,
    padding: bool | str = True,
    return_tensors: str = "np",
) -> BatchEncoding:
    """Prepare a batch as the authors' code does, for a published VisualBERT model or one trained in the same way.

    | task | published model | text | regions |
    |---|---|---|---|
    | "pretraining" | visualbert-*-pre | `[CLS] caption [SEP]`, or with `text_pair` two captions | types 0 |
    | "vqa" | visualbert-vqa | `[CLS] question ? [MASK] [SEP]`, whose `[MASK]` the answer is read from | types 0 |
    | "vcr" | visualbert-vcr | `[CLS] question [SEP] choice [SEP]` for each choice in `text_pair` | types 0 |
    | "nlvr2" | visualbert-nlvr2 | `[CLS] sentence [SEP]` | two images: types 0, then types 1 |

    Differs from HF: its default type of regions is 1, and its examples leave out `? [MASK]`. The published models were
    trained as in the table. `sentence_image_labels` of "pretraining" is 1 where the (second) caption matches.

    Args:
        tokenizer: the tokenizer; the published models expect the uncased vocabulary of BERT.
        text: B texts, or one.
        visual_embeds: [B, R, F] region features, NumPy or what NumPy understands; for "nlvr2" a pair of such arrays,
            one for each image.
        text_pair: second captions, B of them ("pretraining"), or for each text its choices, as many for each ("vcr").
        task: one of "pretraining", "vqa", "vcr", "nlvr2".
        visual_attention_mask: [B, R], 1 for regions that are there; a pair of them for "nlvr2"; all ones by default.
        max_length: longer texts are truncated; a question's `? [MASK]` stays.
        padding: True pads to the longest text, "max_length" to `max_length`.
        return_tensors: "np", "pt" or "tf".

    Returns:
        The models' inputs by argument name: `input_ids`, `attention_mask`, `token_type_ids` [B, L], `visual_embeds`,
        `visual_attention_mask`, `visual_token_type_ids` [B, R]; with an axis of choices behind B for "vcr".

    Raises:
        ValueError: another task, texts and regions that do not fit, or a vocabulary without `?` or `[MASK]`.
    """
    if task not in TASKS:
        raise ValueError(f"task must be one of {', '.join(TASKS)}; got {task!r}.")
    if return_tensors not in TENSOR_KINDS:
        raise ValueError(f'return_tensors must be "np", "pt" or "tf"; got {return_tensors!r}.')
    if padding not in (True, "max_length"):
        raise ValueError(f'padding must be True or "max_length"; got {padding!r}.')
    if text_pair is None and task == "vcr":
        raise ValueError('text_pair must be the choices of each text for task="vcr"; got None.')
    if text_pair is not None and task in ("vqa", "nlvr2"):
        raise ValueError(f"text_pair is not used by task={task!r}; leave it out.")
    texts: Any = as_batch(text, None)[0]
    regions = _regions(task, visual_embeds, visual_attention_mask, len(texts))
    if task == "vqa":
        words = encode_questions(tokenizer, texts, max_length, padding)
    elif task == "vcr":
        choices = _choices(text_pair, len(texts))
        count = len(choices[0])
        firsts = [one for one in texts for _ in range(count)]
        words = _encode(tokenizer, firsts, [choice for several in choices for choice in several], max_length, padding)
        words = {name: rows.reshape(len(texts), count, -1) for name, rows in words.items()}
        regions = {name: np.repeat(rows[:, None], count, axis=1) for name, rows in regions.items()}
    else:
        pairs: Any = [text_pair] if isinstance(text_pair, str) else text_pair
        words = _encode(tokenizer, texts, None if pairs is None else list(pairs), max_length, padding)
    return BatchEncoding(as_framework_arrays({**words, **regions}, return_tensors))


def _encode(
    tokenizer: LxmertTokenizer, texts: Any, pairs: Any, max_length: int, padding: bool | str
) -> dict[str, np.ndarray]:
    """Texts or pairs of texts, truncated and padded: `input_ids`, `token_type_ids`, `attention_mask` [B, L]."""
    return tokenizer(texts, pairs, padding=padding, truncation=True, max_length=max_length, return_tensors="np")


def encode_questions(
    tokenizer: LxmertTokenizer, questions: Sequence[str], max_length: int, padding: bool | str = True
) -> dict[str, np.ndarray]:
    """Questions as `[CLS] question ? [MASK] [SEP]`, with exactly one question mark.

    Args:
        tokenizer: the tokenizer.
        questions: B questions.
        max_length: longer questions are truncated before `? [MASK]`.
        padding: True pads to the longest question, "max_length" to `max_length`.

    Returns:
        `input_ids`, `attention_mask` and `token_type_ids`, [B, L].

    Raises:
        ValueError: the vocabulary has no `?` or no `[MASK]`, or `max_length` leaves no room.
    """
    unknown, end = tokenizer.unk_token_id, tokenizer.convert_tokens_to_ids(["?", tokenizer.mask_token])
    if unknown in end or None in end:
        raise ValueError(f'the vocabulary must hold "?" and {tokenizer.mask_token!r}, which end each question.')
    if max_length < 5:
        raise ValueError(f"max_length must be at least 5: [CLS], a word, ?, [MASK], [SEP]; got {max_length}.")
    rows, texts = [], as_batch(list(questions), None)[0]
    for question in map(str, texts):
        tokens = tokenizer.tokenize(question.rstrip(" ?"))[: max_length - 4]
        ids = tokenizer.convert_tokens_to_ids(tokens)
        rows.append([tokenizer.cls_token_id, *ids, *end, tokenizer.sep_token_id])
    length = max_length if padding == "max_length" else max(map(len, rows), default=0)
    input_ids = np.full((len(rows), length), tokenizer.pad_token_id, np.int64)
    attention_mask = np.zeros((len(rows), length), np.int64)
    for place, row in enumerate(rows):
        own = slice(length - len(row), None) if tokenizer.padding_side == "left" else slice(len(row))
        input_ids[place, own], attention_mask[place, own] = row, 1
    return {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "token_type_ids": np.zeros((len(rows), length), np.int64),
    }


def _regions(task: str, embeds: Any, mask: Any, batch: int) -> dict[str, np.ndarray]:
    """The regions of one image, or of two in a row, by argument name."""
    pair = task == "nlvr2"
    if pair and (not isinstance(embeds, (tuple, list)) or len(embeds) != 2):
        raise ValueError(
            f'visual_embeds must be a pair for task="nlvr2", one array for each image; got {_kind(embeds)}.'
        )
    images = [np.asarray(part) for part in (embeds if pair else [embeds])]
    masks = [None] * len(images) if mask is None else list(mask) if pair else [mask]
    if len(masks) != len(images):
        raise ValueError(f'visual_attention_mask must be a pair for task="nlvr2"; got {len(masks)} of them.')
    for part in images:
        if part.ndim != 3 or len(part) != batch:
            raise ValueError(f"visual_embeds must be [B, R, F] with B = {batch} texts; got {list(part.shape)}.")
    if len({part.shape[2] for part in images}) > 1:
        raise ValueError(f"both images must have the same F; got {[part.shape[2] for part in images]}.")
    kept = [
        np.ones(part.shape[:2], np.int64) if own is None else np.asarray(own)
        for part, own in zip(images, masks, strict=True)
    ]
    for part, own in zip(images, kept, strict=True):
        if own.shape != part.shape[:2]:
            raise ValueError(f"visual_attention_mask must be [B, R] = {list(part.shape[:2])}; got {list(own.shape)}.")
    types = [np.full(part.shape[:2], number, np.int64) for number, part in enumerate(images)]
    return {
        "visual_embeds": np.concatenate(images, axis=1),
        "visual_attention_mask": np.concatenate(kept, axis=1),
        "visual_token_type_ids": np.concatenate(types, axis=1),
    }


def _choices(text_pair: Any, batch: int) -> list[list[str]]:
    """For each text its choices, as many for each."""
    if isinstance(text_pair, str) or any(isinstance(one, str) for one in text_pair):
        raise ValueError('text_pair must be a list of choices for each text, as [["red", "blue"], ["one", "two"]].')
    choices = [list(several) for several in text_pair]
    if len(choices) != batch or not choices or len({len(several) for several in choices}) != 1 or not choices[0]:
        raise ValueError(
            f"text_pair must be the choices of each of {batch} texts, as many for each; got "
            f"{[len(several) for several in choices]} choices."
        )
    return choices


def _kind(value: Any) -> str:
    return f"{type(value).__name__} {list(value.shape)}" if hasattr(value, "shape") else type(value).__name__
