"""Open what a run starts from: the tokenizer, the table of answers, and a new or a pretrained model."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lxmert.common.config import config_from_dict
from lxmert.common.config.base import ModelConfig
from lxmert.common.specs import SPECS
from lxmert.common.tokenizer import LxmertTokenizer
from lxmert.data.collate.phrases import BOX_FEATURES
from lxmert.data.features import RegionStore
from lxmert.utils.messages import first_few, shown
from lxmert.utils.paths import CONFIG_NAME
from lxmert.utils.setting_names import config_field, setting
from lxmert.weights.answer_vocabulary import read_answer_vocabulary
from lxmert.weights.loading_arguments import Quantize
from lxmert.weights.model_files import answers_of, find_model, tokenizer_of
from lxmert.weights.naming.tables import ANSWERS
from lxmert.weights.open import open_checkpoint

from .settings import Settings
from .tasks import TASKS, QuestionTask

logger = logging.getLogger(__name__)

# As in the original: the visual losses weigh 1 / 0.15. (transformers rounds it to 6.67.)
_VISUAL_WEIGHT = 1 / 0.15
_FEATURES = {"lxmert": "visual_feat_dim", "visual_bert": "visual_embedding_dim"}


@dataclasses.dataclass(frozen=True)
class RunFiles:
    """The files that a run needs in addition to its examples.

    Attributes:
        store: the regions.
        tokenizer: of the model.
        answers: the table of answers, empty where there is none.
    """

    store: RegionStore
    tokenizer: LxmertTokenizer
    answers: list[str]


def open_tokenizer(settings: Settings) -> LxmertTokenizer:
    """Open the tokenizer that the settings name, or else that of the weights.

    Raises:
        ValueError: there is neither.
        OSError: it cannot be read.
    """
    if settings.vocabulary is not None:
        return LxmertTokenizer.from_pretrained(settings.vocabulary)
    wanted = "a vocab.txt, or a folder with a tokenizer"
    if settings.model is None:
        raise ValueError(f"{setting('vocabulary')} must be given for a model from scratch: {wanted}.")
    tokenizer = tokenizer_of(find_model(settings.model))
    if tokenizer is None:
        raise ValueError(
            f"{settings.model} has no tokenizer next to its weights; {setting('vocabulary')} must be given: {wanted}."
        )
    return tokenizer


def open_answers(settings: Settings) -> list[str]:
    """The table of answers that the settings name, or else that of the weights, or else one of the training answers.

    It is empty where the task needs none.

    Raises:
        ValueError: there is none, or the file holds no table.
    """
    if not needs_answers(settings):
        return []
    if settings.answers is not None:
        return read_answer_vocabulary(settings.answers)
    answers = None if settings.model is None else answers_of(find_model(settings.model))
    task = TASKS[settings.task]
    if answers is None and isinstance(task, QuestionTask):
        table = task.make_answers(settings)
        logger.info("%s is not given: the training files give %s", setting("answers"), table)
        return table.answers
    if answers is None:
        raise ValueError(
            f"{setting('answers')} must be given: the table of answers that the model is to choose from, in the order "
            "of its scores (trainval_label2ans.json, trainval_ans2label.json, all_ans.json, ...)."
        )
    return answers


def needs_answers(settings: Settings) -> bool:
    """Whether the model of a run chooses from a table of answers."""
    return TASKS[settings.task].has_answers and (settings.task != "pretrain" or "answers" in settings.losses)


def make_model(
    settings: Settings,
    model_class: Any,
    files: RunFiles,
    log: Callable[[str], None] = lambda text: None,
    dtype: Any = None,
) -> Any:
    """Make the model that a run starts from.

    A new model has the sizes of `model_config`, and otherwise those of the published models. Weights keep their sizes.
    An answer head is mapped by the text of the answers where both tables are known; where only the number of answers
    is, a head of the same number is kept; any other head is newly initialized.

    Args:
        settings: of the run.
        model_class: of the backend.
        files: the region store, the tokenizer and the table of answers, which decide the sizes.
        log: called with messages: what was loaded, and what is newly initialized.
        dtype: of the weights, as the class takes it.

    Raises:
        ValueError: weights, vocabulary, features or answers that do not fit each other.
    """
    sizes: dict[str, Any] = {}
    if files.answers:
        sizes[ANSWERS[settings.architecture][1]] = len(files.answers)
    if settings.task == "nlvr2" and settings.architecture == "visual_bert":
        sizes["num_labels"] = 2
    if settings.task == "pretrain" and settings.architecture == "lxmert":
        losses = SPECS["LxmertForPreTraining"].losses
        sizes |= {loss.switch: name in settings.losses for name, loss in losses.items() if loss.switch}
        sizes["task_obj_predict"] = bool({"objects", "attributes", "features"} & set(settings.losses))
        sizes["visual_loss_normalizer"] = _VISUAL_WEIGHT
    if settings.model is not None:
        return _model_with_weights(settings, settings.model, model_class, files, sizes, log, dtype)
    sizes[_FEATURES[settings.architecture]] = _feature_size(settings, files)
    if settings.architecture == "visual_bert":  # its defaults are RoBERTa's
        sizes |= {"pad_token_id": files.tokenizer.pad_token_id, "bos_token_id": None, "eos_token_id": None}
    values = {"model_type": settings.architecture, "vocab_size": len(files.tokenizer), **sizes}
    config = config_from_dict({**values, **settings.model_config})
    _check_sizes(config, settings, files)
    # A model of PyTorch is cast when it is placed on its device.
    return model_class(config, dtype=dtype) if settings.backend == "tf" else model_class(config)


def load_model(
    settings: Settings,
    source: str | Path,
    model_class: Any,
    files: RunFiles,
    dtype: Any = None,
    quantize: Quantize = None,
    **overrides: Any,
) -> Any:
    """Load a trained model, unchanged unless it is quantized (see `from_pretrained`); `overrides` are config fields.

    Raises:
        ValueError: files that do not fit it.
    """
    model = model_class.from_pretrained(source, dtype=dtype, quantize=quantize, **overrides)
    _check_sizes(model.config, settings, files)
    return model


def _model_with_weights(
    settings: Settings,
    source: str,
    model_class: Any,
    files: RunFiles,
    sizes: dict[str, Any],
    log: Callable[[str], None],
    dtype: Any,
) -> Any:
    """Load pretrained weights; the heads may be newly initialized."""
    _check_kept_fields(source, model_class, settings.model_config)
    path, field = ANSWERS[settings.architecture]
    old = files.answers
    if files.answers and settings.model_answers is not None:
        old = read_answer_vocabulary(settings.model_answers)
    elif files.answers:
        old = answers_of(find_model(source)) or files.answers
    if old != files.answers:
        if settings.answers is None:
            raise ValueError(
                f"{setting('model_answers')} is the table of the weights; {setting('answers')} must be given too: the "
                "table of this task."
            )
        del sizes[field]  # the head is loaded with its own size first
    fields = {**sizes, **settings.model_config}
    model = model_class.from_pretrained(source, allow_new_head=True, dtype=dtype, quantize=False, **fields)
    new = model.load_report.new
    if old != files.answers:
        if any(name.startswith(f"{path}.") for name in new):
            model.resize_num_qa_labels(len(files.answers))
        else:
            found = model.remap_answers(old, files.answers)
            log(f"the answer head takes {found:,} of {len(files.answers):,} answers from the weights")
    _check_sizes(model.config, settings, files)
    if new:
        log(f"newly initialized, as {source} has none that fit: {first_few(new)}")
    return model


# Fields of a configuration that decide what the weights compute.
_KEPT = (
    "hidden_size",
    "num_attention_heads",
    "num_hidden_layers",
    "intermediate_size",
    "hidden_act",
    "l_layers",
    "x_layers",
    "r_layers",
    "max_position_embeddings",
    "type_vocab_size",
    "visual_feat_dim",
    "visual_embedding_dim",
    "visual_pos_dim",
    "layer_norm_eps",
)


def _check_kept_fields(source: str, model_class: Any, given: Mapping[str, Any]) -> None:
    """Refuse fields of the configuration that would change what weights compute.

    The number of heads, for example, does not change any shape: the weights would load, and compute something else.

    Raises:
        ValueError: naming the fields.
    """
    path = find_model(source)
    stored = (path / CONFIG_NAME).is_file() or (path.is_file() and (path.parent / CONFIG_NAME).is_file())
    names = [name for name in _KEPT if name in given]
    if not names:
        return
    # Weights without a configuration of their own need the given fields.
    with open_checkpoint(source, None, model_class.config_class, {}, **({} if stored else given)) as file:
        known = file.config
    wrong = [
        f"{name} is {shown(getattr(known, name))}, not {shown(given[name])}"
        for name in names
        if getattr(known, name) != given[name]
    ]
    if wrong:
        raise ValueError(
            f"{setting('model_config')} must not change what weights were trained with: "
            f"in those of {source} {', '.join(wrong)}. Leave these fields out."
        )


def _feature_size(settings: Settings, files: RunFiles) -> int:
    """The numbers of a region that the model reads."""
    return files.store.feature_size + BOX_FEATURES * (settings.task == "flickr30k" and settings.box_features)


def _check_sizes(config: ModelConfig, settings: Settings, files: RunFiles) -> None:
    """Refuse files that were not made for each other."""
    store, words = files.store, len(files.tokenizer)
    if words > config.vocab_size:
        raise ValueError(
            f"{setting('vocabulary')} has {words} words, and the model {config.vocab_size}; pass the vocabulary of the "
            "model."
        )
    if settings.text_length > config.max_position_embeddings:
        raise ValueError(
            f"{setting('text_length')} must be at most the model's max_position_embeddings, "
            f"{config.max_position_embeddings}; got {settings.text_length}."
        )
    features = getattr(config, _FEATURES[config.model_type])
    given = _feature_size(settings, files)
    if given != features:
        added = f", {BOX_FEATURES} of them by {setting('box_features')}" if given != store.feature_size else ""
        raise ValueError(
            f"{setting('features')} must be region stores of {features} numbers a region, as the model reads; got "
            f"{given}{added}."
        )
    for loss, field, largest in (
        ("objects", "num_object_labels", "largest_object_id"),
        ("attributes", "num_attr_labels", "largest_attribute_id"),
    ):
        if settings.task == "pretrain" and loss in settings.losses:
            found, labels = getattr(store, largest), getattr(config, field)
            if found >= labels:
                raise ValueError(
                    f"the region store has ids of {loss} up to {found}, and the model knows {labels} of them. Pass "
                    f"{config_field(field, found + 1)}, or leave the loss out."
                )
    known = getattr(config, ANSWERS[config.model_type][1])
    if files.answers and len(files.answers) != known:
        raise ValueError(
            f"{setting('answers')} must be a table of {known} answers, as many as the model scores; got "
            f"{len(files.answers)}."
        )
