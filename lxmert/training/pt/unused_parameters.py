"""Freezing the parameters that the chosen losses do not use."""

from collections.abc import Collection

from lxmert.pt.pretrained import PreTrainedModel
from lxmert.training.unused_parameters import unused_parameters


def freeze_unused_parameters(model: PreTrainedModel, losses: Collection[str] | None = None) -> tuple[str, ...]:
    """Freeze the parameters that get no gradient from these losses; to be called before the optimizer is made.

    Then DDP needs no search for unused parameters. Nothing is unfrozen.

    Args:
        model: without the wrapper of an engine. Classes of one loss are complete as they are.
        losses: of pre-training: some of "words", "match", "objects", "attributes", "features", "answers"; all that the
            config has switched on by default.

    Returns:
        The names of all parameters that these losses do not use, whether they were frozen before or not.

    Raises:
        ValueError: no loss, or one that is unknown or switched off.
    """
    names = unused_parameters(model.config, model.architecture(), losses)
    for parameter, weight in model.weights_by_name():
        if parameter.name in names:
            weight.requires_grad_(False)
    return names
