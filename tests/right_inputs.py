"""Inputs that look odd and are right, in NumPy: by what is odd, a class and a change of its right inputs."""

from typing import Any

import numpy as np

from .bad_inputs import ANSWERING, MODEL, NO_MASKS, PRETRAINING, REASONING, floats, ints
from .small import VISUAL_BERT, small_labels, small_options
from .visual_bert_bad_inputs import ALIGNING, CHOOSING, TEXT
from .visual_bert_bad_inputs import ANSWERING as VISUAL_BERT_ANSWERING
from .visual_bert_bad_inputs import BARE as VISUAL_BERT_BARE
from .visual_bert_bad_inputs import MODEL as VISUAL_BERT_MODEL
from .visual_bert_bad_inputs import PRETRAINING as VISUAL_BERT_PRETRAINING
from .visual_bert_bad_inputs import REASONING as VISUAL_BERT_REASONING

Change = tuple[str, dict[str, Any]]
_LABELS = small_labels(PRETRAINING)
_LXMERT: dict[str, Change] = {
    "as they are": (MODEL, {}),
    "no masks, no types": (MODEL, NO_MASKS),
    "the last word and type": (MODEL, {"input_ids": ints(3, 5, last=28), "token_type_ids": ints(3, 5, last=1)}),
    "short integers": (MODEL, {"input_ids": ints(3, 5).astype("int32")}),
    "boolean masks": (MODEL, {"attention_mask": ints(3, 5) == 0, "visual_attention_mask": ints(3, 7) == 0}),
    "masks as fractions": (
        MODEL,
        {"attention_mask": floats(3, 5, last=1), "visual_attention_mask": floats(3, 7, last=1)},
    ),
    "all positions": (MODEL, {"input_ids": ints(3, 8), **NO_MASKS}),
    "one token": (MODEL, {"input_ids": ints(3, 1), **NO_MASKS}),
    "one region": (
        MODEL,
        {"visual_feats": floats(3, 1, 9), "visual_pos": floats(3, 1, 4), "visual_attention_mask": None},
    ),
    "word vectors": (MODEL, {"input_ids": None, "inputs_embeds": floats(3, 5, 24)}),
    "the last answer": (ANSWERING, {"labels": ints(3, last=10)}),
    "an ignored answer": (ANSWERING, {"labels": ints(3, last=-100)}),
    "a column of answers": (ANSWERING, {"labels": ints(3, 1)}),
    "scores of answers": (ANSWERING, {"labels": floats(3, 11, last=1.0)}),
    "whole scores of answers": (ANSWERING, {"labels": ints(3, 11, last=1)}),
    "ids of 16 bits": (MODEL, {"input_ids": ints(3, 5, last=28).astype("int16")}),
    "ids of 8 bits without a sign": (MODEL, {"input_ids": ints(3, 5).astype("uint8")}),
    "wide word vectors": (MODEL, {"input_ids": None, "inputs_embeds": floats(3, 5, 24).astype("float64")}),
    "labels of 8 bits": (ANSWERING, {"labels": ints(3, last=10).astype("int8")}),
    "labels of 8 bits without a sign": (ANSWERING, {"labels": ints(3, last=10).astype("uint8")}),
    "words of 8 bits": (PRETRAINING, {"labels": (ints(3, 5, last=128) - 100).astype("int8")}),
    "short labels": (ANSWERING, {"labels": ints(3).astype("int32")}),
    "all labels": (PRETRAINING, _LABELS),
    "no word masked": (PRETRAINING, {"labels": ints(3, 5) - 100}),
    "a column of matches": (PRETRAINING, {"matched_label": ints(3, 1)}),
    "pairs as lists": (PRETRAINING, {"obj_labels": {key: list(pair) for key, pair in _LABELS["obj_labels"].items()}}),
    "no objects": (PRETRAINING, {"obj_labels": {}}),
    "two images": (REASONING, {"labels": ints(3, last=1)}),
    "two images without masks": (REASONING, {**NO_MASKS, "labels": ints(3, last=-100)}),
    "a sentence for each image": (
        REASONING,
        {"input_ids": ints(3, 2, 5, last=28), "attention_mask": ints(3, 2, 5, last=1), "token_type_ids": None},
    ),
    "word vectors for two images": (REASONING, {"input_ids": None, "inputs_embeds": floats(3, 5, 24)}),
    "word vectors for each image": (
        REASONING,
        {**NO_MASKS, "input_ids": None, "inputs_embeds": floats(3, 2, 5, 24)},
    ),
    "two images of one region": (
        REASONING,
        {"visual_feats": floats(3, 2, 1, 9), "visual_pos": floats(3, 2, 1, 4), "visual_attention_mask": None},
    ),
    "a column of verdicts": (REASONING, {"labels": ints(3, 1)}),
}
_VISUAL_BERT: dict[str, Change] = {
    **{f"{name} as it is": (name, small_labels(name)) for name in VISUAL_BERT},
    **{f"{name} with every option": (name, small_options(name)) for name in VISUAL_BERT},
    **{f"{name} without masks and types": (name, VISUAL_BERT_BARE) for name in VISUAL_BERT},
    **{f"{name} of text alone": (name, TEXT) for name in VISUAL_BERT if name != ALIGNING},
    "the last word, types and positions": (
        VISUAL_BERT_MODEL,
        {
            "input_ids": ints(2, 5, last=28),
            "token_type_ids": ints(2, 5, last=1),
            "position_ids": ints(2, 5, last=7),
            "visual_token_type_ids": ints(2, 7, last=1),
            "image_text_alignment": ints(2, 7, 4, last=7),
        },
    ),
    "one row of positions": (VISUAL_BERT_ANSWERING, {"position_ids": ints(1, 5, last=7)}),
    "one row of positions for all choices": (CHOOSING, {"position_ids": ints(1, 1, 5)}),
    "more tokens than positions, all placed": (
        VISUAL_BERT_MODEL,
        {"input_ids": ints(2, 9), "position_ids": ints(2, 9), **VISUAL_BERT_BARE},
    ),
    "regions aligned with no word": (VISUAL_BERT_MODEL, {"image_text_alignment": ints(2, 7, 4) - 1}),
    "an alignment without entries": (VISUAL_BERT_MODEL, {"image_text_alignment": ints(2, 7, 0)}),
    "a short alignment of 8 bits": (CHOOSING, {"image_text_alignment": (ints(2, 3, 7, 2) - 1).astype("int8")}),
    "heads masked by integers": (VISUAL_BERT_MODEL, {"head_mask": np.array([[1, 0, 1], [0, 0, 0]])}),
    "heads masked by booleans": (VISUAL_BERT_MODEL, {"head_mask": np.array([True, False, True])}),
    "one token": (VISUAL_BERT_ANSWERING, {"input_ids": ints(2, 1), **VISUAL_BERT_BARE}),
    "one token, masked": (
        VISUAL_BERT_ANSWERING,
        {"input_ids": ints(2, 1), **VISUAL_BERT_BARE, "attention_mask": ints(2, 1)},
    ),
    "one region": (
        ALIGNING,
        {"visual_embeds": floats(2, 1, 9), **VISUAL_BERT_BARE, "region_to_phrase_position": ints(2, 6)},
    ),
    "one choice": (CHOOSING, {"input_ids": ints(2, 1, 5), **VISUAL_BERT_BARE, **TEXT, "labels": ints(2)}),
    "boolean masks": (ALIGNING, {"attention_mask": ints(2, 5) == 0, "visual_attention_mask": ints(2, 7) == 0}),
    "masks as fractions": (
        VISUAL_BERT_ANSWERING,
        {"attention_mask": floats(2, 5), "visual_attention_mask": floats(2, 7) + 0.5},
    ),
    "word vectors": (VISUAL_BERT_ANSWERING, {"input_ids": None, "inputs_embeds": floats(2, 5, 24)}),
    "word vectors of choices": (CHOOSING, {"input_ids": None, "inputs_embeds": floats(2, 3, 5, 24)}),
    "word vectors to align": (ALIGNING, {"input_ids": None, "inputs_embeds": floats(2, 5, 24)}),
    "wide features": (VISUAL_BERT_REASONING, {"visual_embeds": floats(2, 7, 9).astype("float64")}),
    "ids of 16 bits": (VISUAL_BERT_ANSWERING, {"input_ids": ints(2, 5, last=28).astype("int16")}),
    "types of 8 bits": (VISUAL_BERT_MODEL, {"visual_token_type_ids": ints(2, 7, last=1).astype("uint8")}),
    "words of text alone": (VISUAL_BERT_PRETRAINING, {**TEXT, "labels": ints(2, 5)}),
    "no word masked": (VISUAL_BERT_PRETRAINING, {"labels": ints(2, 12) - 100}),
    "a match alone": (VISUAL_BERT_PRETRAINING, {"sentence_image_labels": ints(2, last=1)}),
    "a column of matches": (VISUAL_BERT_PRETRAINING, {"sentence_image_labels": ints(2, 1)}),
    "an ignored choice": (CHOOSING, {"labels": ints(2, last=-100)}),
    "a choice of 8 bits": (CHOOSING, {"labels": ints(2, last=2).astype("int8")}),
    "answer indices": (VISUAL_BERT_ANSWERING, {"labels": ints(2, last=10)}),
    "ignored answers": (VISUAL_BERT_ANSWERING, {"labels": ints(2) - 100}),
    "whole scores of answers": (VISUAL_BERT_ANSWERING, {"labels": ints(2, 11, last=1)}),
    "scores that do not sum to one": (VISUAL_BERT_ANSWERING, {"labels": floats(2, 11) + 1}),
    "the last class": (VISUAL_BERT_REASONING, {"labels": ints(2, last=10)}),
    "few phrases": (ALIGNING, {"region_to_phrase_position": ints(2, 4, last=11), "labels": floats(2, 4, 7)}),
    "phrases of 8 bits": (ALIGNING, {"region_to_phrase_position": ints(2, 4, last=-1).astype("int8")}),
    "phrases of 8 bits without a sign": (ALIGNING, {"region_to_phrase_position": ints(2, 4, last=11).astype("uint8")}),
    "a masked region with a label": (ALIGNING, {"visual_attention_mask": ints(2, 7), "labels": floats(2, 12, 7) + 1}),
    "whole scores of regions": (ALIGNING, {"labels": ints(2, 12, 7, last=1)}),
}

RIGHT = [(what, *row) for table in (_LXMERT, _VISUAL_BERT) for what, row in table.items()]
