"""What a run begins with: its tokenizer, its table of answers, and a model, fresh or from any published weights."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lxmert.common.config import config_from_dict
from lxmert.common.specs import SPECS
from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.data.features import RegionStore
from lxmert.utils.messages import first_few
from lxmert.utils.paths import CONFIG_NAME
from lxmert.weights.answer_vocabulary import read_answer_vocabulary
from lxmert.weights.convert import convert
from lxmert.weights.open import open_checkpoint

from .checkpoints import ANSWERS_NAME
from .settings import Settings
from .tasks import TASKS

# As in the original: the visual losses weigh 1 / 0.15. (transformers rounds it to 6.67.)
_VISUAL_WEIGHT = 1 / 0.15


def open_tokenizer(settings: Settings) -> LxmertTokenizer:
    """The tokenizer that the settings name, or else that of the weights.

    Raises:
        ValueError: neither is there.
        OSError: it cannot be read.
    """
    source = settings.vocabulary or settings.model
    if source is None:
        raise ValueError(
            "vocabulary must be given for a model from scratch: a vocab.txt, or a folder with a tokenizer."
        )
    if Path(source).is_file() and settings.vocabulary:
        return LxmertTokenizer(source)
    try:
        return LxmertTokenizer.from_pretrained(source)
    except OSError as error:
        if settings.vocabulary:
            raise
        raise ValueError(f"{source} has no tokenizer beside its weights ({error}). Give vocabulary.") from None


def open_answers(settings: Settings) -> list[str]:
    """The table of answers that the settings name, or else that of the weights; empty where the task needs none.

    Raises:
        ValueError: there is none, or no table in the file.
    """
    if not TASKS[settings.task].has_answers or (settings.task == "pretrain" and "answers" not in settings.losses):
        return []
    source = settings.answers or _answers_beside(settings.model)
    if source is None:
        raise ValueError(
            "answers must be given: the table of answers that the model is to choose from, in the order of its scores "
            "(trainval_label2ans.json, trainval_ans2label.json, all_ans.json, ...)."
        )
    return read_answer_vocabulary(source)


def _answers_beside(model: str | None) -> str | None:
    path = Path(model) / ANSWERS_NAME if model is not None else None
    return str(path) if path is not None and path.is_file() else None


def make_model(
    settings: Settings,
    kind: Any,
    store: RegionStore,
    tokenizer: LxmertTokenizer,
    answers: Sequence[str],
    say: Callable[[str], None] = lambda text: None,
    **options: Any,
) -> Any:
    """The model that a run begins with.

    From scratch it is as large as `model_config` says, and in what that leaves open as the published ones. Weights keep
    their sizes. An answer head is taken over by the text of the answers where both tables are known; where only the
    number of answers is, a head of the same number is kept; any other head begins fresh.

    Args:
        settings: the run's.
        kind: the model class of the backend.
        store: the regions; it tells the size of their features.
        tokenizer: tells the number of words.
        answers: the table of answers.
        say: told what was taken over and what begins fresh.
        options: what the class takes when it is made, such as `dtype`.

    Raises:
        ValueError: weights, vocabulary, features or answers that do not fit each other.
    """
    sizes: dict[str, Any] = {"visual_feat_dim": store.feature_size}
    if answers:
        sizes["num_qa_labels"] = len(answers)
    if settings.task == "pretrain":
        losses = SPECS["LxmertForPreTraining"].losses
        sizes |= {loss.switch: name in settings.losses for name, loss in losses.items() if loss.switch}
        sizes["task_obj_predict"] = bool({"objects", "attributes", "features"} & set(settings.losses))
        sizes["visual_loss_normalizer"] = _VISUAL_WEIGHT
    if settings.model is None:
        values = {"model_type": "lxmert", "vocab_size": len(tokenizer), **sizes, **settings.model_config}
        config = config_from_dict(values)
        _check_sizes(config, settings, tokenizer, store, answers)
        return kind(config, **options)
    _check_function(settings, settings.model, kind)
    table = settings.model_answers or _answers_beside(settings.model)
    if not answers or table is None or read_answer_vocabulary(table) == list(answers):
        return _loaded(settings, kind, settings.model, sizes, tokenizer, store, answers, say, options)
    if settings.answers is None:
        raise ValueError("model_answers is the table of the weights; give the table of this task too, as answers.")
    with tempfile.TemporaryDirectory() as folder:
        found = convert(settings.model, folder, answers=(table, settings.answers), **settings.model_config)
        if found.answers is not None:
            say(f"the answer head begins with {found.answers[1]:,} of {found.answers[0]:,} answers from the weights")
        return _loaded(settings, kind, folder, sizes, tokenizer, store, answers, say, options)


# Fields of a configuration that decide what the weights mean.
_FUNCTION = (
    "hidden_size",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "l_layers",
    "x_layers",
    "r_layers",
    "max_position_embeddings",
    "type_vocab_size",
    "visual_feat_dim",
    "visual_pos_dim",
    "layer_norm_eps",
)


def _check_function(settings: Settings, source: str, kind: Any) -> None:
    """Refuse fields that would make something else of weights.

    The number of heads, say, shows in no shape: the weights would be taken, and mean something else.

    Raises:
        ValueError: naming the fields.
    """
    given = settings.model_config
    with open_checkpoint(source, None, kind.config_class, {}, **_unknown(source, given)) as file:
        known = file.config
    wrong = [name for name in _FUNCTION if name in given and getattr(known, name) != given[name]]
    if wrong:
        told = ", ".join(f"{name} is {getattr(known, name)!r}, not {given[name]!r}" for name in wrong)
        raise ValueError(
            "model_config (--set, or [model_config] in a config file) must not change what weights were trained with: "
            f"in those of {source} {told}. Leave these fields out."
        )


def _unknown(source: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The given fields, for weights that have no configuration of their own; nothing for those that have one."""
    path = Path(source)
    return (
        {}
        if (path / CONFIG_NAME).is_file() or (path.is_file() and (path.parent / CONFIG_NAME).is_file())
        else dict(given)
    )


def load_model(
    settings: Settings,
    source: str,
    kind: Any,
    store: RegionStore,
    tokenizer: LxmertTokenizer,
    answers: Sequence[str],
    **options: Any,
) -> Any:
    """The model of a checkpoint of a run, as it is; the arguments are those of `make_model`, and its folder.

    Raises:
        ValueError: files that do not fit it.
    """
    model = kind.from_pretrained(source, **options)
    _check_sizes(model.config, settings, tokenizer, store, answers)
    return model


def _loaded(
    settings: Settings,
    kind: Any,
    source: str,
    sizes: dict[str, Any],
    tokenizer: LxmertTokenizer,
    store: RegionStore,
    answers: Sequence[str],
    say: Callable[[str], None],
    options: dict[str, Any],
) -> Any:
    """A model from weights, whose heads may be new."""
    with open_checkpoint(source, None, kind.config_class, {}, **settings.model_config) as file:
        known = file.config
    # What the weights fix is not overridden: the check below says if it does not fit.
    sizes = {name: value for name, value in sizes.items() if name != "visual_feat_dim"}
    sizes = {name: value for name, value in sizes.items() if getattr(known, name) != value}
    model = kind.from_pretrained(source, allow_new_head=True, **{**sizes, **settings.model_config}, **options)
    _check_sizes(model.config, settings, tokenizer, store, answers)
    if model.load_report.new:
        say(f"fresh, as {settings.model} has none that fit: {first_few(model.load_report.new)}")
    return model


def _check_sizes(
    config: Any, settings: Settings, tokenizer: LxmertTokenizer, store: RegionStore, answers: Sequence[str]
) -> None:
    """Refuse files that were not made for each other."""
    if len(tokenizer) > config.vocab_size:
        raise ValueError(
            f"the vocabulary has {len(tokenizer)} words, the model {config.vocab_size}; give the model's own."
        )
    if settings.text_length > config.max_position_embeddings:
        raise ValueError(
            f"text_length must be at most the model's max_position_embeddings, {config.max_position_embeddings}; got "
            f"{settings.text_length}."
        )
    if store.feature_size != config.visual_feat_dim:
        raise ValueError(
            f"the region store has features of {store.feature_size} numbers, the model reads {config.visual_feat_dim}."
        )
    for loss, known, most in (
        ("objects", config.num_object_labels, "largest_object_id"),
        ("attributes", config.num_attr_labels, "largest_attribute_id"),
    ):
        if settings.task == "pretrain" and loss in settings.losses and getattr(store, most) >= known:
            raise ValueError(
                f"the region store has numbers of {loss} up to {getattr(store, most)}, and the model tells {known} "
                f"apart. Set {'num_object_labels' if loss == 'objects' else 'num_attr_labels'}, or leave the loss out."
            )
    if answers and len(answers) != config.num_qa_labels:
        raise ValueError(f"the table has {len(answers)} answers, the model's config {config.num_qa_labels}.")
