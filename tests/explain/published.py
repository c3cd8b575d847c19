"""What the published code of Chefer, Gur and Wolf computed, from tests/golden; each README there says how."""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lxmert.explain.gradients import AttentionGradients

GOLDEN = Path(__file__).parents[1] / "golden"
# Relative to the largest element, in float64. Measured: 1e-15 from the stored maps, 2e-14 from the models.
TOLERANCE = 1e-12


class Model(NamedTuple):
    """A model of the files: its folder, its class, its inputs, and for each of our methods the name of theirs."""

    folder: str
    architecture: str
    inputs: tuple[str, ...]
    methods: dict[str, str]


_SHARED = {
    "relevancy": "ours",
    "raw_attention": "raw_attention",
    "attention_grad_cam": "attention_gradcam",
    "attention_rollout": "rollout",
}
MODELS = {
    "lxmert": Model(
        "relevancy",
        "LxmertForQuestionAnswering",
        ("input_ids", "token_type_ids", "attention_mask", "visual_feats", "visual_pos"),
        {
            **_SHARED,
            "relevancy_no_normalization": "ours_no_norm",
            "relevancy_no_self_attention": "ours_no_self10",
        },
    ),
    "visual_bert": Model(
        "relevancy_visual_bert",
        "VisualBertForQuestionAnswering",
        (
            "input_ids",
            "token_type_ids",
            "attention_mask",
            "visual_embeds",
            "visual_attention_mask",
            "visual_token_type_ids",
        ),
        _SHARED,
    ),
}
CASES = [(model_type, f"case{number}") for model_type in MODELS for number in range(3)]
_BLOCKS = {
    "language_attentions": "language",
    "vision_attentions": "visual",
    "cross_encoder_attentions": "cross_t_i",
    "cross_encoder_vision_attentions": "cross_i_t",
    "cross_encoder_language_self_attentions": "cross_t_t",
    "cross_encoder_vision_self_attentions": "cross_i_i",
}


@cache
def stored(model_type: str, name: str = "cases") -> dict[str, np.ndarray]:
    """The arrays of a file."""
    with np.load(GOLDEN / MODELS[model_type].folder / f"{name}.npz") as file:
        return {key: file[key] for key in file}


def inputs(model_type: str, case: str) -> dict[str, np.ndarray]:
    """The inputs of a case by argument name."""
    return {name: stored(model_type)[f"{case}/{name}"] for name in MODELS[model_type].inputs}


def maps(model_type: str, case: str) -> AttentionGradients:
    """The maps and gradients of a case, as a model gives them: None for layers without a gradient."""
    arrays, attention, gradients = stored(model_type), {}, {}
    for name, block in (_BLOCKS if model_type == "lxmert" else {"attentions": ""}).items():
        prefix = f"{case}/maps/{block}/" if block else f"{case}/maps/"
        attention[name] = tuple(arrays[f"{prefix}attention"][:, None])
        reached = tuple(arrays[f"{prefix}gradient"][:, None])
        gradients[name] = reached + (None,) * (len(attention[name]) - len(reached))
    return AttentionGradients(np.zeros(1, np.int64), np.zeros(1), attention, gradients)


def expected(model_type: str, case: str, method: str) -> dict[str, np.ndarray]:
    """The arrays of a method by the names of an `Explanation`, [1, ...]; without matrices that they do not compute."""
    theirs = {
        name.rpartition("/")[2]: array[None]
        for name, array in stored(model_type).items()
        if name.startswith(f"{case}/{MODELS[model_type].methods[method]}/")
    }
    found = {name: theirs[name] for name in ("words", "regions")}
    if model_type == "visual_bert":
        return found | (_blocks(case, theirs["R"]) if "R" in theirs else {})
    computed = {"language_to_language": "R_t_t", "language_to_vision": "R_t_i"}
    if method.startswith("relevancy"):
        computed |= {"vision_to_language": "R_i_t"}
    if method.startswith("relevancy") or method == "attention_rollout":
        computed |= {"vision_to_vision": "R_i_i"}
    return found | {ours: theirs[name] for ours, name in computed.items()}


def _blocks(case: str, matrix: np.ndarray) -> dict[str, np.ndarray]:
    """The blocks of VisualBERT's matrix, which is stored before the entry that is set to 0."""
    arrays, matrix = stored("visual_bert"), matrix.copy()
    row, length = int(arrays[f"{case}/row"]), arrays[f"{case}/input_ids"].shape[1]
    matrix[:, row, row] = 0
    language, vision = slice(length), slice(length, None)
    return {
        "language_to_language": matrix[:, language, language],
        "language_to_vision": matrix[:, language, vision],
        "vision_to_language": matrix[:, vision, language],
        "vision_to_vision": matrix[:, vision, vision],
    }
