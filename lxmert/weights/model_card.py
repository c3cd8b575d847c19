"""The model card that is uploaded with a model: README.md with a header that the hub reads."""

from __future__ import annotations

import json
from collections.abc import Sequence

from lxmert.common.config.base import ModelConfig
from lxmert.common.specs import class_spec

from .naming.tables import MODELS

README_NAME = "README.md"

# The pipelines of the hub, by our tasks.
_PIPELINES = {"question-answering": "visual-question-answering"}


def model_card(config: ModelConfig, architecture: str, class_name: str, repo_id: str, tags: Sequence[str] = ()) -> str:
    """The text of a model card. It states no license, which is the user's to choose.

    Args:
        config: the model's configuration.
        architecture: its row in the table of specs.
        class_name: the name of its class, another one for a user's own class.
        repo_id: where it is uploaded.
        tags: in addition to the model type and the task.
    """
    task, model = class_spec(architecture).task, MODELS[config.model_type]
    header = ["---", "library_name: lxmert"]
    if task in _PIPELINES:
        header.append(f"pipeline_tag: {_PIPELINES[task]}")
    header.append("tags:")
    # A text in JSON is one in YAML too.
    header += [f"- {json.dumps(tag)}" for tag in dict.fromkeys((config.model_type, task, *tags))]
    rows = [f"| `{name}` | {getattr(config, name)} |" for name in (*model.described_by, *model.layers)]
    own = class_name != architecture
    loading = [
        "```python",
        f"from {'my_module' if own else 'lxmert'} import {class_name}",
        "",
        f'model = {class_name}.from_pretrained("{repo_id}")',
        "```",
    ]
    if not own:
        loading += ["", f"In Keras the class is `TF{class_name}`."]
    return "\n".join(
        [
            *header,
            "---",
            "",
            f"# {repo_id.rpartition('/')[2]}",
            "",
            f"A {model.title} model ({model.paper}), saved from the class `{class_name}`; its task is {task}.",
            "",
            "| size | |",
            "|---|---|",
            *rows,
            "",
            "## Load it",
            "",
            *loading,
            "",
            "## License",
            "",
            "Not stated yet: add `license` to the header of this file.",
            "",
        ]
    )
