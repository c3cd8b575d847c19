"""Configurations that change: assignment, unknown names, labels, and those of `transformers`."""

import copy
import json
import pickle
import warnings

import pytest

from lxmert import LxmertConfig, VisualBertConfig
from lxmert.common.config import as_config

every_kind = pytest.mark.parametrize("kind", [LxmertConfig, VisualBertConfig])


class Foreign:
    """A configuration of another library: it has a model type and gives its values."""

    def __init__(self, model_type, **values):
        self.model_type, self.values = model_type, values

    def to_dict(self):
        return {"model_type": self.model_type, **self.values}


@every_kind
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_size", 24.0),
        ("vocab_size", 0),
        ("hidden_dropout_prob", 1),
        ("layer_norm_eps", 0),
        ("hidden_act", "tanh"),
        ("return_dict", None),
        ("pruned_heads", [1]),
        ("problem_type", "ranking"),
        ("chunk_size_feed_forward", 8),
        ("is_encoder_decoder", True),
        ("num_labels", 0),
        ("num_labels", 2**16 + 1),
        ("num_labels", "3"),
        ("id2label", ["no", "yes"]),
        ("id2label", {"no": 0}),
        ("id2label", {0: ["no"]}),
        ("label2id", {0: "no"}),
        ("dtype", 16),
        ("attn_implementation", "flash_attention_2"),
    ],
)
def test_a_wrong_value_is_refused_in_the_words_of_the_constructor(kind, name, value):
    config = kind()
    with pytest.raises((TypeError, ValueError)) as at_construction:
        kind(**{name: value})
    with pytest.raises(type(at_construction.value)) as at_assignment:
        setattr(config, name, value)
    assert str(at_assignment.value) == str(at_construction.value)
    assert name in str(at_assignment.value)
    assert config == kind()


def test_an_assigned_value_is_converted_like_a_given_one():
    config = VisualBertConfig()
    config.hidden_dropout_prob = 0
    config.pruned_heads = {"0": [2, 1]}
    assert type(config.hidden_dropout_prob) is float
    assert config.pruned_heads == {"encoder_layers.0.attention": (1, 2)}


@every_kind
def test_values_may_disagree_until_they_are_used(kind, tmp_path):
    config = kind()
    config.hidden_size = 64  # no multiple of 12
    for use in (config.validate, lambda: config.save_pretrained(tmp_path), config.replace):
        with pytest.raises(
            ValueError, match="hidden_size must be a multiple of num_attention_heads; got hidden_size 64"
        ):
            use()
    assert not list(tmp_path.iterdir())
    config.num_attention_heads = 4
    config.save_pretrained(tmp_path)
    assert kind.from_pretrained(tmp_path) == config


def test_an_update_is_done_as_a_whole_or_not_at_all():
    config = LxmertConfig()
    with pytest.raises(ValueError, match="x_layers must be at least 1"):
        config.update({"l_layers": 2, "my_key": 3, "x_layers": 0})
    assert (config.l_layers, hasattr(config, "my_key")) == (9, False)
    with pytest.raises(ValueError, match="must be a multiple"):
        config.update({"hidden_size": 10}, validate=True)
    assert config == LxmertConfig()


@every_kind
@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("hiden_size", "hidden_size"),
        ("layer_norm_epsilon", "layer_norm_eps"),
        ("num_label", "num_labels"),
        ("attention_probs_dropout", "attention_probs_dropout_prob"),
    ],
)
def test_a_misspelled_name_gives_a_warning_at_the_callers_line(kind, name, nearest):
    expected = rf"{kind.__name__} has no field '{name}': did you mean {nearest}\? It is kept as it is\."
    with pytest.warns(UserWarning, match=expected) as constructed:
        config = kind(**{name: 3})
    assert getattr(config, name) == config.to_dict()[name] == 3
    with pytest.warns(UserWarning, match=expected) as assigned:
        setattr(kind(), name, 3)
    assert {warning.filename for warning in (*constructed, *assigned)} == {__file__}


def test_names_that_files_of_transformers_have_give_no_warning():
    names = [
        "use_cache",
        "is_decoder",
        "add_cross_attention",
        "tie_encoder_decoder",
        "output_past",
        "do_sample",
        "num_beams",
        "max_length",
        "num_return_sequences",
        "return_dict_in_generate",
        "output_scores",
        "use_bfloat16",
        "torchscript",
        "finetuning_task",
        "sep_token_id",
        "cls_token_id",
        "mask_token_id",
        "decoder_start_token_id",
        "tokenizer_class",
        "prefix",
        "bad_words_ids",
        "position_embedding_type",
        "gradient_checkpointing",
        "classifier_dropout",
        "visual_attr_names",
        "visual_obj_names",
    ]
    values = dict.fromkeys(names, 1)
    for kind in (LxmertConfig, VisualBertConfig):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert kind(**values).unknown_values() == values


@every_kind
def test_a_file_may_hold_any_name(kind):
    values = {"hiden_size": 1, "self": 2, "to_dict": 3, "__class__": 4, "_label_names": 5, "args": 6, "validate": 7}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config = kind.from_dict(values)
    assert values.items() <= config.to_dict().items()
    assert (config.hiden_size, config.num_labels, type(config)) == (1, 2, kind)
    config.validate()
    assert kind.from_dict(json.loads(config.to_json_string())).to_dict() == config.to_dict()
    assert copy.deepcopy(config).to_dict() == pickle.loads(pickle.dumps(config)).to_dict() == config.to_dict()


@every_kind
@pytest.mark.parametrize(
    "name", ["to_dict", "attention_paths", "untied_words", "activations", "model_type", "validate"]
)
def test_what_the_class_defines_cannot_be_assigned(kind, name):
    with pytest.raises(AttributeError, match=f"{kind.__name__}.{name} cannot be assigned"):
        setattr(kind(), name, "x")


def test_the_layers_of_lxmert_are_counted_by_kind():
    config = LxmertConfig(l_layers=2, num_hidden_layers={"language": 9})  # stale, as in files of `transformers`
    assert config.num_hidden_layers == {"vision": 5, "cross_encoder": 5, "language": 2}
    for wrong in (lambda: LxmertConfig(num_hidden_layers=4), lambda: setattr(config, "num_hidden_layers", 4)):
        with pytest.raises(ValueError, match=r"derived from l_layers, x_layers and r_layers; set those. Got 4"):
            wrong()


def test_positional_values_are_checked():
    with pytest.raises(TypeError, match="VisualBertConfig has 23 fields; got 24 values"):
        VisualBertConfig(*range(24))
    with pytest.raises(TypeError, match="LxmertConfig: vocab_size is given twice"):
        LxmertConfig(5, vocab_size=5)


@every_kind
def test_overrides_that_are_not_used_are_named(kind, tmp_path):
    kind().save_pretrained(tmp_path)
    with pytest.warns(UserWarning, match=r"from_pretrained does not use 'foo'.*; assign it afterwards") as warned:
        assert not hasattr(kind.from_pretrained(tmp_path, foo=24), "foo")
    assert {warning.filename for warning in warned} == {__file__}
    with pytest.raises(
        TypeError, match=r"from_pretrained: unexpected keyword 'hidden_sise'\. Did you mean 'hidden_size'"
    ):
        kind.from_pretrained(tmp_path, hidden_sise=24)
    with pytest.raises(TypeError, match=r"from_dict: unexpected keyword 'hidden_sise'\. Did you mean 'hidden_size'"):
        kind.from_dict({}, hidden_sise=24)
    assert kind.from_pretrained(tmp_path, force_download=True) == kind()
    for option in ({"trust_remote_code": True}, {"proxies": {"http": "x"}}):
        with pytest.raises(ValueError, match=f"{next(iter(option))} must be None( or False)?: .* Got"):
            kind.from_pretrained(tmp_path, **option)


@every_kind
def test_an_override_of_an_unknown_key_of_the_file_is_used(kind):
    assert kind.from_dict({"my_key": 1}, my_key=2).my_key == 2
    assert kind.from_dict({"dtype": "float16"}, dtype="auto").to_dict()["dtype"] == "float16"


@every_kind
def test_the_number_of_labels_counts_where_their_names_disagree(kind):
    config = kind.from_dict({"id2label": {"0": "a", "1": "b", "2": "c"}, "num_labels": 2})
    assert config.id2label == {0: "LABEL_0", 1: "LABEL_1"}
    assert "id2label" not in config.to_diff_dict()
    assert kind(num_labels=2**16).num_labels == 2**16


@every_kind
def test_names_of_labels_may_be_changed_in_place(kind):
    config = kind()
    config.id2label[1] = "yes"
    assert config.to_diff_dict()["id2label"] == {0: "LABEL_0", 1: "yes"}
    assert config != kind()


@every_kind
def test_equality_leaves_notes_out(kind):
    config = kind(architectures=["X"], name_or_path="a/b", dtype="float16", transformers_version="5.0.0")
    assert config == kind()
    assert hash(config) == hash(kind())
    assert kind(my_key=1) == kind()
    for changes in ({"problem_type": "regression"}, {"num_labels": 3}, {"id2label": {0: "a", 1: "b"}}):
        assert kind(**changes) != kind()


def test_the_hash_follows_the_values():
    config, table = LxmertConfig(), {}
    table[config] = "default"
    config.l_layers = 2
    assert LxmertConfig() not in table  # its key has changed since
    assert hash(config) == hash(LxmertConfig(l_layers=2))


@every_kind
def test_configurations_of_other_libraries(kind):
    config = kind(vocab_size=50, pad_token_id=0)
    assert as_config(config) is config
    assert as_config(config, kind) is config
    assert as_config(None) is None
    given = config.to_dict()
    for converted in (as_config(Foreign(**given)), as_config(Foreign(**given), kind)):
        assert (type(converted), converted) == (kind, config)
    other = VisualBertConfig if kind is LxmertConfig else LxmertConfig
    with pytest.raises(ValueError, match=f"configuration of a '{other.model_type}' model; {kind.__name__} reads"):
        as_config(Foreign(other.model_type), kind)
    with pytest.raises(ValueError, match=r"model_type must be one of lxmert, visual_bert, .*; got 'bert'"):
        as_config(Foreign("bert"))
    for odd in (other(), {}, 3, kind):
        with pytest.raises(TypeError, match=f"config must be a {kind.__name__}; got {type(odd).__name__}"):
            as_config(odd, kind)


@every_kind
def test_the_path_of_a_configuration_is_one(kind, tmp_path):
    kind(vocab_size=50).save_pretrained(tmp_path)
    assert as_config(tmp_path) == as_config(str(tmp_path), kind) == kind(vocab_size=50)


def test_pushing_is_refused_and_what_it_reads_is_not(tmp_path):
    config = LxmertConfig()
    config.save_pretrained(tmp_path, push_to_hub=False, repo_id="a/b", token=None)
    with pytest.raises(ValueError, match="push_to_hub must be False"):
        config.save_pretrained(tmp_path, push_to_hub=True)
    with pytest.raises(TypeError, match=r"unexpected keyword 'comit_message'. Did you mean 'commit_message'"):
        config.save_pretrained(tmp_path, comit_message="x")


def test_the_repr_holds_the_values():
    text = repr(LxmertConfig(l_layers=2, my_key="x"))
    assert text.startswith("LxmertConfig(pruned_heads={}, vocab_size=30522, ")
    assert "l_layers=2" in text
    assert text.endswith("my_key='x')")


def test_the_number_of_labels_is_not_that_of_answers():
    with pytest.warns(UserWarning, match="num_labels does not change LXMERT's answer head; pass num_qa_labels"):
        config = LxmertConfig.from_dict({}, num_labels=3)
    assert (config.num_labels, config.num_qa_labels) == (3, 9500)


@every_kind
def test_what_layers_keep_is_told_when_a_model_was_made(kind):
    config = kind()
    config.hidden_act = "relu"  # no model yet
    config.note_model()
    copies = [copy.copy(config), copy.deepcopy(config), pickle.loads(pickle.dumps(config)), config.replace()]
    with pytest.warns(UserWarning, match=r"hidden_dropout_prob counts when a model is made: .* keeps 0\.1\.") as warned:
        config.hidden_dropout_prob = 0.5
    assert config.hidden_dropout_prob == 0.5
    assert {warning.filename for warning in warned} == {__file__}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        config.hidden_dropout_prob = 0.1  # what the model has
        config.output_attentions = True
        config.num_labels = 5
        for free in copies:
            free.hidden_dropout_prob = 0.5
    assert "_model_has" not in config.to_dict()


@every_kind
def test_numbers_of_labels_need_names(kind):
    numbers = {"a": 0, "b": 1, "c": 2}
    with pytest.raises(ValueError, match="label2id numbers 3 labels, and there are 2: pass id2label"):
        kind(label2id=numbers)
    assert kind(label2id={"yes": 1, "y": 1, "no": 0}).num_labels == 2  # two names of one label
    config = kind()
    config.label2id = numbers  # before the names
    config.id2label = {number: name for name, number in numbers.items()}
    config.validate()
    assert config.label2id == numbers


@every_kind
def test_a_dtype_that_is_none_is_refused(kind):
    for name in ("flaot16", "auto", "", "float"[:3]):
        with pytest.raises(ValueError, match="dtype must be the name of a dtype"):
            kind(dtype=name)
    for name in ("torch.bfloat16", "float8_e4m3fn", "int8", "float32"):
        assert kind(dtype=name).to_dict()["dtype"] == name.removeprefix("torch.")


@every_kind
def test_values_in_a_text(kind):
    config = kind(note="x")
    config.update_from_string("hidden_size=96,hidden_dropout_prob=0.2,output_attentions=yes,hidden_act=relu,note=y")
    assert config == kind(hidden_size=96, hidden_dropout_prob=0.2, output_attentions=True, hidden_act="relu")
    assert config.note == "y"
    for text, error, message in (
        ("hidden_size=24,nothing=3", ValueError, "names of the configuration; got 'nothing'"),
        ("hidden_size", ValueError, "update_str must be NAME=VALUE"),
        ("return_dict=maybe", ValueError, "return_dict must be true or false; got 'maybe'"),
        ("hidden_size=2.5", ValueError, "2.5"),
        ("pruned_heads=1", TypeError, "pruned_heads is no number"),
        ("hidden_size=24,hidden_dropout_prob=2", ValueError, "hidden_dropout_prob must be in"),
    ):
        with pytest.raises(error, match=message):
            config.update_from_string(text)
    assert config.hidden_size == 96
