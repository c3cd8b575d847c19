"""Inputs to the VisualBERT models that look odd and are right, in NumPy; the sizes are `visual_bert_bad_inputs`'."""

from typing import Any

import numpy as np

from .bad_inputs import floats, ints
from .small_visual_bert import (
    ALIGNING,
    ANSWERING,
    CHOOSING,
    MODEL,
    NAMES,
    PRETRAINING,
    REASONING,
    small_labels,
    small_options,
)
from .visual_bert_bad_inputs import BARE, TEXT

# By what is odd: a model and a change of the right inputs.
RIGHT: dict[str, tuple[str, dict[str, Any]]] = {
    **{f"{name} as it is": (name, small_labels(name)) for name in NAMES},
    **{f"{name} with every option": (name, small_options(name)) for name in NAMES},
    **{f"{name} without masks and types": (name, BARE) for name in NAMES},
    **{f"{name} of text alone": (name, TEXT) for name in NAMES if name != ALIGNING},
    "the last word, types and positions": (
        MODEL,
        {
            "input_ids": ints(2, 5, last=28),
            "token_type_ids": ints(2, 5, last=1),
            "position_ids": ints(2, 5, last=7),
            "visual_token_type_ids": ints(2, 7, last=1),
            "image_text_alignment": ints(2, 7, 4, last=7),
        },
    ),
    "one row of positions": (ANSWERING, {"position_ids": ints(1, 5, last=7)}),
    "one row of positions for all choices": (CHOOSING, {"position_ids": ints(1, 1, 5)}),
    "more tokens than positions, all placed": (MODEL, {"input_ids": ints(2, 9), "position_ids": ints(2, 9), **BARE}),
    "regions aligned with no word": (MODEL, {"image_text_alignment": ints(2, 7, 4) - 1}),
    "an alignment without entries": (MODEL, {"image_text_alignment": ints(2, 7, 0)}),
    "a short alignment of 8 bits": (CHOOSING, {"image_text_alignment": (ints(2, 3, 7, 2) - 1).astype("int8")}),
    "heads masked by integers": (MODEL, {"head_mask": np.array([[1, 0, 1], [0, 0, 0]])}),
    "heads masked by booleans": (MODEL, {"head_mask": np.array([True, False, True])}),
    "one token": (ANSWERING, {"input_ids": ints(2, 1), **BARE}),
    "one token, masked": (ANSWERING, {"input_ids": ints(2, 1), **BARE, "attention_mask": ints(2, 1)}),
    "one region": (ALIGNING, {"visual_embeds": floats(2, 1, 9), **BARE, "region_to_phrase_position": ints(2, 6)}),
    "one choice": (CHOOSING, {"input_ids": ints(2, 1, 5), **BARE, **TEXT, "labels": ints(2)}),
    "boolean masks": (ALIGNING, {"attention_mask": ints(2, 5) == 0, "visual_attention_mask": ints(2, 7) == 0}),
    "masks as fractions": (ANSWERING, {"attention_mask": floats(2, 5), "visual_attention_mask": floats(2, 7) + 0.5}),
    "word vectors": (ANSWERING, {"input_ids": None, "inputs_embeds": floats(2, 5, 24)}),
    "word vectors of choices": (CHOOSING, {"input_ids": None, "inputs_embeds": floats(2, 3, 5, 24)}),
    "word vectors to align": (ALIGNING, {"input_ids": None, "inputs_embeds": floats(2, 5, 24)}),
    "wide features": (REASONING, {"visual_embeds": floats(2, 7, 9).astype("float64")}),
    "ids of 16 bits": (ANSWERING, {"input_ids": ints(2, 5, last=28).astype("int16")}),
    "types of 8 bits": (MODEL, {"visual_token_type_ids": ints(2, 7, last=1).astype("uint8")}),
    "words of text alone": (PRETRAINING, {**TEXT, "labels": ints(2, 5)}),
    "no word masked": (PRETRAINING, {"labels": ints(2, 12) - 100}),
    "a match alone": (PRETRAINING, {"sentence_image_labels": ints(2, last=1)}),
    "a column of matches": (PRETRAINING, {"sentence_image_labels": ints(2, 1)}),
    "an ignored choice": (CHOOSING, {"labels": ints(2, last=-100)}),
    "a choice of 8 bits": (CHOOSING, {"labels": ints(2, last=2).astype("int8")}),
    "answer indices": (ANSWERING, {"labels": ints(2, last=10)}),
    "ignored answers": (ANSWERING, {"labels": ints(2) - 100}),
    "whole scores of answers": (ANSWERING, {"labels": ints(2, 11, last=1)}),
    "scores that do not sum to one": (ANSWERING, {"labels": floats(2, 11) + 1}),
    "the last class": (REASONING, {"labels": ints(2, last=10)}),
    "few phrases": (ALIGNING, {"region_to_phrase_position": ints(2, 4, last=11), "labels": floats(2, 4, 7)}),
    "phrases of 8 bits": (ALIGNING, {"region_to_phrase_position": ints(2, 4, last=-1).astype("int8")}),
    "phrases of 8 bits without a sign": (ALIGNING, {"region_to_phrase_position": ints(2, 4, last=11).astype("uint8")}),
    "a masked region with a label": (ALIGNING, {"visual_attention_mask": ints(2, 7), "labels": floats(2, 12, 7) + 1}),
    "whole scores of regions": (ALIGNING, {"labels": ints(2, 12, 7, last=1)}),
}
