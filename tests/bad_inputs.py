"""Wrong inputs to LXMERT and what both backends say to them, in NumPy; and how such a table is written.

The sizes are those of `small`: B 3, L 5, R 7, D 24, F 9, 29 words, 8 positions, 11 answers, 6 objects.
"""

from typing import Any, NamedTuple

import numpy as np

from .small import LXMERT, small_inputs

MODEL, PRETRAINING, ANSWERING, REASONING = LXMERT


class Wrong(NamedTuple):
    """A change of the right inputs (None takes an argument away), and the error that it makes."""

    what: str
    model: str
    change: dict[str, Any]
    error: type[Exception]
    message: str


def wrong(what: str, change: dict[str, Any], message: str, model: str = MODEL) -> Wrong:
    """One wrong input."""
    return Wrong(what, model, change, ValueError, message)


def of_kind(what: str, change: dict[str, Any], message: str, model: str = MODEL) -> Wrong:
    """One input of the wrong kind."""
    return Wrong(what, model, change, TypeError, message)


def ints(*shape: int, last: int = 0) -> np.ndarray:
    """Zeros, but for the last entry."""
    values = np.zeros(shape, dtype="int64")
    if values.size:
        values.reshape(-1)[-1] = last
    return values


def floats(*shape: int, last: float = 0.0) -> np.ndarray:
    """The same as fractions."""
    values = np.zeros(shape, dtype="float32")
    if values.size:
        values.reshape(-1)[-1] = last
    return values


def given(change: dict[str, Any], model: str) -> dict[str, Any]:
    """The right inputs of a model, changed."""
    return {name: value for name, value in {**small_inputs(model), **change}.items() if value is not None}


NO_MASKS = {"attention_mask": None, "visual_attention_mask": None, "token_type_ids": None}
INDEX = "integers (a class index, or -100 to be ignored)"
ONE_OF_TWO = "exactly one of input_ids and inputs_embeds must be given; got"
REGIONS = "must be given: LXMERT reads the regions of an image as well as the words; got None."
SAME_REGIONS = "visual_pos must be [B, R, 4] with the B and R of visual_feats; got visual_feats"
IGNORED = ", or -100 to be ignored; got values from"
TWO = "Pass the regions of two images for each sentence."
FEATURES = "visual_feats must be [B, R, 9] (visual_feat_dim); got"
FEATURES_OF_TWO = "visual_feats must be [B, 2, R, 9] (visual_feat_dim); got"
SAME_BATCH = "input_ids and visual_feats must have the same batch size; got"
TEXT_MASK = "attention_mask must be [B, L] = [3, 5]; got"
TOKEN_IDS = "input_ids must hold integers (token ids); got values of kind"
NO_VISUAL_MASK = {"visual_attention_mask": None}

WRONG = [
    # Words and regions
    wrong("no words", {"input_ids": None}, f"{ONE_OF_TWO} neither."),
    wrong("words twice", {"inputs_embeds": floats(3, 5, 24)}, f"{ONE_OF_TWO} both."),
    wrong("no features", {"visual_feats": None}, f"visual_feats {REGIONS}"),
    wrong("no boxes", {"visual_pos": None}, f"visual_pos {REGIONS}"),
    wrong("ids [L]", {"input_ids": ints(5)}, "input_ids must be [B, L]; got [5]."),
    wrong("ids [B, L, 1]", {"input_ids": ints(3, 5, 1)}, "input_ids must be [B, L]; got [3, 5, 1]."),
    wrong(
        "narrow word vectors",
        {"input_ids": None, "inputs_embeds": floats(3, 5, 23)},
        "inputs_embeds must be [B, L, 24] (hidden_size); got [3, 5, 23].",
    ),
    wrong("features [B, F]", {"visual_feats": floats(3, 9)}, f"{FEATURES} [3, 9]."),
    wrong("narrow features", {"visual_feats": floats(3, 7, 8)}, f"{FEATURES} [3, 7, 8].", ANSWERING),
    wrong(
        "wide boxes", {"visual_pos": floats(3, 7, 5)}, "visual_pos must be [B, R, 4] (visual_pos_dim); got [3, 7, 5]."
    ),
    wrong(
        "a box too few",
        {"visual_pos": floats(3, 6, 4)},
        f"{SAME_REGIONS} [3, 7, 9] and visual_pos [3, 6, 4].",
        PRETRAINING,
    ),
    wrong(
        "boxes of fewer images", {"visual_pos": floats(2, 7, 4)}, f"{SAME_REGIONS} [3, 7, 9] and visual_pos [2, 7, 4]."
    ),
    wrong(
        "fewer images than sentences",
        {"visual_feats": floats(2, 7, 9), "visual_pos": floats(2, 7, 4)},
        f"{SAME_BATCH} [3, 5] and [2, 7, 9].",
    ),
    wrong(
        "no example",
        {"input_ids": ints(0, 5), "visual_feats": floats(0, 7, 9), "visual_pos": floats(0, 7, 4), **NO_MASKS},
        "input_ids: B must be at least 1; got 0.",
    ),
    wrong("no token", {"input_ids": ints(3, 0), **NO_MASKS}, "input_ids: L must be at least 1; got 0."),
    wrong(
        "no region",
        {"visual_feats": floats(3, 0, 9), "visual_pos": floats(3, 0, 4), **NO_MASKS},
        "visual_feats: R must be at least 1; got 0.",
    ),
    wrong(
        "too many tokens",
        {"input_ids": ints(3, 9), **NO_MASKS},
        "input_ids may have at most max_position_embeddings = 8 tokens; got 9. Truncate the text",
    ),
    # Masks and token types
    wrong("a short mask", {"attention_mask": ints(3, 4)}, f"{TEXT_MASK} [3, 4]."),
    wrong("a mask made additive", {"attention_mask": floats(3, 1, 1, 5)}, f"{TEXT_MASK} [3, 1, 1, 5]."),
    wrong(
        "a mask of words for regions",
        {"visual_attention_mask": ints(3, 5)},
        "visual_attention_mask must be [B, R] = [3, 7]; got [3, 5].",
    ),
    wrong("one row of types", {"token_type_ids": ints(1, 5)}, "token_type_ids must be [B, L] = [3, 5]; got [1, 5]."),
    # Ranges
    wrong("a word too many", {"input_ids": ints(3, 5, last=29)}, "input_ids must be 0 to 28; got values from 0 to 29."),
    wrong(
        "a negative word",
        {"input_ids": ints(3, 5, last=-1)},
        "input_ids must be 0 to 28; got values from -1 to 0.",
        ANSWERING,
    ),
    wrong(
        "a third type", {"token_type_ids": ints(3, 5, last=2)}, "token_type_ids must be 0 to 1; got values from 0 to 2."
    ),
    # Kinds
    of_kind("ids as fractions", {"input_ids": floats(3, 5)}, f"{TOKEN_IDS} float."),
    of_kind("ids as booleans", {"input_ids": ints(3, 5) > 0}, f"{TOKEN_IDS} bool."),
    of_kind("types as fractions", {"token_type_ids": floats(3, 5)}, "token_type_ids must hold integers"),
    of_kind(
        "features as integers",
        {"visual_feats": ints(3, 7, 9)},
        "visual_feats must hold floating-point numbers; got values of kind int.",
    ),
    of_kind(
        "boxes as integers",
        {"visual_pos": ints(3, 7, 4)},
        "visual_pos must hold floating-point numbers; got values of kind int.",
    ),
    # Names and choices
    of_kind(
        "a misspelled input",
        {"visual_feat": floats(3, 7, 9)},
        "LxmertModel: unexpected keyword 'visual_feat'. Did you mean 'visual_feats'?",
    ),
    of_kind("a misspelled label", {"label": ints(3)}, "unexpected keyword 'label'. Did you mean 'labels'?", ANSWERING),
    of_kind("a misspelled choice", {"output_attention": True}, "Did you mean 'output_attentions'?", PRETRAINING),
    of_kind("a label for the backbone", {"labels": ints(3)}, "LxmertModel: unexpected keyword 'labels'."),
    wrong(
        "maps of some kind",
        {"output_attentions": "some"},
        'output_attentions must be True, False, None, "all" or "used"; got \'some\'.',
    ),
    # Two images
    wrong(
        "one image",
        {"visual_feats": floats(3, 7, 9), "visual_pos": floats(3, 7, 4), **NO_VISUAL_MASK},
        f"{FEATURES_OF_TWO} [3, 7, 9]. {TWO}",
        REASONING,
    ),
    wrong(
        "one image with an axis",
        {"visual_feats": floats(3, 1, 7, 9), "visual_pos": floats(3, 1, 7, 4), **NO_VISUAL_MASK},
        f"{FEATURES_OF_TWO} [3, 1, 7, 9]. {TWO}",
        REASONING,
    ),
    wrong(
        "three images",
        {"visual_feats": floats(3, 3, 7, 9), "visual_pos": floats(3, 3, 7, 4)},
        f"{FEATURES_OF_TWO} [3, 3, 7, 9]. {TWO}",
        REASONING,
    ),
    wrong(
        "the images of all sentences in a row",
        {"visual_feats": floats(6, 7, 9), "visual_pos": floats(6, 7, 4)},
        f"{FEATURES_OF_TWO} [6, 7, 9]. {TWO}",
        REASONING,
    ),
    wrong(
        "boxes of one image",
        {"visual_pos": floats(3, 7, 4)},
        f"visual_pos must be [B, 2, R, 4] (visual_pos_dim); got [3, 7, 4]. {TWO}",
        REASONING,
    ),
    wrong(
        "a box too few in each image",
        {"visual_pos": floats(3, 2, 6, 4)},
        "visual_pos must be [B, 2, R, 4] with the B and R of visual_feats; got visual_feats [3, 2, 7, 9] and",
        REASONING,
    ),
    wrong(
        "two images of fewer sentences",
        {"visual_feats": floats(2, 2, 7, 9), "visual_pos": floats(2, 2, 7, 4)},
        f"{SAME_BATCH} [3, 5] and [2, 2, 7, 9].",
        REASONING,
    ),
    wrong(
        "two images for the model of one",
        {"visual_feats": floats(3, 2, 7, 9), "visual_pos": floats(3, 2, 7, 4)},
        f"{FEATURES} [3, 2, 7, 9].",
        ANSWERING,
    ),
    wrong(
        "three sentences for two images",
        {"input_ids": ints(3, 3, 5), "attention_mask": ints(3, 3, 5), "token_type_ids": ints(3, 3, 5)},
        "input_ids must be [B, L] or [B, 2, L]; got [3, 3, 5].",
        REASONING,
    ),
    wrong(
        "word vectors of three sentences",
        {"input_ids": None, "inputs_embeds": floats(3, 3, 5, 24)},
        "inputs_embeds must be [B, L, 24] or [B, 2, L, 24] (hidden_size); got [3, 3, 5, 24].",
        REASONING,
    ),
    wrong(
        "a mask for each image over one sentence",
        {"attention_mask": ints(3, 2, 5)},
        f"{TEXT_MASK} [3, 2, 5].",
        REASONING,
    ),
    wrong(
        "one mask over two sentences",
        {"input_ids": ints(3, 2, 5), "token_type_ids": None},
        "attention_mask must be [B, 2, L] = [3, 2, 5]; got [3, 5].",
        REASONING,
    ),
    wrong(
        "types of one of two sentences",
        {"input_ids": ints(3, 2, 5), "attention_mask": None},
        "token_type_ids must be [B, 2, L] = [3, 2, 5]; got [3, 5].",
        REASONING,
    ),
    wrong(
        "a mask over one image",
        {"visual_attention_mask": ints(3, 7)},
        "visual_attention_mask must be [B, 2, R] = [3, 2, 7]; got [3, 7].",
        REASONING,
    ),
    wrong(
        "no region in either image",
        {"visual_feats": floats(3, 2, 0, 9), "visual_pos": floats(3, 2, 0, 4), **NO_VISUAL_MASK},
        "visual_feats: R must be at least 1; got 0.",
        REASONING,
    ),
    wrong(
        "no pair",
        {"input_ids": ints(0, 5), "visual_feats": floats(0, 2, 7, 9), "visual_pos": floats(0, 2, 7, 4), **NO_MASKS},
        "input_ids: B must be at least 1; got 0.",
        REASONING,
    ),
]
