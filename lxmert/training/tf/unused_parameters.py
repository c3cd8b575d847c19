"""Freezing the parameters that the chosen losses do not use."""

from collections.abc import Collection

from lxmert.tf.pretrained import PreTrainedModel
from lxmert.training.unused_parameters import unused_parameters


def freeze_unused_parameters(model: PreTrainedModel, losses: Collection[str] | None = None) -> tuple[str, ...]:
    """Freeze the parameters that get no gradient from these losses; to be called before the model is compiled.

    Then Keras does not warn of missing gradients. Nothing is unfrozen.

    Args:
        model: classes of one loss are complete as they are.
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
            weight.trainable = False
    return names
