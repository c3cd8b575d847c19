"""Whether two files hold the same weights: across formats, dtypes, heads and kinds of models."""

import json
import math
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from lxmert.weights import weight_iteration
from lxmert.weights.compare import compare, difference
from lxmert.weights.convert import convert
from lxmert.weights.formats import USUAL
from lxmert.weights.naming.key_mapping import NATIVE
from tests.weights.weight_folders import CONFIG, VISUAL_BERT, make_folder, tensors_of

GOLDEN = Path(__file__).parents[1] / "golden"
NAN, INF = math.nan, math.inf


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    monkeypatch.setattr(weight_iteration, "_BLOCK", 4)


@pytest.mark.parametrize(
    ("a", "b", "differing", "largest"),
    [
        ([1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6], 0, 0.0),
        ([1, 2, 3, 4, 5, 6], [1, 2.5, 3, 4, 5, 2], 2, 4.0),
        ([1, 0], [1, -0.0], 1, 0.0),  # other bits, the same number
        ([NAN, INF, -INF], [NAN, INF, -INF], 0, 0.0),
        ([1, INF], [1, -INF], 1, INF),
        ([1, INF], [1, 2], 1, INF),
        ([1, 2, 3, 4, 5, NAN, 7, 8, 9, 10], [0, 2, 3, 4, 5, 6, 7, 8, 9, 13], 3, NAN),
    ],
)
@pytest.mark.parametrize("dtypes", [("float32", "float32"), ("float16", "float64"), (ml_dtypes.bfloat16, "float32")])
def test_differences(a, b, differing, largest, dtypes):
    x, y = np.array(a).astype(dtypes[0]), np.array(b).astype(dtypes[1])
    for found in (difference(x, y), difference(y, x)):
        assert found.differing == differing
        assert np.array_equal(found.largest, largest, equal_nan=True)


def test_the_smallest_difference_of_each_format():
    for dtype in ("float64", "float32", "float16", ml_dtypes.bfloat16):
        x = np.ones(9, dtype)
        y = x.copy()
        y.view(f"u{x.itemsize}")[5] += 1
        found = difference(x, y)
        assert (found.differing, found.largest) == (1, float(y[5]) - 1)
        assert found.largest > 0


def test_bits_of_what_is_no_number_count_in_one_format_only():
    x, y = np.array([NAN], "float32"), np.array([NAN], "float32")
    y.view("u4")[0] ^= 1
    assert difference(x, y) == (1, 0.0)
    assert difference(x, y, tolerance=0) == (0, 0.0)
    assert difference(x, y.astype("float64")) == (0, 0.0)
    y.view("u4")[0] = 0x7F800001  # one that tells of itself where it is converted
    assert difference(x, y) == (1, 0.0)


def test_check_integers():
    x = np.array([1, 2, 3])
    assert difference(x, x.copy()) == (0, 0.0)
    assert difference(x, np.array([1, 2, 5])) == (1, 2.0)
    assert difference(np.array([True, False]), np.array([True, True])) == (1, 1.0)


@pytest.mark.parametrize(
    ("tolerance", "differing", "largest"), [(0, 3, 1.0), (0.25, 2, 1.0), (0.5, 1, 1.0), (1, 0, 0.0), (9, 0, 0.0)]
)
def test_tolerance(tolerance, differing, largest):
    x = np.array([0, 1, 2, 3, 4, NAN, -INF, 0])
    y = np.array([0, 1.25, 2.5, 2, 4, NAN, -INF, -0.0])
    assert difference(x, y, tolerance) == (differing, largest)
    assert difference(x, np.where(x == 4, NAN, x), tolerance).differing == 1
    assert difference(x, np.where(x == 4, INF, x), tolerance) == (1, INF)


@pytest.mark.parametrize("tolerance", [-1e-9, NAN, INF])
def test_a_tolerance_that_is_none(tolerance, tmp_path):
    with pytest.raises(ValueError, match="tolerance must be a number of at least 0; got"):
        compare(tmp_path, tmp_path, tolerance=tolerance)


@pytest.mark.parametrize("target", ["a.weights.h5", "a.keras", "a.h5", "b", "a"])
def test_every_format_holds_the_same(target, tmp_path):
    source = make_folder(tmp_path / "source")
    convert(source, tmp_path / target, max_shard_size=4096 if target == "b" else None)
    for pair in ((source, tmp_path / target), (tmp_path / target, source)):
        told: list[tuple[int, int]] = []
        found = compare(*pair, lambda size, total, told=told: told.append((size, total)))
        assert found.same
        assert (found.config, found.only_first, found.only_second) == ({}, (), ())
        count = sum(x.size for x in tensors_of("LxmertForPreTraining").values())
        assert sum(row.parameters for row in found.modules) == count
        assert sum(size for size, _ in told) == 8 * count == told[0][1]
        assert (found.first.source, found.second.source) == tuple(map(str, pair))
        assert found.first.architectures == found.second.architectures == ("LxmertForPreTraining",)


@pytest.mark.full
def test_every_parameter_is_compared(tmp_path):
    source = make_folder(tmp_path / "source")
    for name, values in tensors_of("LxmertForPreTraining").items():
        changed = values.copy()
        changed.reshape(-1)[-1] += 0.5
        other = make_folder(tmp_path / "other", **{name: changed})
        found = compare(source, other)
        assert not found.same, name
        wrong = [row for row in found.modules if not row.same]
        assert len(wrong) == 1
        assert wrong[0].differing == 1
        assert wrong[0].largest == abs(float(changed.reshape(-1)[-1]) - float(values.reshape(-1)[-1]))
        assert compare(source, other, tolerance=0.5001).same


def test_layers_are_folded_or_not(tmp_path):
    source = make_folder(tmp_path / "source")
    tensors = tensors_of("LxmertForPreTraining")
    changed = {
        f"lxmert.encoder.r_layers.{i}.output.dense.bias": tensors[f"lxmert.encoder.r_layers.{i}.output.dense.bias"] + i
        for i in (1, 2)
    }
    other = make_folder(tmp_path / "other", **changed)
    row, *others = [row for row in compare(source, other).modules if not row.same]
    assert others == []
    assert (row.path, row.layers, row.differing) == ("visual_layers.{0-2}.feed_forward.down", 3, 24)
    assert row.largest == pytest.approx(2, abs=1e-6)
    found = {row.path: row.differing for row in compare(source, other, folded=False).modules if not row.same}
    assert found == {"visual_layers.1.feed_forward.down": 12, "visual_layers.2.feed_forward.down": 12}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_dtypes(dtype, tmp_path):
    source = make_folder(tmp_path / "source")
    convert(source, tmp_path / "a", dtype=dtype)
    convert(tmp_path / "a", tmp_path / "b.keras", dtype="float64")
    assert compare(tmp_path / "a", tmp_path / "b.keras").same  # wider, exactly
    found = compare(source, tmp_path / "a")
    assert found.same == (dtype == "float64")
    assert {row.dtypes for row in found.modules} == {(("float32",), (dtype,))}
    assert compare(source, tmp_path / "a", tolerance=0.02).same


def test_more_heads_and_more_layers(tmp_path):
    source = make_folder(tmp_path / "source")
    convert(source, tmp_path / "backbone", task="backbone")
    found = compare(source, tmp_path / "backbone")
    assert not found.same
    assert all(row.same for row in found.modules)
    assert found.only_second == ()
    assert {name.split(".")[0] for name in found.only_first} == {"heads"}
    other = make_folder(tmp_path / "other", config=CONFIG.replace(l_layers=3))
    found = compare(source, other)
    assert found.config == {"l_layers": (2, 3)}
    assert found.only_first == ()
    assert len(found.only_second) == 16
    assert {name.rpartition(".attention")[0] or "feed" for name in found.only_second} == {"language_layers.2", "feed"}


def test_the_configurations_alone_differ(tmp_path):
    source = make_folder(tmp_path / "source")
    other = make_folder(tmp_path / "other", config=CONFIG.replace(hidden_act="relu", layer_norm_eps=1e-5))
    found = compare(source, other)
    assert found.same
    assert found.config == {"hidden_act": ("gelu", "relu"), "layer_norm_eps": (1e-12, 1e-5)}


def test_other_shapes(tmp_path):
    source = make_folder(tmp_path / "source")
    found = compare(source, make_folder(tmp_path / "other", config=CONFIG.replace(num_qa_labels=7)))
    assert not found.same
    row = next(row for row in found.modules if not row.same)
    assert (row.path, row.parameters, row.differing) == ("heads.answer.out", 0, 0)
    assert row.shapes == (("heads.answer.out.weight", (5, 24), (7, 24)), ("heads.answer.out.bias", (5,), (7,)))


def test_an_untied_decoder(tmp_path):
    source = make_folder(tmp_path / "source")
    other = make_folder(tmp_path / "other", config=CONFIG.replace(tie_word_embeddings=False))
    found = compare(source, other)
    assert found.only_second == ("heads.word.decoder.weight",)
    assert found.config == {"tie_word_embeddings": (True, False)}
    word = tensors_of("LxmertForPreTraining")["lxmert.embeddings.word_embeddings.weight"]
    twice = make_folder(tmp_path / "twice", **{"cls.predictions.decoder.weight": word})
    assert compare(source, twice).same
    assert compare(source, twice).second.unused == ()


def test_different_kinds_of_models(tmp_path):
    found = compare(make_folder(tmp_path / "a"), make_folder(tmp_path / "b", "VisualBertModel"))
    assert (found.comparable, found.same, found.modules) == (False, False, ())
    assert (found.first.model, found.second.model) == ("LXMERT", "VisualBERT")


@pytest.mark.parametrize("architecture", ["LxmertModel", "VisualBertModel"])
def test_a_plain_bert_is_a_part_of_both(architecture, tmp_path):
    tensors = tensors_of("VisualBertModel", VISUAL_BERT.replace(num_hidden_layers=11))
    save_file({f"bert.{name}": x for name, x in tensors.items() if "visual" not in name}, tmp_path / "bert.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", **_bert_sizes()}))
    assert compare(tmp_path / "bert.safetensors", tmp_path / "bert.safetensors").same
    model = make_folder(tmp_path / "model", architecture)
    for found in (compare(tmp_path / "bert.safetensors", model), compare(model, tmp_path / "bert.safetensors")):
        assert found.comparable
        assert not found.same
        assert "a plain BERT" in (found.first.model, found.second.model)
        layers = "encoder_layers" if architecture == "VisualBertModel" else "language_layers"
        assert f"{layers}.{{0-1}}.attention.query" in {row.path for row in found.modules}
        # The values of the tests are drawn by our names, which the two kinds share in the embeddings and the pooler.
        assert next(row for row in found.modules if row.path == "embeddings.word").same
    both = found.only_first, found.only_second
    assert sorted({name.split(".")[1] for name in both[1] if "layers" in name}) == [
        str(i) for i in (10, 2, 3, 4, 5, 6, 7, 8, 9)
    ]


def _bert_sizes():
    wanted = ("vocab_size", "hidden_size", "num_attention_heads", "intermediate_size", "max_position_embeddings")
    return {name: getattr(VISUAL_BERT, name) for name in (*wanted, "type_vocab_size")}


def test_tensors_of_no_model_are_told(tmp_path):
    old = make_folder(tmp_path / "old", "VisualBertModel", **{"embeddings.position_ids": np.arange(9)[None]})
    found = compare(old, make_folder(tmp_path / "new", "VisualBertModel", mapping=NATIVE))
    assert found.same
    assert (found.first.unused, found.second.unused) == (("embeddings.position_ids",), ())


def test_what_other_programs_wrote():
    made = GOLDEN / "transformers-4.49"
    assert compare(made / "pt_pretraining_bin", made / "pt_pretraining_sharded").same
    assert compare(made / "tf_pretraining_h5", made / "tf_pretraining_safetensors").same
    assert not compare(made / "pt_pretraining_bin", made / "tf_pretraining_h5").same
    pickles = [GOLDEN / "airsplay" / f"{name}.pth" for name in ("model_LXRT", "single_gpu_LXRT")]
    assert compare(*pickles, num_attention_heads=3).same


def test_models_on_the_hub(tmp_path, monkeypatch):

    folders = {"owner/bert": tmp_path / "a", "owner/model": make_folder(tmp_path / "b", "VisualBertModel")}
    bert = {name: x for name, x in tensors_of("VisualBertModel").items() if "visual" not in name}
    folders["owner/bert"].mkdir()
    save_file(bert, folders["owner/bert"] / "model.safetensors")
    (folders["owner/bert"] / "config.json").write_text(json.dumps({"model_type": "bert", **_bert_sizes()}))
    asked = []

    def download_weights(name, **options):
        asked.append((name, options))
        return folders[name]

    monkeypatch.setattr("lxmert.weights.open.download_weights", download_weights)
    options = {"revision": "v2", "local_files_only": True}
    # One of them is opened again, as a part of the other's kind of model.
    for pair in (("owner/bert", "owner/model"), ("owner/model", "owner/bert")):
        assert compare(*pair, hub=options).comparable
        assert {name for name, _ in asked} == set(pair)
        assert all(given == {**options, "selection": USUAL} for _, given in asked)
        assert len(asked) == 3
        asked.clear()
