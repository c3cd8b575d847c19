"""Wrong inputs and what both backends say to them, and right ones beside them, in NumPy.

The sizes are those of `small_lxmert`: B 3, L 5, R 7, D 24, F 9, 29 words, 8 positions, 11 answers, 6 objects.
"""

from typing import Any, NamedTuple

import numpy as np

from .small_lxmert import small_inputs, small_labels

MODEL, PRETRAINING, ANSWERING = "LxmertModel", "LxmertForPreTraining", "LxmertForQuestionAnswering"
REASONING = "LxmertForVisualReasoning"


class Wrong(NamedTuple):
    """A change of the right inputs (None takes an argument away), and the error that it makes."""

    what: str
    model: str
    change: dict[str, Any]
    error: type[Exception]
    message: str


def ints(*shape: int, last: int = 0) -> np.ndarray:
    """Zeros, but for the last entry."""
    values = np.zeros(shape, dtype="int64")
    if values.size:
        values.reshape(-1)[-1] = last
    return values


def floats(*shape: int, last: float = 0.0) -> np.ndarray:
    """The same as fractions."""
    return (
        ints(*shape).astype("float32")
        if last == 0
        else np.append(np.zeros(np.prod(shape) - 1), last).reshape(shape).astype("float32")
    )


def given(change: dict[str, Any], model: str = MODEL) -> dict[str, Any]:
    """The right inputs of a model, changed."""
    return {name: value for name, value in {**small_inputs(name=model), **change}.items() if value is not None}


NO_MASKS = {"attention_mask": None, "visual_attention_mask": None, "token_type_ids": None}
INDEX = "integers (a class index, or -100 to be ignored)"
ONE_OF_TWO = "exactly one of input_ids and inputs_embeds must be given; got"
REGIONS = "must be given: LXMERT reads an image's regions beside the words; got None."
SAME_REGIONS = "visual_pos must be [B, R, 4] with the B and R of visual_feats; got visual_feats"
IGNORED = ", or -100 to be ignored; got values from"
TWO = "Give each sentence the regions of two images."
EITHER_ANSWER = "must be [B] = [3] (a class index each) or [B, A] = [3, 11] (a score for each answer); got"

WRONG = [
    # Words and regions
    Wrong("no words", MODEL, {"input_ids": None}, ValueError, f"{ONE_OF_TWO} neither."),
    Wrong("words twice", MODEL, {"inputs_embeds": floats(3, 5, 24)}, ValueError, f"{ONE_OF_TWO} both."),
    Wrong("no features", MODEL, {"visual_feats": None}, ValueError, f"visual_feats {REGIONS}"),
    Wrong("no boxes", MODEL, {"visual_pos": None}, ValueError, f"visual_pos {REGIONS}"),
    Wrong("ids [L]", MODEL, {"input_ids": ints(5)}, ValueError, "input_ids must be [B, L]; got [5]."),
    Wrong("ids [B, L, 1]", MODEL, {"input_ids": ints(3, 5, 1)}, ValueError, "input_ids must be [B, L]; got [3, 5, 1]."),
    Wrong(
        "narrow word vectors",
        MODEL,
        {"input_ids": None, "inputs_embeds": floats(3, 5, 23)},
        ValueError,
        "inputs_embeds must be [B, L, 24] (hidden_size); got [3, 5, 23].",
    ),
    Wrong(
        "features [B, F]",
        MODEL,
        {"visual_feats": floats(3, 9)},
        ValueError,
        "visual_feats must be [B, R, 9] (visual_feat_dim); got [3, 9].",
    ),
    Wrong(
        "narrow features",
        ANSWERING,
        {"visual_feats": floats(3, 7, 8)},
        ValueError,
        "visual_feats must be [B, R, 9] (visual_feat_dim); got [3, 7, 8].",
    ),
    Wrong(
        "wide boxes",
        MODEL,
        {"visual_pos": floats(3, 7, 5)},
        ValueError,
        "visual_pos must be [B, R, 4] (visual_pos_dim); got [3, 7, 5].",
    ),
    Wrong(
        "a box too few",
        PRETRAINING,
        {"visual_pos": floats(3, 6, 4)},
        ValueError,
        f"{SAME_REGIONS} [3, 7, 9] and visual_pos [3, 6, 4].",
    ),
    Wrong(
        "boxes of fewer images",
        MODEL,
        {"visual_pos": floats(2, 7, 4)},
        ValueError,
        f"{SAME_REGIONS} [3, 7, 9] and visual_pos [2, 7, 4].",
    ),
    Wrong(
        "fewer images than sentences",
        MODEL,
        {"visual_feats": floats(2, 7, 9), "visual_pos": floats(2, 7, 4)},
        ValueError,
        "input_ids and visual_feats must have the same batch size; got [3, 5] and [2, 7, 9].",
    ),
    Wrong(
        "no example",
        MODEL,
        {"input_ids": ints(0, 5), "visual_feats": floats(0, 7, 9), "visual_pos": floats(0, 7, 4), **NO_MASKS},
        ValueError,
        "input_ids: B must be at least 1; got 0.",
    ),
    Wrong(
        "no token", MODEL, {"input_ids": ints(3, 0), **NO_MASKS}, ValueError, "input_ids: L must be at least 1; got 0."
    ),
    Wrong(
        "no region",
        MODEL,
        {"visual_feats": floats(3, 0, 9), "visual_pos": floats(3, 0, 4), **NO_MASKS},
        ValueError,
        "visual_feats: R must be at least 1; got 0.",
    ),
    Wrong(
        "too many tokens",
        MODEL,
        {"input_ids": ints(3, 9), **NO_MASKS},
        ValueError,
        "input_ids may have at most max_position_embeddings = 8 tokens; got 9. Truncate the text",
    ),
    # Masks and token types
    Wrong(
        "a short mask",
        MODEL,
        {"attention_mask": ints(3, 4)},
        ValueError,
        "attention_mask must be [B, L] = [3, 5]; got [3, 4].",
    ),
    Wrong(
        "a mask made additive",
        MODEL,
        {"attention_mask": floats(3, 1, 1, 5)},
        ValueError,
        "attention_mask must be [B, L] = [3, 5]; got [3, 1, 1, 5].",
    ),
    Wrong(
        "a mask of words for regions",
        MODEL,
        {"visual_attention_mask": ints(3, 5)},
        ValueError,
        "visual_attention_mask must be [B, R] = [3, 7]; got [3, 5].",
    ),
    Wrong(
        "one row of types",
        MODEL,
        {"token_type_ids": ints(1, 5)},
        ValueError,
        "token_type_ids must be [B, L] = [3, 5]; got [1, 5].",
    ),
    # Ranges
    Wrong(
        "a word too many",
        MODEL,
        {"input_ids": ints(3, 5, last=29)},
        ValueError,
        "input_ids must be 0 to 28; got values from 0 to 29.",
    ),
    Wrong(
        "a negative word",
        ANSWERING,
        {"input_ids": ints(3, 5, last=-1)},
        ValueError,
        "input_ids must be 0 to 28; got values from -1 to 0.",
    ),
    Wrong(
        "a third type",
        MODEL,
        {"token_type_ids": ints(3, 5, last=2)},
        ValueError,
        "token_type_ids must be 0 to 1; got values from 0 to 2.",
    ),
    # Kinds
    Wrong(
        "ids as fractions",
        MODEL,
        {"input_ids": floats(3, 5)},
        TypeError,
        "input_ids must hold integers (token ids); got values of kind float.",
    ),
    Wrong(
        "ids as booleans",
        MODEL,
        {"input_ids": ints(3, 5) > 0},
        TypeError,
        "input_ids must hold integers (token ids); got values of kind bool.",
    ),
    Wrong(
        "types as fractions",
        MODEL,
        {"token_type_ids": floats(3, 5)},
        TypeError,
        "token_type_ids must hold integers",
    ),
    Wrong(
        "features as integers",
        MODEL,
        {"visual_feats": ints(3, 7, 9)},
        TypeError,
        "visual_feats must hold floating-point numbers; got values of kind int.",
    ),
    Wrong(
        "boxes as integers",
        MODEL,
        {"visual_pos": ints(3, 7, 4)},
        TypeError,
        "visual_pos must hold floating-point numbers; got values of kind int.",
    ),
    # Names and choices
    Wrong(
        "a misspelled input",
        MODEL,
        {"visual_feat": floats(3, 7, 9)},
        TypeError,
        "LxmertModel: unexpected keyword 'visual_feat'. Did you mean 'visual_feats'?",
    ),
    Wrong(
        "a misspelled label",
        ANSWERING,
        {"label": ints(3)},
        TypeError,
        "unexpected keyword 'label'. Did you mean 'labels'?",
    ),
    Wrong(
        "a misspelled choice", PRETRAINING, {"output_attention": True}, TypeError, "Did you mean 'output_attentions'?"
    ),
    Wrong(
        "a label for the backbone", MODEL, {"labels": ints(3)}, TypeError, "LxmertModel: unexpected keyword 'labels'."
    ),
    Wrong(
        "maps of some kind",
        MODEL,
        {"output_attentions": "some"},
        ValueError,
        "output_attentions must be True, False, None or \"all\"; got 'some'.",
    ),
    # Labels of answers
    Wrong("an answer too few", ANSWERING, {"labels": ints(2)}, ValueError, "labels must be [B] = [3]; got [2]."),
    Wrong("narrow scores", ANSWERING, {"labels": floats(3, 10)}, ValueError, f"labels {EITHER_ANSWER} [3, 10]."),
    Wrong(
        "an unknown answer",
        ANSWERING,
        {"labels": ints(3, last=11)},
        ValueError,
        f"labels must be 0 to 10{IGNORED} 0 to 11.",
    ),
    Wrong(
        "a negative answer",
        ANSWERING,
        {"labels": ints(3, last=-1)},
        ValueError,
        f"labels must be 0 to 10{IGNORED} -1 to 0.",
    ),
    Wrong(
        "an answer as a fraction",
        ANSWERING,
        {"labels": floats(3)},
        TypeError,
        f"labels must hold {INDEX}; got values of kind float.",
    ),
    Wrong(
        "scores above 1",
        ANSWERING,
        {"labels": floats(3, 11, last=1.5)},
        ValueError,
        "labels as rows of scores must be between 0 and 1; got values from 0.0 to 1.5.",
    ),
    Wrong(
        "scores that are not numbers",
        ANSWERING,
        {"labels": floats(3, 11, last=np.nan)},
        ValueError,
        "labels as rows of scores must be between 0 and 1",
    ),
    # Labels of pre-training
    Wrong(
        "words of another length",
        PRETRAINING,
        {"labels": ints(3, 7)},
        ValueError,
        "labels must be [B, L] = [3, 5]; got [3, 7].",
    ),
    Wrong(
        "an unknown word",
        PRETRAINING,
        {"labels": ints(3, 5, last=29)},
        ValueError,
        f"labels must be 0 to 28{IGNORED} 0 to 29.",
    ),
    Wrong(
        "words as fractions",
        PRETRAINING,
        {"labels": floats(3, 5)},
        TypeError,
        f"labels must hold {INDEX}; got values of kind float.",
    ),
    Wrong(
        "words twice over",
        PRETRAINING,
        {"labels": ints(3, 5), "masked_lm_labels": ints(3, 5)},
        ValueError,
        "labels and masked_lm_labels are two names of one argument; got both.",
    ),
    Wrong(
        "a match for each answer",
        PRETRAINING,
        {"matched_label": ints(3, 2)},
        ValueError,
        "matched_label must be [B] = [3]; got [3, 2].",
    ),
    Wrong(
        "a third match",
        PRETRAINING,
        {"matched_label": ints(3, last=2)},
        ValueError,
        f"matched_label must be 0 to 1{IGNORED} 0 to 2.",
    ),
    Wrong(
        "a match as a fraction",
        PRETRAINING,
        {"matched_label": floats(3)},
        TypeError,
        f"matched_label must hold {INDEX}",
    ),
    Wrong(
        "an unknown answer to pre-train on",
        PRETRAINING,
        {"ans": ints(3, last=11)},
        ValueError,
        f"ans must be 0 to 10{IGNORED} 0 to 11.",
    ),
    Wrong("a cube of answers", PRETRAINING, {"ans": ints(3, 11, 1)}, ValueError, f"ans {EITHER_ANSWER} [3, 11, 1]."),
    Wrong(
        "objects without names",
        PRETRAINING,
        {"obj_labels": (ints(3, 7), floats(3, 7))},
        TypeError,
        "obj_labels must be a mapping of obj, attr, feat to (label, confidence); got tuple.",
    ),
    Wrong(
        "objects under another name",
        PRETRAINING,
        {"obj_labels": {"object": (ints(3, 7), floats(3, 7))}},
        ValueError,
        "obj_labels may have the keys obj, attr and feat; got 'object'.",
    ),
    Wrong(
        "objects without confidence",
        PRETRAINING,
        {"obj_labels": {"obj": (ints(3, 7),)}},
        ValueError,
        "obj_labels['obj'] must be a pair (label, confidence); got",
    ),
    Wrong(
        "objects of fewer regions",
        PRETRAINING,
        {"obj_labels": {"obj": (ints(3, 5), floats(3, 7))}},
        ValueError,
        "obj_labels['obj'][0] must be [B, R] = [3, 7]; got [3, 5].",
    ),
    Wrong(
        "an unknown object",
        PRETRAINING,
        {"obj_labels": {"obj": (ints(3, 7, last=6), floats(3, 7))}},
        ValueError,
        f"obj_labels['obj'][0] must be 0 to 5{IGNORED} 0 to 6.",
    ),
    Wrong(
        "attributes as fractions",
        PRETRAINING,
        {"obj_labels": {"attr": (floats(3, 7), floats(3, 7))}},
        TypeError,
        f"obj_labels['attr'][0] must hold {INDEX}",
    ),
    Wrong(
        "confidences of fewer regions",
        PRETRAINING,
        {"obj_labels": {"attr": (ints(3, 7), floats(3, 5))}},
        ValueError,
        "obj_labels['attr'][1] must be [B, R] = [3, 7]; got [3, 5].",
    ),
    Wrong(
        "narrow features to predict",
        PRETRAINING,
        {"obj_labels": {"feat": (floats(3, 7, 8), floats(3, 7))}},
        ValueError,
        "obj_labels['feat'][0] must be [B, R, F] = [3, 7, 9]; got [3, 7, 8].",
    ),
    Wrong(
        "features to predict as integers",
        PRETRAINING,
        {"obj_labels": {"feat": (ints(3, 7, 9), floats(3, 7))}},
        TypeError,
        "obj_labels['feat'][0] must hold floating-point numbers; got values of kind int.",
    ),
    # Two images
    Wrong(
        "one image",
        REASONING,
        {"visual_feats": floats(3, 7, 9), "visual_pos": floats(3, 7, 4), "visual_attention_mask": None},
        ValueError,
        f"visual_feats must be [B, 2, R, 9] (visual_feat_dim); got [3, 7, 9]. {TWO}",
    ),
    Wrong(
        "one image with an axis",
        REASONING,
        {"visual_feats": floats(3, 1, 7, 9), "visual_pos": floats(3, 1, 7, 4), "visual_attention_mask": None},
        ValueError,
        f"visual_feats must be [B, 2, R, 9] (visual_feat_dim); got [3, 1, 7, 9]. {TWO}",
    ),
    Wrong(
        "three images",
        REASONING,
        {"visual_feats": floats(3, 3, 7, 9), "visual_pos": floats(3, 3, 7, 4)},
        ValueError,
        f"visual_feats must be [B, 2, R, 9] (visual_feat_dim); got [3, 3, 7, 9]. {TWO}",
    ),
    Wrong(
        "the images of all sentences in a row",
        REASONING,
        {"visual_feats": floats(6, 7, 9), "visual_pos": floats(6, 7, 4)},
        ValueError,
        f"visual_feats must be [B, 2, R, 9] (visual_feat_dim); got [6, 7, 9]. {TWO}",
    ),
    Wrong(
        "boxes of one image",
        REASONING,
        {"visual_pos": floats(3, 7, 4)},
        ValueError,
        f"visual_pos must be [B, 2, R, 4] (visual_pos_dim); got [3, 7, 4]. {TWO}",
    ),
    Wrong(
        "a box too few in each image",
        REASONING,
        {"visual_pos": floats(3, 2, 6, 4)},
        ValueError,
        "visual_pos must be [B, 2, R, 4] with the B and R of visual_feats; "
        "got visual_feats [3, 2, 7, 9] and visual_pos [3, 2, 6, 4].",
    ),
    Wrong(
        "two images of fewer sentences",
        REASONING,
        {"visual_feats": floats(2, 2, 7, 9), "visual_pos": floats(2, 2, 7, 4)},
        ValueError,
        "input_ids and visual_feats must have the same batch size; got [3, 5] and [2, 2, 7, 9].",
    ),
    Wrong(
        "two images for the model of one",
        ANSWERING,
        {"visual_feats": floats(3, 2, 7, 9), "visual_pos": floats(3, 2, 7, 4)},
        ValueError,
        "visual_feats must be [B, R, 9] (visual_feat_dim); got [3, 2, 7, 9].",
    ),
    Wrong(
        "three sentences for two images",
        REASONING,
        {"input_ids": ints(3, 3, 5), "attention_mask": ints(3, 3, 5), "token_type_ids": ints(3, 3, 5)},
        ValueError,
        "input_ids must be [B, L] or [B, 2, L]; got [3, 3, 5].",
    ),
    Wrong(
        "word vectors of three sentences",
        REASONING,
        {"input_ids": None, "inputs_embeds": floats(3, 3, 5, 24)},
        ValueError,
        "inputs_embeds must be [B, L, 24] or [B, 2, L, 24] (hidden_size); got [3, 3, 5, 24].",
    ),
    Wrong(
        "a mask for each image over one sentence",
        REASONING,
        {"attention_mask": ints(3, 2, 5)},
        ValueError,
        "attention_mask must be [B, L] = [3, 5]; got [3, 2, 5].",
    ),
    Wrong(
        "one mask over two sentences",
        REASONING,
        {"input_ids": ints(3, 2, 5), "token_type_ids": None},
        ValueError,
        "attention_mask must be [B, 2, L] = [3, 2, 5]; got [3, 5].",
    ),
    Wrong(
        "types of one of two sentences",
        REASONING,
        {"input_ids": ints(3, 2, 5), "attention_mask": None},
        ValueError,
        "token_type_ids must be [B, 2, L] = [3, 2, 5]; got [3, 5].",
    ),
    Wrong(
        "a mask over one image",
        REASONING,
        {"visual_attention_mask": ints(3, 7)},
        ValueError,
        "visual_attention_mask must be [B, 2, R] = [3, 2, 7]; got [3, 7].",
    ),
    Wrong(
        "no region in either image",
        REASONING,
        {"visual_feats": floats(3, 2, 0, 9), "visual_pos": floats(3, 2, 0, 4), "visual_attention_mask": None},
        ValueError,
        "visual_feats: R must be at least 1; got 0.",
    ),
    Wrong(
        "no pair",
        REASONING,
        {"input_ids": ints(0, 5), "visual_feats": floats(0, 2, 7, 9), "visual_pos": floats(0, 2, 7, 4), **NO_MASKS},
        ValueError,
        "input_ids: B must be at least 1; got 0.",
    ),
    Wrong(
        "a verdict for each image",
        REASONING,
        {"labels": ints(3, 2)},
        ValueError,
        "labels must be [B] = [3]; got [3, 2].",
    ),
    Wrong(
        "scores of false and true",
        REASONING,
        {"labels": floats(3, 2)},
        TypeError,
        f"labels must hold {INDEX}; got values of kind float.",
    ),
    Wrong(
        "a third verdict",
        REASONING,
        {"labels": ints(3, last=2)},
        ValueError,
        f"labels must be 0 to 1{IGNORED} 0 to 2.",
    ),
]

_LABELS = small_labels()
# Inputs that look odd and are right: a model and a change.
RIGHT: dict[str, tuple[str, dict[str, Any]]] = {
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
