"""Wrong inputs to the VisualBERT models and what both backends say to them, in NumPy.

The sizes are those of `small`: B 2, L 5, R 7, S and P 12, D 24, F 9, N 3, 2 layers, 29 words, 8 positions,
11 classes, and 3 choices.
"""

from typing import Any

from . import bad_inputs
from .bad_inputs import IGNORED, INDEX, ONE_OF_TWO, Wrong, floats, ints
from .small import VISUAL_BERT

MODEL, PRETRAINING, CHOOSING, ANSWERING, REASONING, ALIGNING = VISUAL_BERT

BARE = {"attention_mask": None, "token_type_ids": None, "visual_attention_mask": None, "visual_token_type_ids": None}
TEXT = {"visual_embeds": None, "visual_attention_mask": None, "visual_token_type_ids": None}
ALIGNMENT = "image_text_alignment must be [B, R, K] with the regions of visual_embeds, [2, 7], and K word positions"
PHRASES = "region_to_phrase_position must be"
ALIGNED = "must be given: phrases are aligned with regions; got None."
HEAD_MASK = "head_mask must be [3] (num_attention_heads) or [2, 3] (num_hidden_layers before it); got"
OF_REGIONS = "describes regions, but visual_embeds is not given; leave out"
EITHER = "labels must be [B] = [2] (a class index each) or [B, A] = [2, 11] (a score for each answer); got"
SCORES = "labels as rows of scores must be between 0 and 1; got values from"


def wrong(what: str, change: dict[str, Any], message: str, model: str = MODEL) -> Wrong:
    """One wrong input, to the backbone if no other class is named."""
    return bad_inputs.wrong(what, change, message, model)


def of_kind(what: str, change: dict[str, Any], message: str, model: str = MODEL) -> Wrong:
    """One input of the wrong kind."""
    return bad_inputs.of_kind(what, change, message, model)


WRONG = [
    # Words
    wrong("no words", {"input_ids": None}, f"{ONE_OF_TWO} neither."),
    wrong("words twice", {"inputs_embeds": floats(2, 5, 24)}, f"{ONE_OF_TWO} both."),
    wrong("no words to align", {"input_ids": None}, f"{ONE_OF_TWO} neither.", ALIGNING),
    wrong("no words to choose", {"input_ids": None}, f"{ONE_OF_TWO} neither.", CHOOSING),
    wrong("a number for words", {"input_ids": ints()}, "input_ids must be [B, L]; got [].", ALIGNING),
    wrong("ids [L]", {"input_ids": ints(5)}, "input_ids must be [B, L]; got [5]."),
    wrong("ids with choices", {"input_ids": ints(2, 3, 5)}, "input_ids must be [B, L]; got [2, 3, 5].", ANSWERING),
    wrong("ids without choices", {"input_ids": ints(2, 5)}, "input_ids must be [B, choices, L]; got [2, 5].", CHOOSING),
    wrong(
        "narrow word vectors",
        {"input_ids": None, "inputs_embeds": floats(2, 5, 23)},
        "inputs_embeds must be [B, L, 24] (hidden_size); got [2, 5, 23].",
    ),
    wrong(
        "word vectors without choices",
        {"input_ids": None, "inputs_embeds": floats(2, 5, 24)},
        "inputs_embeds must be [B, choices, L, 24] (hidden_size); got [2, 5, 24].",
        CHOOSING,
    ),
    wrong("no example", {"input_ids": ints(0, 5), **BARE, **TEXT}, "input_ids: B must be at least 1; got 0."),
    wrong("no token", {"input_ids": ints(2, 0), **BARE, **TEXT}, "input_ids: L must be at least 1; got 0."),
    wrong(
        "no choice",
        {"input_ids": ints(2, 0, 5), **BARE, **TEXT},
        "input_ids: choices must be at least 1; got 0.",
        CHOOSING,
    ),
    wrong(
        "too many tokens",
        {"input_ids": ints(2, 9), **BARE},
        "input_ids may have at most max_position_embeddings = 8 tokens; got 9. Truncate the text",
    ),
    of_kind("ids as fractions", {"input_ids": floats(2, 5)}, "input_ids must hold integers (token ids); got"),
    wrong("a word too many", {"input_ids": ints(2, 5, last=29)}, "input_ids must be 0 to 28; got values from 0 to 29."),
    wrong("a third type", {"token_type_ids": ints(2, 5, last=2)}, "token_type_ids must be 0 to 1; got values from 0"),
    of_kind("types as fractions", {"token_type_ids": floats(2, 5)}, "token_type_ids must hold integers"),
    # Regions
    wrong(
        "features [B, F]",
        {"visual_embeds": floats(2, 9)},
        "visual_embeds must be [B, R, 9] (visual_embedding_dim); got [2, 9].",
    ),
    wrong(
        "narrow features",
        {"visual_embeds": floats(2, 7, 8)},
        "visual_embeds must be [B, R, 9] (visual_embedding_dim); got [2, 7, 8].",
        REASONING,
    ),
    wrong(
        "features without choices",
        {"visual_embeds": floats(2, 7, 9)},
        "visual_embeds must be [B, choices, R, 9] (visual_embedding_dim); got [2, 7, 9].",
        CHOOSING,
    ),
    wrong(
        "other choices of images",
        {"visual_embeds": floats(2, 4, 7, 9)},
        "input_ids and visual_embeds must have the same batch size and choices; got [2, 3, 5] and [2, 4, 7, 9].",
        CHOOSING,
    ),
    wrong(
        "fewer images than texts",
        {"visual_embeds": floats(1, 7, 9)},
        "input_ids and visual_embeds must have the same batch size; got [2, 5] and [1, 7, 9].",
    ),
    wrong(
        "no region",
        {"visual_embeds": floats(2, 0, 9), **BARE},
        "visual_embeds: R must be at least 1; got 0. For text alone leave visual_embeds out.",
    ),
    of_kind("features as integers", {"visual_embeds": ints(2, 7, 9)}, "visual_embeds must hold floating-point"),
    wrong(
        "a third type of regions",
        {"visual_token_type_ids": ints(2, 7, last=2)},
        "visual_token_type_ids must be 0 to 1; got values from 0 to 2.",
    ),
    of_kind(
        "types of regions as fractions",
        {"visual_token_type_ids": floats(2, 7)},
        "visual_token_type_ids must hold integers (token types); got values of kind float.",
    ),
    *(
        wrong(f"{name} without regions", {**TEXT, name: value}, f"{name} {OF_REGIONS} {name} too.")
        for name, value in (
            ("visual_attention_mask", ints(2, 7)),
            ("visual_token_type_ids", ints(2, 7)),
            ("image_text_alignment", ints(2, 7, 4)),
        )
    ),
    # Masks
    wrong("a short mask", {"attention_mask": ints(2, 4)}, "attention_mask must be [B, L] = [2, 5]; got [2, 4]."),
    wrong(
        "a mask of words and regions",
        {"attention_mask": ints(2, 12)},
        "attention_mask must be [B, L] = [2, 5]; got [2, 12].",
    ),
    wrong(
        "a mask of words for regions",
        {"visual_attention_mask": ints(2, 5)},
        "visual_attention_mask must be [B, R] = [2, 7]; got [2, 5].",
    ),
    wrong(
        "a mask without choices",
        {"attention_mask": ints(2, 5)},
        "attention_mask must be [B, choices, L] = [2, 3, 5]; got [2, 5].",
        CHOOSING,
    ),
    wrong(
        "one row of types",
        {"token_type_ids": ints(1, 5)},
        "token_type_ids must be [B, L] = [2, 5]; got [1, 5].",
    ),
    wrong("a mask of two heads", {"head_mask": floats(2)}, f"{HEAD_MASK} [2]."),
    wrong("a mask of three layers", {"head_mask": floats(3, 3)}, f"{HEAD_MASK} [3, 3]."),
    wrong("a mask of heads for each example", {"head_mask": floats(2, 2, 3)}, f"{HEAD_MASK} [2, 2, 3].", ANSWERING),
    # Positions
    wrong(
        "a position too many", {"position_ids": ints(2, 5, last=8)}, "position_ids must be 0 to 7; got values from 0"
    ),
    wrong("a negative position", {"position_ids": ints(1, 5, last=-1)}, "position_ids must be 0 to 7; got values from"),
    wrong("positions of another length", {"position_ids": ints(2, 4)}, "position_ids must be [B, L] = [2, 5]; got [2,"),
    wrong("positions [L]", {"position_ids": ints(5)}, "position_ids must be [B, L] = [2, 5]; got [5]."),
    wrong(
        "positions without choices",
        {"position_ids": ints(2, 5)},
        "position_ids must be [B, choices, L] = [2, 3, 5]; got [2, 5].",
        CHOOSING,
    ),
    of_kind(
        "positions as fractions",
        {"position_ids": floats(2, 5)},
        "position_ids must hold integers (positions); got values of kind float.",
    ),
    wrong("an alignment of fewer regions", {"image_text_alignment": ints(2, 6, 4)}, f"{ALIGNMENT} for each; got [2, 6"),
    wrong("an alignment of more regions", {"image_text_alignment": ints(2, 8, 4)}, f"{ALIGNMENT} for each; got [2, 8"),
    wrong("an alignment [B, R]", {"image_text_alignment": ints(2, 7)}, f"{ALIGNMENT} for each; got [2, 7]."),
    wrong(
        "an alignment without choices",
        {"image_text_alignment": ints(2, 7, 4)},
        "image_text_alignment must be [B, choices, R, K] with the regions of visual_embeds, [2, 3, 7],",
        CHOOSING,
    ),
    wrong(
        "an alignment with a word too many",
        {"image_text_alignment": ints(2, 7, 4, last=8)},
        "image_text_alignment must be -1 to 7; got values from 0 to 8.",
    ),
    wrong(
        "an alignment filled up with -2",
        {"image_text_alignment": ints(2, 3, 7, 4, last=-2)},
        "image_text_alignment must be -1 to 7; got values from -2 to 0.",
        CHOOSING,
    ),
    of_kind(
        "an alignment of fractions",
        {"image_text_alignment": floats(2, 7, 4)},
        "image_text_alignment must hold integers (positions of words, -1 for none); got values of kind float.",
    ),
    # Phrases
    wrong("no phrases", {"region_to_phrase_position": None}, f"region_to_phrase_position {ALIGNED}", ALIGNING),
    wrong("no regions to align", TEXT, f"visual_embeds {ALIGNED}", ALIGNING),
    wrong("phrases [P]", {"region_to_phrase_position": ints(12)}, f"{PHRASES} [B, P] = [2, ?], P positions", ALIGNING),
    wrong("no phrase", {"region_to_phrase_position": ints(2, 0)}, f"{PHRASES} [B, P] = [2, ?], P positions", ALIGNING),
    wrong(
        "phrases of one text more",
        {"region_to_phrase_position": ints(3, 12)},
        f"{PHRASES} [B, P] = [2, ?], P positions of phrases; got [3, 12].",
        ALIGNING,
    ),
    wrong(
        "a phrase behind the sequence",
        {"region_to_phrase_position": ints(2, 4, last=12)},
        f"{PHRASES} -1 to 11; got values from 0 to 12.",
        ALIGNING,
    ),
    wrong(
        "a phrase before the sequence",
        {"region_to_phrase_position": ints(2, 4, last=-2)},
        f"{PHRASES} -1 to 11; got values from -2 to 0.",
        ALIGNING,
    ),
    of_kind(
        "phrases as fractions",
        {"region_to_phrase_position": floats(2, 12)},
        "region_to_phrase_position must hold integers (positions in the sequence, -1 for none); got values of",
        ALIGNING,
    ),
    # Labels
    wrong("words only", {"labels": ints(2, 5)}, "labels must be [B, L + R] = [2, 12]; got [2, 5].", PRETRAINING),
    wrong("an unknown word", {"labels": ints(2, 12, last=29)}, f"labels must be 0 to 28{IGNORED} 0 to", PRETRAINING),
    wrong("a negative word", {"labels": ints(2, 12, last=-1)}, f"labels must be 0 to 28{IGNORED} -1", PRETRAINING),
    of_kind("words as fractions", {"labels": floats(2, 12)}, f"labels must hold {INDEX}; got values", PRETRAINING),
    wrong(
        "a match for each word",
        {"sentence_image_labels": ints(2, 12)},
        "sentence_image_labels must be [B] = [2]; got [2, 12].",
        PRETRAINING,
    ),
    wrong(
        "a third match",
        {"sentence_image_labels": ints(2, last=2)},
        f"sentence_image_labels must be 0 to 1{IGNORED} 0 to 2.",
        PRETRAINING,
    ),
    wrong("a score for each choice", {"labels": ints(2, 3)}, "labels must be [B] = [2]; got [2, 3].", CHOOSING),
    wrong("a fourth choice", {"labels": ints(2, last=3)}, f"labels must be 0 to 2{IGNORED} 0 to 3.", CHOOSING),
    of_kind("a choice as a fraction", {"labels": floats(2)}, f"labels must hold {INDEX}; got values of", CHOOSING),
    wrong("an answer too few", {"labels": ints(1)}, "labels must be [B] = [2]; got [1].", ANSWERING),
    wrong("narrow scores", {"labels": floats(2, 10)}, f"{EITHER} [2, 10].", ANSWERING),
    wrong("scores [B, 2, A]", {"labels": floats(2, 2, 11)}, f"{EITHER} [2, 2, 11].", ANSWERING),
    wrong("an unknown answer", {"labels": ints(2, last=11)}, f"labels must be 0 to 10{IGNORED} 0 to 11.", ANSWERING),
    wrong("scores above 1", {"labels": floats(2, 11, last=1.5)}, f"{SCORES} 0.0 to 1.5.", ANSWERING),
    wrong("scores below 0", {"labels": floats(2, 11, last=-0.5)}, f"{SCORES} -0.5 to 0.0.", ANSWERING),
    of_kind("an answer as a fraction", {"labels": floats(2)}, f"labels must hold {INDEX}; got values of", ANSWERING),
    wrong("a class for each pair", {"labels": ints(1)}, "labels must be [B] = [2]; got [1].", REASONING),
    wrong("a class too many", {"labels": ints(2, last=11)}, f"labels must be 0 to 10{IGNORED} 0 to 11.", REASONING),
    of_kind("classes as fractions", {"labels": floats(2)}, f"labels must hold {INDEX}; got values of", REASONING),
    wrong(
        "a region for each phrase",
        {"labels": ints(2, 12)},
        "labels must be [B, P, R] = [2, 12, 7] (for each phrase a score of every region); got [2, 12].",
        ALIGNING,
    ),
    wrong(
        "labels of more phrases",
        {"region_to_phrase_position": ints(2, 4), "labels": floats(2, 12, 7)},
        "labels must be [B, P, R] = [2, 4, 7] (for each phrase a score of every region); got [2, 12, 7].",
        ALIGNING,
    ),
    wrong("aligned above 1", {"labels": floats(2, 12, 7, last=1.5)}, f"{SCORES} 0.0 to 1.5.", ALIGNING),
    # Names
    *(
        of_kind(
            f"a misspelled input of {name}", {"visual_embed": floats(2, 7, 9)}, "Did you mean 'visual_embeds'?", name
        )
        for name in VISUAL_BERT
    ),
    of_kind("LXMERT's features", {"visual_feats": floats(2, 7, 9)}, "unexpected keyword 'visual_feats'. Did you mean"),
    of_kind("a label for the backbone", {"labels": ints(2)}, "VisualBertModel: unexpected keyword 'labels'."),
    of_kind("phrases to answer", {"region_to_phrase_position": ints(2, 12)}, "unexpected keyword", ANSWERING),
    wrong(
        "maps of some kind",
        {"output_attentions": "some"},
        'output_attentions must be True, False, None, "all" or "used"',
    ),
]
