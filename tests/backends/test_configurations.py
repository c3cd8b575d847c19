"""The configuration of a model in both backends: one object, read at every call, also one of `transformers`."""

import copy

import pytest
import torch
import transformers

from lxmert.common.config import LxmertConfig, VisualBertConfig
from tests.compare import assert_same
from tests.pt.tensors import tensors
from tests.small import LABELS, WORDS, is_visual_bert, small_config, small_inputs

from .backend import every_class

TASKS = ("LxmertForPreTraining", "VisualBertForPreTraining")
SCORES = ("LxmertForQuestionAnswering", "VisualBertForQuestionAnswering")


@pytest.mark.parametrize("name", TASKS)
def test_the_model_and_its_backbone_share_the_object(backend, name, tmp_path):
    config = small_config(name)
    model = backend.make(name, config=config)
    assert model.config is model.backbone.config is config
    model.save_pretrained(tmp_path)
    loaded = backend.kind(name).from_pretrained(tmp_path, config=config)
    assert loaded.config is loaded.backbone.config is not config  # loading must not change what it was given
    assert loaded.config == config
    assert loaded.config.name_or_path == str(tmp_path)


@every_class()
def test_an_assignment_counts_from_the_next_call_on(backend, name):
    model, given = backend.make(name), small_inputs(name)
    before = backend.run(model, given)
    names = " ".join(before.keys())
    assert "hidden_states" not in names
    assert "attentions" not in names
    model.config.output_hidden_states = True
    model.config.output_attentions = True
    names = " ".join(backend.run(model, given).keys())
    assert "hidden_states" in names
    assert "attentions" in names
    model.config.update({"output_hidden_states": False, "output_attentions": False, "return_dict": False})
    assert_same(list(backend.run(model, given)), list(before.to_tuple()), 0.0)


@pytest.mark.parametrize("name", SCORES)
def test_resizing_changes_the_object_in_place(backend, name):
    config = small_config(name)
    model = backend.make(name, config=config)
    model.resize_num_qa_labels(LABELS + 1)
    model.resize_token_embeddings(WORDS + 2)
    model.prune_heads({config.attention_paths[0]: [1]})
    assert model.config is config
    changed = "num_labels" if is_visual_bert(name) else "num_qa_labels"
    heads = {config.attention_paths[0]: [1]}
    assert config == small_config(name, vocab_size=WORDS + 2, pruned_heads=heads, **{changed: LABELS + 1})
    assert backend.run(model, small_inputs(name)).to_tuple()[0].shape[-1] == LABELS + 1


def test_a_change_that_is_refused_changes_nothing(backend):
    model = backend.make("VisualBertForPreTraining")
    before = copy.deepcopy(model.config)
    with pytest.raises(ValueError, match="pad_token_id must be a word's id"):
        model.resize_token_embeddings(1)
    with pytest.raises(ValueError, match="not all"):
        model.prune_heads({0: [0, 1, 2]})
    assert model.config == before


@every_class()
def test_a_configuration_of_transformers_makes_the_same_model(backend, name, tmp_path):
    config = small_config(name)
    kind = transformers.VisualBertConfig if is_visual_bert(name) else transformers.LxmertConfig
    theirs = kind(**config.to_dict())
    model = backend.make(name, config=theirs)
    assert model.config == config
    assert type(model.config) is type(config)
    model.save_pretrained(tmp_path)
    loaded = backend.kind(name).from_pretrained(tmp_path, config=theirs)
    assert loaded.config == config
    assert_same(backend.weights(loaded), backend.weights(model), 0.0)


def test_configurations_that_make_no_model(backend):
    for other in (VisualBertConfig(), "folder", {}, LxmertConfig):
        with pytest.raises(TypeError, match="LxmertModel is made from a LxmertConfig; got"):
            backend.kind("LxmertModel")(other)
    for other in (transformers.VisualBertConfig(), transformers.BertConfig()):
        with pytest.raises(ValueError, match=f"configuration of a '{other.model_type}' model; LxmertConfig reads"):
            backend.kind("LxmertModel")(other)
    config = LxmertConfig()
    config.hidden_size = 10
    with pytest.raises(ValueError, match="hidden_size must be a multiple of num_attention_heads"):
        backend.kind("LxmertModel")(config)


@pytest.mark.parametrize(
    ("name", "changes", "field"),
    [
        ("LxmertForPreTraining", {"l_layers": 2}, "l_layers"),
        ("LxmertForPreTraining", {"task_qa": False}, "task_qa"),
        ("LxmertForPreTraining", {"visual_attr_loss": False}, "visual_attr_loss"),
        ("LxmertModel", {"hidden_act": "relu"}, "hidden_act"),
        ("VisualBertModel", {"num_attention_heads": 4}, "num_attention_heads"),
        ("VisualBertModel", {"num_hidden_layers": 1}, "num_hidden_layers"),
        ("VisualBertForPreTraining", {"tie_word_embeddings": False}, "tie_word_embeddings"),
    ],
)
def test_a_config_that_no_longer_describes_the_model_is_not_written(backend, name, changes, field, tmp_path):
    model = backend.make(name)
    made = getattr(model.config, field)
    with pytest.warns(UserWarning, match=f"{field} counts when a model is made: .* keeps {made!r}"):
        model.config.update(changes)
    message = f"{field} of the config was changed to {changes[field]!r}, and this (TF)?{name} was made with {made!r}"
    with pytest.raises(ValueError, match=message):
        model.save_pretrained(tmp_path / "folder")
    if backend.name == "tf":
        with pytest.raises(ValueError, match=message):
            model.save(tmp_path / "model.keras")
    assert not (tmp_path / "folder").exists()
    setattr(model.config, field, made)
    with pytest.warns(UserWarning, match="hidden_dropout_prob counts when a model is made"):
        model.config.hidden_dropout_prob = 0.5  # of the next model that is made from it
    model.save_pretrained(tmp_path / "folder")
    assert backend.kind(name).from_pretrained(tmp_path / "folder").config == model.config


@pytest.mark.parametrize("backend", ["tf"], indirect=True)
def test_predict_follows_an_assignment(backend):
    model, given = backend.make("LxmertModel"), small_inputs("LxmertModel")
    assert "language_hidden_states" not in model.predict(given, verbose=0)
    model.config.output_hidden_states = True
    assert len(model.predict(given, verbose=0)["language_hidden_states"]) == 2
    traced = model.predict_function
    model.predict(given, verbose=0)
    assert model.predict_function is traced


@pytest.mark.parametrize("backend", ["pt"], indirect=True)
def test_a_compiled_model_follows_an_assignment(backend):
    model, given = backend.make("LxmertModel"), tensors(small_inputs("LxmertModel"))
    compiled = torch.compile(model, backend="eager")
    with torch.no_grad():
        assert "language_hidden_states" not in compiled(**given)
        model.config.output_hidden_states = True
        assert len(compiled(**given).language_hidden_states) == 2


@pytest.mark.parametrize("name", ["LxmertForQuestionAnswering", "VisualBertForQuestionAnswering"])
def test_gradient_checkpointing_in_a_configuration_is_followed(backend, name):
    config = backend.make(name).config.replace()
    assert not backend.kind(name)(config).is_gradient_checkpointing
    config.gradient_checkpointing = True
    model = backend.kind(name)(config)
    assert model.is_gradient_checkpointing
    model.gradient_checkpointing_disable()
    assert not model.is_gradient_checkpointing
