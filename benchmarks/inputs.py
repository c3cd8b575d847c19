"""What the models of the benchmarks read: random questions, regions, labels, of the sizes of the authors' recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

TOKENS, REGIONS, FEATURES, ANSWERS = 20, 36, 2048, 9500
VISUAL_BERT_ANSWERS = 3129
# How many of a thousand questions of VQA v2 have so many words (after the histogram in the paper, Goyal et al. 2017);
# a question mark, [CLS] and [SEP] come to them.
WORDS = {2: 5, 3: 45, 4: 170, 5: 235, 6: 205, 7: 135, 8: 85, 9: 50, 10: 30, 11: 17, 12: 10, 13: 6, 14: 4, 15: 3}
IMAGES, QUESTIONS = 1000, 5400


def inputs(batch: int, tokens: int = TOKENS, regions: int = REGIONS) -> dict[str, np.ndarray]:
    """A batch of questions without padding about images, by default of the sizes of the authors' recipe."""
    draw = np.random.default_rng(0)
    corners = np.sort(draw.random((batch, regions, 2, 2), dtype=np.float32), axis=2)
    return {
        "input_ids": draw.integers(1000, 30000, (batch, tokens)),
        "visual_feats": np.maximum(draw.standard_normal((batch, regions, FEATURES), dtype=np.float32), 0),
        "visual_pos": corners.reshape(batch, regions, 4),
        "attention_mask": np.ones((batch, tokens), np.int64),
        "token_type_ids": np.zeros((batch, tokens), np.int64),
    }


def model_inputs(model: str, batch: int) -> dict[str, np.ndarray]:
    """The same inputs under the names of a model: "lxmert", or "visual_bert", which has no boxes."""
    given = inputs(batch)
    if model != "visual_bert":
        return given
    regions = given.pop("visual_feats")
    del given["visual_pos"]
    return given | {"visual_embeds": regions, "visual_attention_mask": np.ones((batch, REGIONS), np.int64)}


def lengths(count: int) -> np.ndarray:
    """Tokens of questions, as they are distributed in VQA v2."""
    words = np.repeat(list(WORDS), list(WORDS.values()))
    return np.random.default_rng(0).choice(words, count) + 3


def tensors(given: dict[str, np.ndarray], dtype: Any = None) -> dict[str, Any]:
    """Arrays as PyTorch's tensors."""
    import torch

    found = {name: torch.from_numpy(array) for name, array in given.items()}
    return {n: x.to(dtype) if dtype is not None and x.is_floating_point() else x for n, x in found.items()}


def labels(name: str, batch: int) -> dict[str, Any]:
    """Labels of every loss, as pre-training masks them: 15 % of the words and regions."""
    import torch

    draw = np.random.default_rng(1)
    if name == "LxmertForQuestionAnswering":
        return {"labels": torch.from_numpy(draw.integers(0, ANSWERS, batch))}
    if name == "VisualBertForQuestionAnswering":
        return {"labels": torch.eye(VISUAL_BERT_ANSWERS)[draw.integers(0, VISUAL_BERT_ANSWERS, batch)]}
    hidden = draw.random((batch, TOKENS)) < 0.15
    words = np.where(hidden, draw.integers(1000, 30000, (batch, TOKENS)), -100)
    confidence = torch.from_numpy(draw.random((batch, REGIONS), dtype=np.float32))
    masked = torch.from_numpy((draw.random((batch, REGIONS)) < 0.15).astype(np.float32))
    return {
        "labels": torch.from_numpy(words),
        "matched_label": torch.from_numpy(draw.integers(0, 2, batch)),
        "ans": torch.from_numpy(draw.integers(0, ANSWERS, batch)),
        "obj_labels": {
            "obj": (torch.from_numpy(draw.integers(0, 1600, (batch, REGIONS))), confidence),
            "attr": (torch.from_numpy(draw.integers(0, 400, (batch, REGIONS))), confidence),
            "feat": (torch.from_numpy(inputs(batch)["visual_feats"]), masked),
        },
    }


def store_of(folder: Path, images: int) -> Any:
    """Random regions of images."""
    from lxmert.data.features import RegionWriter, open_regions

    draw = np.random.default_rng(0)
    with RegionWriter(folder, dtype="float32") as writer:
        for number in range(images):
            corners = np.sort(draw.uniform(0, 400, (REGIONS, 2, 2)), axis=1).reshape(REGIONS, 4).astype(np.float32)
            features = np.maximum(draw.standard_normal((REGIONS, FEATURES), dtype=np.float32), 0)
            writer.add(f"image{number:05d}", features, corners, (400, 400))
    return open_regions(folder)


def tokenizer_of(folder: Path) -> Any:
    """A tokenizer of 30,522 words that are all letters, so that a text's tokens can be counted."""
    from lxmert.common.tokenizer import LxmertTokenizer

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "?", *(f"word{number}" for number in range(30516))]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    return LxmertTokenizer(str(folder / "vocab.txt"))


def sentences(count: int) -> list[str]:
    """Questions of random words, as long as those of VQA v2."""
    draw = np.random.default_rng(0)
    return [
        " ".join(f"word{number}" for number in draw.integers(0, 30516, length - 3)) + " ?" for length in lengths(count)
    ]
