"""Wrong labels of LXMERT and what both backends say to them; the sizes are those of `bad_inputs`."""

import numpy as np

from .bad_inputs import ANSWERING, IGNORED, INDEX, PRETRAINING, REASONING, floats, ints, of_kind, wrong

EITHER_ANSWER = "must be [B] = [3] (a class index each) or [B, A] = [3, 11] (a score for each answer); got"
SCORES = "labels as rows of scores must be between 0 and 1"

WRONG = [
    # Labels of answers
    wrong("an answer too few", {"labels": ints(2)}, "labels must be [B] = [3]; got [2].", ANSWERING),
    wrong("narrow scores", {"labels": floats(3, 10)}, f"labels {EITHER_ANSWER} [3, 10].", ANSWERING),
    wrong("an unknown answer", {"labels": ints(3, last=11)}, f"labels must be 0 to 10{IGNORED} 0 to 11.", ANSWERING),
    wrong("a negative answer", {"labels": ints(3, last=-1)}, f"labels must be 0 to 10{IGNORED} -1 to 0.", ANSWERING),
    of_kind(
        "an answer as a fraction",
        {"labels": floats(3)},
        f"labels must hold {INDEX}; got values of kind float.",
        ANSWERING,
    ),
    wrong("scores above 1", {"labels": floats(3, 11, last=1.5)}, f"{SCORES}; got values from 0.0 to 1.5.", ANSWERING),
    wrong("scores that are not numbers", {"labels": floats(3, 11, last=np.nan)}, f"{SCORES}", ANSWERING),
    # Labels of pre-training
    wrong(
        "words of another length", {"labels": ints(3, 7)}, "labels must be [B, L] = [3, 5]; got [3, 7].", PRETRAINING
    ),
    wrong("an unknown word", {"labels": ints(3, 5, last=29)}, f"labels must be 0 to 28{IGNORED} 0 to 29.", PRETRAINING),
    of_kind(
        "words as fractions",
        {"labels": floats(3, 5)},
        f"labels must hold {INDEX}; got values of kind float.",
        PRETRAINING,
    ),
    wrong(
        "words twice over",
        {"labels": ints(3, 5), "masked_lm_labels": ints(3, 5)},
        "labels and masked_lm_labels are two names of one argument; got both.",
        PRETRAINING,
    ),
    wrong(
        "a match for each answer",
        {"matched_label": ints(3, 2)},
        "matched_label must be [B] = [3]; got [3, 2].",
        PRETRAINING,
    ),
    wrong(
        "a third match",
        {"matched_label": ints(3, last=2)},
        f"matched_label must be 0 to 1{IGNORED} 0 to 2.",
        PRETRAINING,
    ),
    of_kind("a match as a fraction", {"matched_label": floats(3)}, f"matched_label must hold {INDEX}", PRETRAINING),
    wrong(
        "an unknown answer to pre-train on",
        {"ans": ints(3, last=11)},
        f"ans must be 0 to 10{IGNORED} 0 to 11.",
        PRETRAINING,
    ),
    wrong("a cube of answers", {"ans": ints(3, 11, 1)}, f"ans {EITHER_ANSWER} [3, 11, 1].", PRETRAINING),
    of_kind(
        "objects without names",
        {"obj_labels": (ints(3, 7), floats(3, 7))},
        "obj_labels must be a mapping of obj, attr, feat to (label, confidence); got tuple.",
        PRETRAINING,
    ),
    wrong(
        "objects under another name",
        {"obj_labels": {"object": (ints(3, 7), floats(3, 7))}},
        "obj_labels may have the keys obj, attr and feat; got 'object'.",
        PRETRAINING,
    ),
    wrong(
        "objects without confidence",
        {"obj_labels": {"obj": (ints(3, 7),)}},
        "obj_labels['obj'] must be a pair (label, confidence); got",
        PRETRAINING,
    ),
    wrong(
        "objects of fewer regions",
        {"obj_labels": {"obj": (ints(3, 5), floats(3, 7))}},
        "obj_labels['obj'][0] must be [B, R] = [3, 7]; got [3, 5].",
        PRETRAINING,
    ),
    wrong(
        "an unknown object",
        {"obj_labels": {"obj": (ints(3, 7, last=6), floats(3, 7))}},
        f"obj_labels['obj'][0] must be 0 to 5{IGNORED} 0 to 6.",
        PRETRAINING,
    ),
    of_kind(
        "attributes as fractions",
        {"obj_labels": {"attr": (floats(3, 7), floats(3, 7))}},
        f"obj_labels['attr'][0] must hold {INDEX}",
        PRETRAINING,
    ),
    wrong(
        "confidences of fewer regions",
        {"obj_labels": {"attr": (ints(3, 7), floats(3, 5))}},
        "obj_labels['attr'][1] must be [B, R] = [3, 7]; got [3, 5].",
        PRETRAINING,
    ),
    wrong(
        "narrow features to predict",
        {"obj_labels": {"feat": (floats(3, 7, 8), floats(3, 7))}},
        "obj_labels['feat'][0] must be [B, R, F] = [3, 7, 9]; got [3, 7, 8].",
        PRETRAINING,
    ),
    of_kind(
        "features to predict as integers",
        {"obj_labels": {"feat": (ints(3, 7, 9), floats(3, 7))}},
        "obj_labels['feat'][0] must hold floating-point numbers; got values of kind int.",
        PRETRAINING,
    ),
    # Labels of two images
    wrong("a verdict for each image", {"labels": ints(3, 2)}, "labels must be [B] = [3]; got [3, 2].", REASONING),
    of_kind(
        "scores of false and true",
        {"labels": floats(3, 2)},
        f"labels must hold {INDEX}; got values of kind float.",
        REASONING,
    ),
    wrong("a third verdict", {"labels": ints(3, last=2)}, f"labels must be 0 to 1{IGNORED} 0 to 2.", REASONING),
]
