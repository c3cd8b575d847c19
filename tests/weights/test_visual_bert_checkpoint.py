"""Weight files of VisualBERT: which class a file makes up, what it may hold besides, and what the message says."""

import json

import numpy as np
import pytest
import torch
import transformers

from lxmert import CheckpointMismatchError, LxmertConfig, VisualBertConfig
from lxmert.common.specs import architectures
from lxmert.weights.convert import convert
from lxmert.weights.load import match_parameters
from lxmert.weights.naming.key_mapping import HUGGING_FACE, NATIVE, ORIGINAL_VISUAL_BERT, parameters
from lxmert.weights.naming.tables import head_names
from lxmert.weights.open import open_checkpoint

from .weight_folders import CONFIG, VISUAL_BERT, assert_bits_equal, make_folder, read_folder, tensors_of, values_of

CLASSES = architectures("visual_bert")
PRE_TRAINING, CHOICE = "VisualBertForPreTraining", "VisualBertForMultipleChoice"
ANSWERING, REASONING = "VisualBertForQuestionAnswering", "VisualBertForVisualReasoning"
ALIGNMENT = "VisualBertForRegionToPhraseAlignment"
WORDS = "visual_bert.embeddings.word_embeddings.weight"
DECODER, DECODER_BIAS = "cls.predictions.decoder.weight", "cls.predictions.decoder.bias"


def stated(folder, architectures):
    """Write into config.json which class the file is; leave it out where that is None."""
    values = json.loads((folder / "config.json").read_text()) | {"architectures": architectures}
    (folder / "config.json").write_text(json.dumps({k: v for k, v in values.items() if v is not None}))
    return folder


@pytest.mark.parametrize("name", CLASSES)
def test_what_a_file_holds(name, tmp_path):
    with open_checkpoint(make_folder(tmp_path, name)) as checkpoint:
        assert (checkpoint.architecture, checkpoint.heads) == (name, head_names(name, VISUAL_BERT))
        assert checkpoint.has_pooler
        taken, report = match_parameters(checkpoint, name)
        assert taken == list(parameters(VISUAL_BERT, head_names(name, VISUAL_BERT)))
        assert (report.source, report.new, report.unexpected) == (str(tmp_path / "model.safetensors"), (), ())
        for parameter in taken:
            assert np.array_equal(checkpoint.read(parameter), values_of(parameter))


@pytest.mark.parametrize(
    ("holds", "architectures", "found"),
    [
        *((name, [f"TF{name}"], name) for name in CLASSES),
        # The names of the tensors decide; the two models of a classifier differ in nothing but what the config says.
        *((name, None, name) for name in CLASSES if name not in (ANSWERING, REASONING)),
        *((name, [other], name) for name in (PRE_TRAINING, CHOICE, ALIGNMENT) for other in ("LxmertModel", "X", None)),
        (ANSWERING, [REASONING], REASONING),
        (PRE_TRAINING, [ANSWERING], PRE_TRAINING),
        (PRE_TRAINING, [ALIGNMENT], PRE_TRAINING),
        ("VisualBertModel", [ANSWERING], "VisualBertModel"),
    ],
)
def test_which_class_a_file_makes_up(holds, architectures, found, tmp_path):
    with open_checkpoint(stated(make_folder(tmp_path, holds), architectures)) as checkpoint:
        assert checkpoint.architecture == found
        assert len(match_parameters(checkpoint, found)[0]) == len(tensors_of(holds))


@pytest.mark.parametrize("architectures", [None, [], ["BertModel"], [3], REASONING])  # the last is no list
def test_a_classifier_of_which_nothing_tells_the_class(architectures, tmp_path):
    """Its answer is read at a token or from the pooled output; as the wrong class it would answer nonsense."""
    folder = stated(make_folder(tmp_path / "source", REASONING), architectures)
    with pytest.raises(CheckpointMismatchError, match=f'may be {ANSWERING} or {REASONING}, .* put "architectures"'):
        convert(folder, tmp_path / "target")
    assert not (tmp_path / "target").exists()
    with open_checkpoint(folder) as checkpoint:  # who loads it by a class says which it is
        assert len(match_parameters(checkpoint, REASONING)[0]) == len(tensors_of(REASONING))


@pytest.mark.parametrize(
    ("architectures", "found"), [([ANSWERING], ANSWERING), ([REASONING], REASONING), ([CHOICE], CHOICE), (None, CHOICE)]
)
def test_a_classifier_of_one_label_has_the_shape_of_a_choice(architectures, found, tmp_path):
    config = VISUAL_BERT.replace(num_labels=1)
    with open_checkpoint(stated(make_folder(tmp_path, ANSWERING, config), architectures)) as checkpoint:
        assert checkpoint.architecture == found
        assert len(match_parameters(checkpoint, found)[0]) == len(tensors_of(ANSWERING))


# What files hold beside the weights, in the mapping of theirs and of the authors.
BESIDE = {
    HUGGING_FACE: {"visual_bert.embeddings.position_ids": np.arange(9)[None]},
    ORIGINAL_VISUAL_BERT: {
        "bert.bert.embeddings.position_ids": np.arange(9.0, dtype="f4")[None],
        "bert.detector.backbone.0.weight": np.ones((2, 3), "f4"),
        "detector.backbone.1.num_batches_tracked": np.array(7),
        "detector.obj_downsample.bias": np.ones(2, "f4"),
    },
    NATIVE: {},
}


@pytest.mark.parametrize("mapping", BESIDE, ids=lambda s: s.title)
@pytest.mark.parametrize("name", CLASSES)
def test_every_key_mapping_reads_and_converts(name, mapping, tmp_path):
    source = make_folder(tmp_path / "source", name, mapping=mapping, **BESIDE[mapping])
    with open_checkpoint(source) as checkpoint:
        assert (checkpoint.mapping, checkpoint.architecture) == (mapping, name)
        taken, report = match_parameters(checkpoint, name)
        assert len(taken) == len(tensors_of(name))
        assert (report.naming, report.new) == (mapping.title, ())
        assert sorted(report.unexpected) == sorted(BESIDE[mapping])
    done = convert(source, tmp_path / "target")
    assert (done.architecture, done.tensors, done.report) == (name, len(tensors_of(name)), report)
    assert_bits_equal(read_folder(tmp_path / "target"), tensors_of(name))


@pytest.mark.parametrize("name", [PRE_TRAINING, ALIGNMENT])
@pytest.mark.parametrize("mapping", [HUGGING_FACE, ORIGINAL_VISUAL_BERT], ids=lambda s: s.title)
def test_copies_of_tied_tensors(name, mapping, tmp_path):
    held, prefix = tensors_of(name, mapping=mapping), mapping.head_prefix
    words = {HUGGING_FACE: WORDS, ORIGINAL_VISUAL_BERT: "bert.bert.embeddings.word_embeddings.weight"}[mapping]
    copies = {prefix + DECODER: words, prefix + DECODER_BIAS: f"{prefix}cls.predictions.bias"}
    with open_checkpoint(
        make_folder(tmp_path, name, mapping=mapping, **{k: held[v] for k, v in copies.items()})
    ) as file:
        taken, report = match_parameters(file, name)
        assert (len(taken), report.unexpected) == (len(held), ())
    for copy, original in copies.items():
        # A matrix of other values is the word head's own; see test_decoders.py.
        others = [held[original][:-1]] + ([held[original] + 1] if held[original].ndim == 1 else [])
        for values in others:
            with open_checkpoint(make_folder(tmp_path, name, mapping=mapping, **{copy: values})) as file:
                with pytest.raises(CheckpointMismatchError) as error:
                    match_parameters(file, name)
                shapes = f"{copy} {list(values.shape)} next to {original} {list(held[original].shape)}"
                assert f"holds {shapes} with other values; the two are one tensor in a model of Visual" in str(
                    error.value
                )
                assert f"Nothing was loaded. Take {copy} out of the file if the other is right" in str(error.value)
                assert match_parameters(file, ANSWERING, only="backbone")  # then nobody wants it


def mismatch(folder, name, pooler=True, **overrides):
    with open_checkpoint(folder, **overrides) as checkpoint, pytest.raises(CheckpointMismatchError) as error:
        match_parameters(checkpoint, name, pooler=pooler)
    return str(error.value)


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    changed = {
        "visual_bert.pooler.dense.bias": None,
        "cls.bias": None,
        "visual_bert.embeddings.position.ids": np.ones(2, "f4"),
        "visual_bert.embeddings.visual_projection.weight": np.ones((7, 12), "f4"),
    }
    assert mismatch(make_folder(tmp_path, ANSWERING, **changed), ANSWERING).splitlines() == [
        f"model.safetensors (Hugging Face (PyTorch)) does not fit {ANSWERING}(num_hidden_layers=2):",
        "  missing     2: visual_bert.pooler.dense.bias, cls.bias",
        "  unexpected  1: visual_bert.embeddings.position.ids",
        "  wrong shape 1: embeddings.feature.weight needs [12, 7], the file has [7, 12]",
        "Nothing was loaded. The file has 12 visual features: put visual_embedding_dim=12 into config.json, "
        "or pass visual_embedding_dim=12.",
    ]


@pytest.mark.parametrize(
    ("overrides", "advice"),
    [
        ({"num_hidden_layers": 3}, "The file has 2 layers of the kind that num_hidden_layers counts: put num_hidden"),
        ({"num_hidden_layers": 1}, "counts: put num_hidden_layers=2 into config.json, or pass num_hidden_layers=2"),
        ({"visual_embedding_dim": 2048}, "The file has 7 visual features: put visual_embedding_dim=7"),
        ({"vocab_size": 29}, "The file has 23 words in its vocabulary: put vocab_size=23"),
        ({"hidden_size": 24}, "put hidden_size=12"),
        ({"max_position_embeddings": 512}, "The file has 9 positions: put max_position_embeddings=9"),
        ({"type_vocab_size": 2}, "put type_vocab_size=3"),
        ({"intermediate_size": 11}, "put intermediate_size=10"),
        ({"num_labels": 3129}, "The file has 5 labels: put num_labels=5 into config.json, or pass num_labels=5"),
        ({"num_labels": 2}, "Or pass allow_new_head=True to from_pretrained, to newly initialize the answer head."),
        (
            {"bypass_transformer": True},
            "The file has no additional layer: put bypass_transformer=false into config.json, or pass bypass_tran",
        ),
    ],
)
@pytest.mark.parametrize("mapping", [HUGGING_FACE, ORIGINAL_VISUAL_BERT, NATIVE], ids=lambda s: s.title)
def test_a_configuration_that_disagrees(mapping, overrides, advice, tmp_path):
    message = mismatch(make_folder(tmp_path, ANSWERING, mapping=mapping), ANSWERING, **overrides)
    assert advice in message
    assert "Nothing was loaded." in message
    assert "Pass the config.json" not in message


def test_an_additional_layer_that_the_configuration_does_not_have(tmp_path):
    folder = make_folder(tmp_path, REASONING, VISUAL_BERT.replace(bypass_transformer=True))
    lines = mismatch(folder, REASONING, bypass_transformer=False).splitlines()
    assert lines[2].startswith("  unexpected  16: visual_bert.additional_layer.")
    assert lines[4].startswith("Nothing was loaded. The file has an additional layer: put bypass_transformer=true into")
    with open_checkpoint(folder) as checkpoint:
        assert len(match_parameters(checkpoint, REASONING)[0]) == len(tensors_of(REASONING)) + 16


def test_pruned_weights_fit_their_configuration(tmp_path):
    folder = make_folder(tmp_path, CHOICE, VISUAL_BERT.replace(pruned_heads={"1": [0, 2]}))
    with open_checkpoint(folder) as checkpoint:
        shapes = {p.name: p.shape for p in match_parameters(checkpoint, CHOICE)[0]}
    assert shapes["encoder_layers.1.attention.key.weight"] == shapes["encoder_layers.1.attention.out.weight"][::-1]
    assert "wrong shape 7" in mismatch(folder, CHOICE, pruned_heads={})


def test_a_file_without_pooler(tmp_path):
    make_folder(tmp_path, "VisualBertModel", pooler=False)
    advice = "The file has no pooler: pass add_pooling_layer=False to from_pretrained."
    assert advice in mismatch(tmp_path, "VisualBertModel")
    message = mismatch(tmp_path, ANSWERING)
    assert "missing     4: pooler.dense.weight, pooler.dense.bias, cls.weight, cls.bias" in message
    assert f"The file has no pooler, which {ANSWERING} needs; VisualBertModel does without one, with add_" in message
    with open_checkpoint(tmp_path) as checkpoint:
        assert not checkpoint.has_pooler
        assert (
            len(match_parameters(checkpoint, "VisualBertModel", pooler=False)[0])
            == len(tensors_of("VisualBertModel")) - 2
        )
    # Half a pooler is a broken file.
    assert advice not in mismatch(
        make_folder(tmp_path, "VisualBertModel", **{"pooler.dense.bias": None}), "VisualBertModel"
    )


def test_a_pooler_that_the_model_does_without_is_left_out_and_named(tmp_path):
    with open_checkpoint(make_folder(tmp_path, "VisualBertModel")) as checkpoint:
        left_out = match_parameters(checkpoint, "VisualBertModel", pooler=False)[1].unexpected
    assert sorted(left_out) == ["pooler.dense.bias", "pooler.dense.weight"]


@pytest.mark.parametrize(
    ("holds", "wanted", "advice"),
    [
        (PRE_TRAINING, ANSWERING, "The file lacks tensors of the heads: classifier. Pass allow_new_head=True"),
        (PRE_TRAINING, ALIGNMENT, "The file lacks tensors of the heads: alignment. Pass allow_new_head=True"),
        ("VisualBertModel", PRE_TRAINING, "The file lacks tensors of the heads: match, word. Pass allow_new_head=True"),
        (ANSWERING, CHOICE, "another head than multiple choice. Pass allow_new_head=True to from_pretrained"),
        (CHOICE, REASONING, "Or pass allow_new_head=True to from_pretrained, to newly initialize the answer head."),
    ],
)
def test_a_file_with_other_heads(holds, wanted, advice, tmp_path):
    assert advice in mismatch(make_folder(tmp_path, holds), wanted)
    with open_checkpoint(tmp_path) as checkpoint:
        taken, report = match_parameters(checkpoint, wanted, allow_new_head=True)
        fresh = [p for p in parameters(VISUAL_BERT, head_names(wanted, VISUAL_BERT)) if p not in taken]
        assert {p.head for p in fresh} == set(head_names(wanted, VISUAL_BERT)) - (set(checkpoint.heads))
        assert report.new == tuple(p.name for p in fresh)
        backbone, report = match_parameters(checkpoint, wanted, only="backbone")
        assert len(backbone) == len(tensors_of("VisualBertModel"))
        assert set(report.unexpected) == {n for n in tensors_of(holds) if n.startswith(("cls.", "attention."))}


def test_a_head_of_either_model_of_a_classifier_fits_the_other(tmp_path):
    with open_checkpoint(make_folder(tmp_path, ANSWERING)) as checkpoint:
        assert match_parameters(checkpoint, REASONING)[0] == match_parameters(checkpoint, ANSWERING)[0]


@pytest.mark.parametrize(
    ("holds", "kind", "other", "title"),
    [
        ("LxmertForPreTraining", VisualBertConfig, VISUAL_BERT, "VisualBERT"),
        (PRE_TRAINING, LxmertConfig, CONFIG, "LXMERT"),
    ],
)
def test_the_other_models_folder(holds, kind, other, title, tmp_path):
    make_folder(tmp_path, holds)
    with pytest.raises(ValueError, match=rf"the configuration of .*; {kind.__name__} reads .* Use the classes of that"):
        open_checkpoint(tmp_path, kind=kind)
    # The heads have names that both models know; they do not make a file of the one a file of the other.
    with pytest.raises(
        CheckpointMismatchError, match=rf"is not a file of {title}: none of its .* Pass the config.json"
    ):
        open_checkpoint(tmp_path, other, kind)


def test_the_other_models_backbone_has_names_that_are_known(tmp_path):
    with open_checkpoint(make_folder(tmp_path, "LxmertModel"), VISUAL_BERT) as checkpoint:
        with pytest.raises(CheckpointMismatchError) as error:
            match_parameters(checkpoint, ANSWERING)
        assert str(error.value).endswith("Nothing was loaded. Pass the config.json that belongs to the file.")


def test_a_configuration_without_model_type(tmp_path):
    make_folder(tmp_path, ANSWERING)
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({k: v for k, v in values.items() if k != "model_type"}))
    with open_checkpoint(tmp_path, kind=VisualBertConfig) as checkpoint:  # the class that loads it tells the model
        assert checkpoint.architecture == ANSWERING
    with pytest.raises(CheckpointMismatchError, match=r"is not a file of LXMERT: .* its model_type names the model"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("name", CLASSES)
def test_what_transformers_saves_reads(name, tmp_path):
    torch.manual_seed(0)
    theirs = getattr(transformers, name)(transformers.VisualBertConfig(**VISUAL_BERT.to_dict()))
    theirs.save_pretrained(tmp_path)
    with open_checkpoint(tmp_path) as checkpoint:
        assert (checkpoint.config, checkpoint.architecture) == (VISUAL_BERT, name)
        taken, report = match_parameters(checkpoint, name)
        assert (len(taken), report.unexpected) == (len(tensors_of(name)), ())
        held = theirs.state_dict()
        for p in taken:
            assert np.array_equal(checkpoint.read(p), held[checkpoint.key(p)].numpy()), p.name
