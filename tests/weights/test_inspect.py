"""What a weight file is said to be and to hold, whatever its format, complete or not."""

import json
import threading
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from lxmert.weights import weight_iteration
from lxmert.weights.checkpoint import CheckpointMismatchError
from lxmert.weights.convert import convert
from lxmert.weights.inspect import summarize
from lxmert.weights.naming.tables import MODELS
from lxmert.weights.weight_iteration import folded_path, row_path
from tests.weights.weight_folders import CONFIG, VISUAL_BERT, make_folder, read_folder, tensors_of

GOLDEN = Path(__file__).parents[1] / "golden"


def test_paths():
    assert row_path("language_layers.11.attention.query") == "language_layers.{i}.attention.query"
    assert row_path("heads.word.bias") == "heads.word.bias"
    assert folded_path(["pooler.dense", "pooler.dense"]) == "pooler.dense"
    layers = [f"visual_layers.{i}.feed_forward.up" for i in (0, 1, 2, 5, 10, 11)]
    assert folded_path(layers) == "visual_layers.{0-2,5,10-11}.feed_forward.up"


@pytest.mark.parametrize("target", [None, "a.weights.h5", "a.keras", "a.h5", "b"])
def test_a_whole_model(target, tmp_path):
    source = make_folder(tmp_path / "source")
    tensors = read_folder(source)
    if target is not None:
        convert(source, tmp_path / target, max_shard_size=4096 if target == "b" else None)
        source = tmp_path / target
    found = summarize(source)
    assert (found.source, Path(found.path).exists()) == (str(source), True)
    assert (found.model, found.model_type, found.architectures) == ("LXMERT", "lxmert", ("LxmertForPreTraining",))
    assert found.heads == ("word", "match", "object", "answer")
    assert (found.config_source, found.config["num_attention_heads"]) == ("config.json", 3)
    count = sum(x.size for x in tensors.values())
    assert (found.tensors, found.parameters, found.size) == (len(tensors), count, 4 * count)
    assert found.dtypes == {"float32": len(tensors)}
    assert (found.decoder, found.missing, found.wrong_shape, found.unused) == ("tied, stored once", (), (), ())
    assert (found.nan, found.inf) == (0, 0)
    modules = {row.path: row for row in found.modules}
    # Every row of the table but those of the other head under the name of the answers, and a decoder of its own.
    rows = [row for row in MODELS["lxmert"].rows if not row.path.startswith(("heads.reasoning", "heads.word.decoder"))]
    assert len(found.modules) == len(rows)
    query = modules["language_layers.{0-1}.attention.query"]
    assert (query.layers, query.shapes, query.parameters) == (2, ((12, 12),), 2 * (144 + 12))
    assert modules["region_embeddings.feature"].shapes == ((12, 7),)
    assert sum(row.parameters for row in found.modules) == count
    assert sum(row.size for row in found.modules) == 4 * count
    unfolded = summarize(source, folded=False)
    assert {row.path for row in unfolded.modules} >= {"visual_layers.0.attention.out", "visual_layers.2.attention.out"}
    assert all(row.layers == 1 for row in unfolded.modules)
    assert sum(row.parameters for row in unfolded.modules) == count


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ml_dtypes.bfloat16])
def test_nan_and_infinite_values_are_counted(dtype, tmp_path, monkeypatch):
    monkeypatch.setattr(weight_iteration, "_BLOCK", 5)  # in several pieces
    values = np.ones((12, 12), "float32")
    values[3, 4] = np.nan
    values[5, 6:9] = np.inf, -np.inf, np.inf
    bias = np.array([np.nan, 0], "float32")
    changed = {
        "lxmert.encoder.layer.1.attention.self.query.weight": values.astype(dtype),
        "cls.seq_relationship.bias": bias.astype(dtype),
    }
    source = make_folder(tmp_path / "source", **changed)
    found = summarize(source)
    counted = {row.path: (row.nan, row.inf) for row in found.modules if row.nan or row.inf}
    assert counted == {"language_layers.{0-1}.attention.query": (1, 3), "heads.match": (1, 0)}
    assert (found.nan, found.inf) == (2, 3)
    one_by_one = {row.path for row in summarize(source, folded=False).modules if row.nan}
    assert one_by_one == {"language_layers.1.attention.query", "heads.match"}
    if dtype != "float32":
        query = next(row for row in found.modules if row.path == "language_layers.{0-1}.attention.query")
        assert query.dtypes == ("float32", np.dtype(dtype).name)
        assert found.dtypes[np.dtype(dtype).name] == 2


@pytest.mark.parametrize("folded", [True, False])
def test_values_that_no_model_uses_are_counted_too(folded, tmp_path, monkeypatch):
    monkeypatch.setattr(weight_iteration, "_BLOCK", 5)
    decoder = tensors_of("LxmertForPreTraining")["lxmert.embeddings.word_embeddings.weight"].copy()
    decoder[4, 3:5] = np.nan, np.inf
    bad = np.array([[np.nan, 1, -np.inf]] * 3, "float16")
    changed = {
        "cls.predictions.decoder.weight": decoder,
        "bad": bad,
        "whole": np.arange(7),
        "good": np.ones(2, "float32"),
    }
    # Said to be tied, so that the second one is a copy, whatever it holds.
    source = make_folder(tmp_path / "source", **changed)
    told: list[int] = []
    found = summarize(source, lambda size, total: told.append(size), folded=folded, tie_word_embeddings=True)
    assert (found.nan, found.inf) == (4, 4)
    assert all(row.nan == row.inf == 0 for row in found.modules)
    (copy,) = found.copies
    assert (copy.name, copy.shape, copy.nan, copy.inf) == ("cls.predictions.decoder.weight", decoder.shape, 1, 1)
    assert (copy.parameters, copy.size) == (decoder.size, decoder.nbytes)
    unused = {one.name: (one.dtype, one.size, one.nan, one.inf) for one in found.unused}
    assert unused == {"bad": ("float16", 18, 3, 3), "good": ("float32", 8, 0, 0), "whole": ("int64", 56, 0, 0)}
    assert found.decoder == "tied, stored twice"
    assert sum(told) == found.size
    parts = (*found.modules, *found.copies, *found.unused)
    assert (sum(p.parameters for p in parts), sum(p.size for p in parts)) == (found.parameters, found.size)
    unread = summarize(source, values=False, tie_word_embeddings=True)
    assert {(one.nan, one.inf) for one in (*unread.copies, *unread.unused)} == {(None, None)}


def test_values_are_read_once_each_in_few_threads_or_not_at_all(tmp_path, monkeypatch):
    from lxmert.weights.formats.safetensors import SafetensorsFile

    source = make_folder(tmp_path / "source")
    asked, threads = [], set()
    read = SafetensorsFile.read

    def spy(self, name):
        asked.append(name)
        threads.add(threading.get_ident())
        return read(self, name)

    monkeypatch.setattr(SafetensorsFile, "read", spy)
    told = []
    found = summarize(source, lambda size, total: told.append((size, total)))
    assert sorted(asked) == sorted(read_folder(source))
    assert 1 <= len(threads) <= 2
    assert sum(size for size, _ in told) == found.size == told[0][1]
    asked.clear()
    unread = summarize(source, values=False)
    assert asked == []
    assert {(row.nan, row.inf) for row in unread.modules} == {(None, None)}
    assert (unread.nan, unread.inf) == (0, 0)
    assert [row.parameters for row in unread.modules] == [row.parameters for row in found.modules]


def test_what_does_not_fit_is_told(tmp_path):
    changed = {
        "lxmert.pooler.dense.bias": None,
        "lxmert.encoder.r_layers.2.output.dense.weight": np.ones((12, 11), "float32"),
        "lxmert.embeddings.position_ids": np.arange(9)[None],
        "something.else": np.ones(3, "float16"),
    }
    found = summarize(make_folder(tmp_path / "source", **changed))
    assert found.missing == ("pooler.dense.bias",)
    assert found.wrong_shape == ("visual_layers.2.feed_forward.down.weight",)
    unused = {(one.name, one.shape, one.dtype) for one in found.unused}
    assert unused == {("lxmert.embeddings.position_ids", (1, 9), "int64"), ("something.else", (3,), "float16")}
    assert next(
        row for row in found.modules if "feed_forward.down" in row.path and "visual_layers" in row.path
    ).shapes == ((12, 10), (12, 11))


def test_pruned_heads_give_several_shapes(tmp_path):
    config = CONFIG.replace(pruned_heads={"language_layers.1.attention": [0]})
    found = summarize(make_folder(tmp_path / "source", config=config))
    assert found.wrong_shape == ()
    assert next(row for row in found.modules if row.path.endswith("{0-1}.attention.query")).shapes == (
        (12, 12),
        (8, 12),
    )


@pytest.mark.parametrize(
    ("decoder", "config", "told"),
    [
        ("same", CONFIG, "tied, stored twice"),
        ("other", CONFIG, "its own"),
        ("other", CONFIG.replace(tie_word_embeddings=False), "its own"),
    ],
)
def test_the_decoder(decoder, config, told, tmp_path):
    name = "cls.predictions.decoder.weight"
    word = tensors_of("LxmertForPreTraining")["lxmert.embeddings.word_embeddings.weight"]
    source = make_folder(tmp_path / "source", config=config, **{name: word if decoder == "same" else word + 1})
    found = summarize(source)
    assert found.config["tie_word_embeddings"] == (told != "its own")
    assert (found.decoder, found.unused, found.missing) == (told, (), ())
    assert any(row.path == "heads.word.decoder" for row in found.modules) == (told == "its own")


def test_no_word_head(tmp_path):
    assert summarize(make_folder(tmp_path / "source", "LxmertForQuestionAnswering")).decoder is None


def test_heads_that_the_config_has_switched_off(tmp_path):
    source = make_folder(tmp_path / "source")
    config = CONFIG.replace(task_qa=False, visual_feat_loss=False).to_dict()
    (source / "config.json").write_text(json.dumps(config))
    paths = {row.path for row in summarize(source).modules}
    assert {"heads.answer.out", "heads.object.feat"} <= paths


def test_a_class_that_is_not_told(tmp_path):
    source = make_folder(tmp_path / "source", "VisualBertForQuestionAnswering")
    (source / "config.json").write_text(VISUAL_BERT.to_json_string())
    found = summarize(source)
    assert found.architectures == ("VisualBertForQuestionAnswering", "VisualBertForVisualReasoning")
    assert (found.missing, found.unused) == ((), ())


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_a_plain_bert(prefix, tmp_path):
    config = VISUAL_BERT.replace(hidden_size=64, num_attention_heads=1, num_hidden_layers=11)
    tensors = tensors_of("VisualBertModel", config)
    tensors = {prefix + name: x for name, x in tensors.items() if "visual" not in name}
    save_file(tensors, tmp_path / "bert.safetensors")
    with pytest.warns(UserWarning, match="num_attention_heads=1 is a guess"):
        found = summarize(tmp_path / "bert.safetensors")
    assert (found.model, found.model_type, found.architectures) == ("a plain BERT", "bert", ())
    assert (found.heads, found.unused, found.missing, found.wrong_shape) == ((), (), (), ())
    # Of which LXMERT would take nine.
    assert next(row for row in found.modules if row.path.endswith("attention.query")).layers == 11
    assert sum(row.parameters for row in found.modules) == found.parameters
    with pytest.warns(UserWarning, match="guess"):
        assert len(summarize(tmp_path / "bert.safetensors", l_layers=1).unused) == 16 * 10


def test_fields_that_are_given(tmp_path):
    source = make_folder(tmp_path / "source")
    assert len(summarize(source, r_layers=2).unused) == 16
    with pytest.raises(TypeError, match="unexpected keyword 'r_layer'"):
        summarize(source, r_layer=2)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("airsplay/model_LXRT.pth", ("PyTorch pickle", "LxmertForPreTraining", "inferred from the shapes")),
        ("airsplay/nlvr2_BEST.pth", ("PyTorch pickle", "LxmertForVisualReasoning", "inferred from the shapes")),
        ("transformers-4.49/pt_pretraining_bin", ("PyTorch pickle", "LxmertForPreTraining", "config.json")),
        (
            "transformers-4.49/tf_pretraining_safetensors",
            ("safetensors in TensorFlow's layout", "LxmertForPreTraining", "config.json"),
        ),
    ],
)
def test_what_other_programs_wrote(path, told, tmp_path):
    found = summarize(GOLDEN / path, num_attention_heads=3)
    assert (found.format, *found.architectures, found.config_source) == told
    assert (found.missing, found.wrong_shape, found.unused, found.nan, found.inf) == ((), (), (), 0, 0)
    if "pretraining_bin" in path:
        assert found.decoder == "tied, stored twice"


def test_another_models_file_is_refused(tmp_path):
    save_file({"conv.weight": np.ones((3, 3), "float32")}, tmp_path / "other.safetensors")
    with pytest.raises(
        CheckpointMismatchError, match=r"is not a file of LXMERT, VisualBERT, .* or VCR detector: none of its 1 names"
    ):
        summarize(tmp_path / "other.safetensors")


def test_a_file_that_is_cut_off_while_it_is_read(tmp_path, monkeypatch):
    from lxmert.weights.formats.safetensors import SafetensorsFile

    source = make_folder(tmp_path / "source")

    def cut_off(self, name):
        raise ValueError("it is cut off")

    monkeypatch.setattr(SafetensorsFile, "read", cut_off)
    with pytest.raises(ValueError, match="it is cut off"):
        summarize(source)
