"""config.json of VisualBERT: those that versions of `transformers` wrote, and ours read by `transformers`."""

import json

import pytest
import transformers

from lxmert import LxmertConfig, VisualBertConfig
from lxmert.common.config import config_from_pretrained

LABELS = {str(i): f"LABEL_{i}" for i in range(3129)}
# As 4.x wrote it with `to_dict`; the number of labels is told by their names alone.
RELEASE_4 = {
    "_name_or_path": "somewhere",
    "add_cross_attention": False,
    "architectures": ["VisualBertForQuestionAnswering"],
    "attention_probs_dropout_prob": 0.1,
    "bad_words_ids": None,
    "bos_token_id": 0,
    "bypass_transformer": False,
    "chunk_size_feed_forward": 0,
    "eos_token_id": 2,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 768,
    "id2label": LABELS,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "is_decoder": False,
    "label2id": {name: int(i) for i, name in LABELS.items()},
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "model_type": "visual_bert",
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "output_attentions": False,
    "output_hidden_states": False,
    "pad_token_id": 1,
    "problem_type": None,
    "pruned_heads": {},
    "return_dict": True,
    "special_visual_initialize": True,
    "task_specific_params": None,
    "tie_word_embeddings": True,
    "torch_dtype": "float32",
    "torchscript": False,
    "transformers_version": "4.49.0",
    "type_vocab_size": 2,
    "use_bfloat16": False,
    "visual_embedding_dim": 2048,
    "vocab_size": 30522,
}
# A published one: only what differs from the defaults of all models.
PUBLISHED = {
    name: value
    for name, value in RELEASE_4.items()
    if value not in (None, {}) and name not in ("return_dict", "torchscript", "output_attentions", "is_decoder")
}
WANTED = VisualBertConfig(visual_embedding_dim=2048, num_labels=3129)


def installed():
    """What the installed version holds."""
    return transformers.VisualBertConfig(visual_embedding_dim=2048, num_labels=3129)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        pytest.param(lambda: RELEASE_4, WANTED, id="4.x"),
        pytest.param(lambda: PUBLISHED, WANTED, id="published"),
        pytest.param(
            lambda: {**RELEASE_4, "pruned_heads": {"0": [1]}}, WANTED.replace(pruned_heads={"0": [1]}), id="4.x, pruned"
        ),
        pytest.param(
            lambda: {**RELEASE_4, "id2label": None, "label2id": None, "pad_token_id": None},
            WANTED.replace(num_labels=2, pad_token_id=None),
            id="4.x, nulls",
        ),
        pytest.param(lambda: json.loads(installed().to_json_string(use_diff=False)), WANTED, id="installed"),
        pytest.param(lambda: json.loads(installed().to_json_string()), WANTED, id="installed, differences"),
    ],
)
def test_what_transformers_wrote_reads(values, wanted, tmp_path):
    values = values()
    (tmp_path / "config.json").write_text(json.dumps(values))
    config = VisualBertConfig.from_pretrained(tmp_path)
    assert config == wanted == config_from_pretrained(tmp_path)
    # Nothing is lost on the way back, except how pruned heads are named and where it came from.
    config.save_pretrained(tmp_path / "again")
    again = json.loads(VisualBertConfig.from_pretrained(tmp_path / "again").to_json_string(use_diff=False))
    again |= {"torch_dtype": again["dtype"], "num_labels": len(again["id2label"])}
    kept = {name: value for name, value in values.items() if name not in ("pruned_heads", "_name_or_path")}
    assert {name: again[name] for name in kept if values[name] is not None} == {
        name: value for name, value in kept.items() if value is not None
    }


@pytest.mark.parametrize(
    "config",
    [
        VisualBertConfig(),
        VisualBertConfig(num_labels=3129),
        VisualBertConfig(num_labels=1),
        VisualBertConfig.from_dict(RELEASE_4),
        VisualBertConfig.from_dict(RELEASE_4).replace(num_labels=5),
        VisualBertConfig.from_dict(RELEASE_4, num_labels=2),
        VisualBertConfig.from_dict({"id2label": {"0": "no"}, "num_labels": 7}),
        VisualBertConfig(
            hidden_size=24, num_attention_heads=3, num_hidden_layers=2, visual_embedding_dim=7, hidden_act="selu"
        ),
        VisualBertConfig(pad_token_id=None, bypass_transformer=True, special_visual_initialize=False),
    ],
    ids=lambda config: f"{config.num_labels} labels",
)
def test_transformers_reads_ours(config, tmp_path):
    config.save_pretrained(tmp_path / "deep" / "folder")
    theirs = transformers.VisualBertConfig.from_pretrained(tmp_path / "deep" / "folder")
    assert theirs.num_labels == config.num_labels
    for name in config:
        if name not in (*config.unknown_values(), "_name_or_path"):
            assert getattr(theirs, name) == getattr(config, name), name
    theirs.save_pretrained(tmp_path / "back")
    assert VisualBertConfig.from_pretrained(tmp_path / "back") == config


def test_overrides(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(RELEASE_4))
    assert VisualBertConfig.from_pretrained(tmp_path, num_labels=2) == WANTED.replace(num_labels=2)
    with pytest.raises(TypeError, match=r"config.json with the overrides: num_labels must be an integer"):
        VisualBertConfig.from_pretrained(tmp_path / "config.json", num_labels="2")


@pytest.mark.parametrize("kind", [LxmertConfig, VisualBertConfig])
def test_any_models_configuration_reads(kind, tmp_path):
    config = kind(hidden_size=24, num_attention_heads=3, x=1)
    config.save_pretrained(tmp_path)
    for place in (tmp_path, str(tmp_path), tmp_path / "config.json"):
        found = config_from_pretrained(place)
        assert (type(found), found, found.x) == (kind, config, 1)


def test_without_a_model_type_it_is_lxmerts(tmp_path):
    (tmp_path / "config.json").write_text('{"l_layers": 3}')
    assert config_from_pretrained(tmp_path) == LxmertConfig(l_layers=3)


@pytest.mark.parametrize("model_type", ["bert", None, ["lxmert"]])
def test_another_model_type_is_refused_with_the_files_name(model_type, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    with pytest.raises(ValueError, match=r"config.json: model_type must be one of lxmert, visual_bert, .*; got"):
        config_from_pretrained(tmp_path)


@pytest.mark.parametrize(("kind", "other"), [(LxmertConfig, VisualBertConfig), (VisualBertConfig, LxmertConfig)])
def test_the_other_models_file_is_refused_with_its_name(kind, other, tmp_path):
    other().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=rf"config.json: this is the configuration of a '{other.model_type}' model; "):
        kind.from_pretrained(tmp_path)


@pytest.mark.parametrize("kind", [LxmertConfig, VisualBertConfig])
def test_a_file_where_a_folder_is_to_be(kind, tmp_path):
    (tmp_path / "target").write_text("mine")
    with pytest.raises(NotADirectoryError, match=r"target is a file; pass a folder to write config.json in\."):
        kind().save_pretrained(tmp_path / "target")
    assert (tmp_path / "target").read_text() == "mine"
