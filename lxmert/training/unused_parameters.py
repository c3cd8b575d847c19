"""The parameters that a choice of pre-training losses does not use.

An unused parameter gets no gradient. DDP would hang, or search for such parameters in every step; Keras
warns about it. So it is frozen before training.
"""

from collections.abc import Collection

from lxmert.common.config import LxmertConfig
from lxmert.common.config.base import ModelConfig
from lxmert.common.specs import spec_of
from lxmert.weights.naming.key_mapping import parameters
from lxmert.weights.naming.tables import head_names


def pretraining_losses(config: ModelConfig, architecture: str) -> tuple[str, ...]:
    """The losses that a class can be pre-trained on, in the order in which it names them; none for other classes.

    Args:
        config: says which tasks are switched off.
        architecture: a class name without the prefix TF.
    """
    spec = spec_of(architecture)
    if len(spec.losses) < 2:
        return ()
    heads = head_names(architecture, config)
    on = ((name, loss) for name, loss in spec.losses.items() if loss.switch is None or getattr(config, loss.switch))
    return tuple(name for name, loss in on if loss.head in heads)


def unused_parameters(config: ModelConfig, architecture: str, losses: Collection[str] | None = None) -> tuple[str, ...]:
    """The names of the parameters that get no gradient from these losses, in the order of the table.

    Parameters that a class never uses, and freezes when it is made, are not among them.

    Args:
        config: sizes, layer counts and switches.
        architecture: a class name without the prefix TF. Classes with one loss use all that they train.
        losses: some of "words", "match", "objects", "attributes", "features", "answers"; all that the config has
            switched on by default.

    Raises:
        ValueError: no loss, or one that is unknown or switched off.
    """
    possible = pretraining_losses(config, architecture)
    if not possible:
        return ()
    chosen = set(possible if losses is None else losses)
    if not chosen or not chosen <= set(possible):
        given = ", ".join(sorted(chosen)) or "none"
        raise ValueError(
            f"{architecture} can be trained on the losses {', '.join(possible)} under this config; got {given}. Pass "
            "one or more of these, or switch the task on in the config (task_..., visual_..._loss)."
        )
    losses_of_class = spec_of(architecture).losses
    off = [
        f"heads.{loss.head}." + (f"{loss.part}." if loss.part else "")
        for name, loss in losses_of_class.items()
        if name not in chosen
    ]
    heads = {losses_of_class[name].head for name in chosen}
    pooled = bool(heads & {"match", "answer"})
    off += [] if pooled else ["pooler."]
    if isinstance(config, LxmertConfig):
        last = f"cross_layers.{config.x_layers - 1}"
        if "object" not in heads:
            off += ["heads.object.", f"{last}.visual_self_attention.", f"{last}.visual_feed_forward."]
        if not pooled and "word" not in heads:
            off += [f"{last}.language_self_attention.", f"{last}.language_feed_forward."]
    names = (p.name for p in parameters(config, head_names(architecture, config)))
    return tuple(name for name in names if name.startswith(tuple(off)))
