"""Config files for `lxmert train` next to a synthetic data set: small models that learn it in minutes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_SHARED_MODEL: dict[str, Any] = {
    "hidden_size": 96,
    "num_attention_heads": 4,
    "intermediate_size": 192,
    "max_position_embeddings": 32,
    # Synthetic images follow exact rules, which dropout keeps a model from learning.
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    # The usual 0.02 suits widths near 768. With it, narrow layers learn only easy answers for many epochs: colours,
    # but not relations.
    "initializer_range": 0.1,
}
SMALL_MODELS: dict[str, dict[str, Any]] = {
    "lxmert": {**_SHARED_MODEL, "l_layers": 1, "x_layers": 2, "r_layers": 1},
    "visual_bert": {**_SHARED_MODEL, "num_hidden_layers": 4},
}
"""Fields of their configurations, by architecture."""
_SHARED: dict[str, Any] = {
    "recipe": "adamw",
    "batch_size": 64,
    "learning_rate": 1e-3,
    "max_grad_norm": 1.0,
    "text_length": 20,
    "features": ["regions"],
    "vocabulary": "vocab.txt",
}
_TABLE = "trainval_label2ans.json"


def example_configs(settings: Mapping[str, Mapping[str, Any]], objects: int, attributes: int) -> dict[str, str]:
    """The config files by name: `TASK.toml` for LXMERT, `TASK-visual-bert.toml` for VisualBERT.

    Args:
        settings: of each task, in addition to the shared ones; "epochs" at least. Those under "TASK-visual-bert", where
            there are any, are VisualBERT's.
        objects, attributes: the numbers of object and attribute labels.
    """
    texts = ["captions", "questions"]
    files: dict[str, dict[str, Any]] = {
        "pretrain": {
            "train": [f"pretrain/{text}_train.json" for text in texts],
            "valid": [f"pretrain/{text}_valid.json" for text in texts],
        },
        # Each question has one correct answer, which is learned faster with cross-entropy than with scores.
        **{
            task: {
                "train": [f"{task}/train.json"],
                "valid": [f"{task}/valid.json"],
                "answers": f"{task}/{_TABLE}",
                "answer_labels": "best",
            }
            for task in ("vqa", "gqa")
        },
        "nlvr2": {"train": ["nlvr2/train.json"], "valid": ["nlvr2/valid.json"]},
    }
    found = {}
    for architecture, sizes in SMALL_MODELS.items():
        for task, own in files.items():
            stem = task if architecture == "lxmert" else f"{task}-{architecture.replace('_', '-')}"
            given = dict(settings.get(stem, settings[task]))
            model = {**sizes, **given.pop("model_config", {})}
            values = {"architecture": architecture, **own, **_SHARED, **given}
            if architecture == "lxmert":
                model |= {"num_object_labels": objects, "num_attr_labels": attributes}
                values |= {"answers": "pretrain/all_ans.json"} if task == "pretrain" else {}
            lines = [f"# lxmert train {task} --config {stem}.toml --output FOLDER"]
            lines += [f"{field} = {json.dumps(value)}" for field, value in values.items()]
            lines += ["", "[model_config]", *(f"{field} = {json.dumps(value)}" for field, value in model.items())]
            found[f"{stem}.toml"] = "\n".join(lines) + "\n"
    return found
