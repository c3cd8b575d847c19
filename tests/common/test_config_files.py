"""config.json: those that versions of `transformers` wrote, ours read by `transformers`, and files that are none."""

import json

import pytest
import transformers

from lxmert import LxmertConfig

# As the releases of autumn 2020 wrote it: task flags, and labels that the model has no use for.
RELEASE_2020 = {
    "architectures": ["LxmertForQuestionAnswering"],
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": 768,
    "id2label": {"0": "LABEL_0", "1": "LABEL_1"},
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "l_layers": 9,
    "label2id": {"LABEL_0": 0, "LABEL_1": 1},
    "layer_norm_eps": 1e-12,
    "max_position_embeddings": 512,
    "model_type": "lxmert",
    "num_attention_heads": 12,
    "num_attr_labels": 400,
    "num_hidden_layers": {"cross_encoder": 5, "language": 9, "vision": 5},
    "num_labels": 2,
    "num_object_labels": 1600,
    "num_qa_labels": 3129,
    "output_attentions": False,
    "output_hidden_states": False,
    "pad_token_id": 0,
    "r_layers": 5,
    "return_dict": False,
    "task_mask_lm": True,
    "task_matched": True,
    "task_obj_predict": True,
    "task_qa": True,
    "type_vocab_size": 2,
    "visual_attr_loss": True,
    "visual_feat_dim": 2048,
    "visual_feat_loss": True,
    "visual_loss_normalizer": 6.67,
    "visual_obj_loss": True,
    "visual_pos_dim": 4,
    "vocab_size": 30522,
    "x_layers": 5,
}
# A published one: no num_hidden_layers at all.
PUBLISHED = {k: v for k, v in RELEASE_2020.items() if k not in ("num_hidden_layers", "num_labels", "return_dict")}
# What 4.x wrote with `to_dict`: the settings that every model of theirs had, `pruned_heads` among them.
RELEASE_4 = {
    **{k: v for k, v in RELEASE_2020.items() if k not in ("num_labels", "pad_token_id")},
    "_name_or_path": "somewhere",
    "add_cross_attention": False,
    "bos_token_id": None,
    "chunk_size_feed_forward": 0,
    "is_decoder": False,
    "pad_token_id": None,
    "pruned_heads": {},
    "return_dict": True,
    "tie_word_embeddings": True,
    "torch_dtype": "float32",
    "torchscript": False,
    "transformers_version": "4.49.0",
}


def live() -> dict:
    """What the installed version writes."""
    return json.loads(transformers.LxmertConfig(num_qa_labels=3129).to_json_string(use_diff=False))


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(lambda: RELEASE_2020, id="2020"),
        pytest.param(lambda: PUBLISHED, id="published"),
        pytest.param(lambda: RELEASE_4, id="4.x"),
        pytest.param(live, id="installed"),
        pytest.param(lambda: transformers.LxmertConfig(num_qa_labels=3129).to_diff_dict(), id="installed, differences"),
    ],
)
def test_what_transformers_wrote_reads(values, tmp_path):
    values = values()
    (tmp_path / "config.json").write_text(json.dumps(values))
    config = LxmertConfig.from_pretrained(tmp_path)
    wanted = LxmertConfig(num_qa_labels=3129, return_dict=values.get("return_dict", True))
    assert config == wanted
    # Nothing is lost on the way back, except an empty list of pruned heads and where it came from.
    config.save_pretrained(tmp_path / "again")
    again = json.loads(LxmertConfig.from_pretrained(tmp_path / "again").to_json_string(use_diff=False))
    again |= {"torch_dtype": again["dtype"], "num_labels": len(again["id2label"])}
    kept = {name: value for name, value in values.items() if name not in ("pruned_heads", "_name_or_path")}
    assert {name: again[name] for name in json.loads(json.dumps(kept))} == json.loads(json.dumps(kept))


def test_stale_num_hidden_layers_do_not_count(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({**RELEASE_2020, "l_layers": 3}))
    config = LxmertConfig.from_pretrained(tmp_path)
    assert config.num_hidden_layers == {"vision": 5, "cross_encoder": 5, "language": 3}
    assert config.to_dict()["num_hidden_layers"]["language"] == 3
    assert LxmertConfig.from_pretrained(tmp_path, l_layers=4).num_hidden_layers["language"] == 4


def test_transformers_reads_ours(tmp_path):
    config = LxmertConfig(l_layers=2, r_layers=1, num_qa_labels=7, hidden_act="relu", id2label={"0": "no"})
    config.save_pretrained(tmp_path / "deep" / "folder")
    theirs = transformers.LxmertConfig.from_pretrained(tmp_path / "deep" / "folder")
    for name, value in config.to_dict().items():
        if name not in ("_name_or_path", "label2id"):  # theirs has none without label2id in the file
            assert getattr(theirs, name) == value, name
    theirs.save_pretrained(tmp_path / "back")
    assert LxmertConfig.from_pretrained(tmp_path / "back") == config


def test_file_or_folder_and_overrides(tmp_path):
    LxmertConfig(l_layers=2).save_pretrained(tmp_path)
    assert LxmertConfig.from_pretrained(tmp_path / "config.json") == LxmertConfig.from_pretrained(str(tmp_path))
    assert LxmertConfig.from_pretrained(tmp_path, task_qa=False) == LxmertConfig(l_layers=2, task_qa=False)
    text = (tmp_path / "config.json").read_text()
    assert text == LxmertConfig(l_layers=2).to_json_string()
    assert text.endswith("}\n")
    assert list(json.loads(text)) == sorted(json.loads(text))


def test_overrides_that_do_not_fit(tmp_path):
    LxmertConfig().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"with the overrides: l_layers must be at least 0; got -1"):
        LxmertConfig.from_pretrained(tmp_path, l_layers=-1)


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (b"", ValueError, "is not a JSON file"),
        (b"{", ValueError, "is not a JSON file"),
        (b"\xff\xfe\x00", ValueError, "is not a JSON file"),
        (b"[" * 100_000, ValueError, "is not a JSON file"),
        (b"[1]", ValueError, "must hold a JSON object of keys and values; it holds a list"),
        (b" " * (4 * 2**20 + 1), ValueError, "is larger than 4194304 bytes"),
        (b'{"model_type": "bert"}', ValueError, "config.json: this is the configuration of a 'bert' model"),
        (b'{"hidden_size": "768"}', TypeError, r"config.json: hidden_size must be an integer; got '768' \(str\)"),
        (b'{"hidden_size": NaN}', TypeError, "hidden_size must be an integer; got nan"),
        (b'{"hidden_act": "tanh"}', ValueError, "config.json: hidden_act must be one of"),
    ],
)
def test_files_that_are_none(content, error, message, tmp_path):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(error, match=message):
        LxmertConfig.from_pretrained(tmp_path)


def test_nothing_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"has no config.json; pass a folder that holds a config.json"):
        LxmertConfig.from_pretrained(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"there is no file or folder .*absent"):
        LxmertConfig.from_pretrained(tmp_path / "absent")


def test_saving_replaces_and_leaves_other_files(tmp_path):
    (tmp_path / "config.json").write_text("old")
    (tmp_path / "notes.txt").write_text("mine")
    LxmertConfig().save_pretrained(tmp_path)
    assert LxmertConfig.from_pretrained(tmp_path) == LxmertConfig()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["config.json", "notes.txt"]
