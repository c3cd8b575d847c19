"""Which parameters a choice of pre-training losses reaches.

A parameter that no loss reaches gets no gradient. Engines of several processes wait for it in vain, or search for such
parameters in every step; Keras warns of it. So it is frozen beforehand, and what is frozen follows from the table.
"""

from collections.abc import Collection

from lxmert.common.config import LxmertConfig
from lxmert.common.config.base import ModelConfig
from lxmert.weights.naming.key_mapping import parameters
from lxmert.weights.naming.tables import head_names

_OBJECTS = {"objects": "obj", "attributes": "attr", "features": "feat"}  # loss -> its layer in the object head


def pretraining_losses(config: ModelConfig, architecture: str) -> tuple[str, ...]:
    """The losses that a class can be pre-trained on, in the order in which it names them; none for other classes.

    Args:
        config: says which tasks are switched off.
        architecture: a class name without the prefix TF.
    """
    if architecture == "VisualBertForPreTraining":
        return ("words", "match")
    if architecture != "LxmertForPreTraining" or not isinstance(config, LxmertConfig):
        return ()
    on = {
        "words": config.task_mask_lm,
        "match": config.task_matched,
        **{name: config.task_obj_predict and key in config.visual_losses for name, key in _OBJECTS.items()},
        "answers": config.task_qa,
    }
    return tuple(name for name, asked in on.items() if asked)


def unused_parameters(config: ModelConfig, architecture: str, losses: Collection[str] | None = None) -> tuple[str, ...]:
    """The names of the parameters that get no gradient from these losses, in the order of the table.

    Parameters that a class never uses, and freezes when it is made, are not among them.

    Args:
        config: sizes, layer counts and switches.
        architecture: a class name without the prefix TF. A class of another kind than pre-training has one loss, which
            reaches everything that is trained: nothing is left over.
        losses: some of "words", "match", "objects", "attributes", "features", "answers"; all that the config has
            switched on by default.

    Raises:
        ValueError: no loss, or one that is unknown or switched off.
    """
    possible = pretraining_losses(config, architecture)
    if not possible:
        return ()
    asked = set(possible if losses is None else losses)
    if not asked or not asked <= set(possible):
        given = ", ".join(sorted(asked)) or "none"
        raise ValueError(
            f"{architecture} can be trained on the losses {', '.join(possible)} under this config; got {given}. Give "
            "one or more of these, or switch the task on in the config (task_..., visual_..._loss)."
        )
    pooled = bool(asked & {"match", "answers"})
    off = [
        f"heads.{head}."
        for head, loss in (("word", "words"), ("match", "match"), ("answer", "answers"))
        if loss not in asked
    ]
    off += [] if pooled else ["pooler."]
    if architecture == "LxmertForPreTraining":
        regions = asked & set(_OBJECTS)
        off += [f"heads.object.{key}." for loss, key in _OBJECTS.items() if loss not in asked]
        last = f"cross_layers.{config.x_layers - 1}"
        if not regions:
            off += ["heads.object.", f"{last}.visual_self_attention.", f"{last}.visual_feed_forward."]
        if not pooled and "words" not in asked:
            off += [f"{last}.language_self_attention.", f"{last}.language_feed_forward."]
    names = (p.name for p in parameters(config, head_names(architecture, config)))
    return tuple(name for name in names if name.startswith(tuple(off)))
