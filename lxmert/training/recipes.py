"""The tasks, what each model can be pre-trained on, and the values of both models' authors."""

from __future__ import annotations

from typing import Any

from lxmert.common.config import CONFIGS
from lxmert.common.specs import SPECS
from lxmert.utils.setting_names import setting

TASKS = {
    "pretrain": "sentences and questions, with masked words and regions, mismatched pairs and answers",
    "vqa": "questions of VQA v2, in the authors' or the official layout",
    "gqa": "questions of GQA, in the authors' or the official layout",
    "nlvr2": "statements about two images of NLVR2, in the authors' or the official layout",
    "vcr": "questions of VCR, with answers or with reasons to choose from (VisualBERT)",
    "flickr30k": "phrases of Flickr30K Entities, and the regions that they name (VisualBERT)",
}
"""What each task trains on: the one list of their names."""
PREDICTED = tuple(name for name in TASKS if name != "pretrain")
"""The tasks whose models predict something, for `lxmert predict`."""
ARCHITECTURES = tuple(CONFIGS)
"""The kinds of models, by the model type of their configuration."""
LOSSES = {SPECS[name].model: tuple(SPECS[name].losses) for name in ("LxmertForPreTraining", "VisualBertForPreTraining")}
"""What each kind of model can be pre-trained on, by the names of the losses."""

_GROUNDED = {"batch_size": 32, "evaluate_batch_size": 32, "max_grad_norm": 1.0}
_VISUAL_BERT = {"batch_size": 64, "learning_rate": 2e-5, "epochs": 10, "text_length": 128}
# What the authors' scripts of each task say; what all share are the defaults in `Settings`.
ORIGINAL: dict[str, dict[str, dict[str, Any]]] = {
    "lxmert": {
        "pretrain": {"batch_size": 256, "learning_rate": 1e-4, "epochs": 20, "warm_up": 0.05, "max_grad_norm": 1.0},
        "vqa": {"batch_size": 32, "learning_rate": 5e-5, "epochs": 4},
        "gqa": {"batch_size": 32, "learning_rate": 1e-5, "epochs": 4},
        "nlvr2": {"batch_size": 32, "learning_rate": 5e-5, "epochs": 4},
    },
    "visual_bert": {
        "pretrain": {
            **_VISUAL_BERT,
            "batch_size": 48,
            "learning_rate": 5e-5,
            "max_grad_norm": 1.0,
            "losses": LOSSES["visual_bert"],
        },
        "vqa": {**_VISUAL_BERT, "max_grad_norm": 0.25},
        "gqa": {**_VISUAL_BERT, "max_grad_norm": 0.25},  # the authors have no GQA: as VQA
        "nlvr2": {**_VISUAL_BERT, "max_grad_norm": 1.0},  # batch size and epochs are not published: as VQA
        "vcr": {**_VISUAL_BERT, **_GROUNDED, "epochs": 8},
        "flickr30k": {**_VISUAL_BERT, **_GROUNDED, "epochs": 5, "box_features": True},
    },
}
_EPOCHS_OF_RATIONALES = 12  # of VCR
SETTINGS_OF: dict[str, tuple[str, ...]] = {
    "losses": ("pretrain",),
    "answers": ("pretrain", "vqa", "gqa"),
    "model_answers": ("pretrain", "vqa", "gqa"),
    "answer_labels": ("vqa", "gqa"),
    "answer_scores": ("vqa", "gqa"),
    "answer_min_count": ("vqa", "gqa"),
    "choices": ("vcr",),
    "box_features": ("flickr30k",),
}
"""The tasks that a setting is for, of those that are not for all."""
RECIPES = {"original": "bert_adam", "adamw": "adamw"}
"""The authors' values with their optimizer; and the same with AdamW, which does not decay biases and norms."""


def architectures(task: str) -> tuple[str, ...]:
    """The kinds of models that are trained for a task, the usual one first; all of them for an unknown task."""
    return tuple(name for name, recipes in ORIGINAL.items() if task in recipes) or ARCHITECTURES


def recipe_values(recipe: str, architecture: str, task: str, choices: str | None = None) -> dict[str, Any]:
    """The values of a recipe for a kind of model, a task, and what it chooses there.

    Raises:
        ValueError: models of this kind are not trained for the task.
    """
    if task not in ORIGINAL[architecture]:
        known = ", ".join(architectures(task))
        raise ValueError(f"{setting('architecture')} must be {known} for the task {task}; got {architecture!r}.")
    values = {"optimizer": RECIPES[recipe], "architecture": architecture, **ORIGINAL[architecture][task]}
    return {**values, "epochs": _EPOCHS_OF_RATIONALES} if choices == "rationales" and task == "vcr" else values
