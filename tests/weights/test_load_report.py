"""What became of a file's tensors and of a model's parameters, as a program can read it; the same in both backends."""

import warnings

import numpy as np
import pytest

import lxmert.pt
import lxmert.tf
from lxmert import CheckpointMismatchError
from lxmert.weights.load import LoadReport, match_parameters
from lxmert.weights.naming.key_mapping import HUGGING_FACE, parameters
from lxmert.weights.naming.tables import head_names
from lxmert.weights.open import open_checkpoint
from tests.models import weights

from .weight_folders import CONFIG, make_folder, tensors_of

PRE_TRAINING, ANSWERING, REASONING = "LxmertForPreTraining", "LxmertForQuestionAnswering", "LxmertForVisualReasoning"
BACKBONE_NAMES = {f"lxmert.{name}" for name in tensors_of("LxmertModel")}


def loaded(architecture, source, **options):
    """The reports of both backends, which are one."""
    reports = [
        model_class.from_pretrained(source, **options).load_report
        for model_class in (getattr(lxmert.pt, architecture), getattr(lxmert.tf, f"TF{architecture}"))
    ]
    assert reports[0] == reports[1]
    return reports[0]


def names_of(architecture, *heads):
    """The names of the parameters of a class's heads, all of them or some."""
    wanted = parameters(CONFIG, head_names(architecture, CONFIG))
    return {p.name for p in wanted if p.head and (not heads or p.head in heads)}


def test_all_of_it(tmp_path):
    report = loaded(PRE_TRAINING, make_folder(tmp_path))
    assert report == LoadReport(
        source=str(tmp_path / "model.safetensors"),
        format="safetensors",
        naming="Hugging Face (PyTorch)",
        config_source="config.json",
    )
    assert (report.new, report.missing, report.unexpected) == ((), (), ())
    assert loaded(PRE_TRAINING, tmp_path, config=CONFIG).config_source == "given"
    (tmp_path / "config.json").unlink()
    assert loaded(PRE_TRAINING, tmp_path, num_attention_heads=3).config_source == "inferred from the shapes"


def test_a_model_without_some_of_the_files_heads(tmp_path):
    report = loaded(ANSWERING, make_folder(tmp_path))
    assert (report.new, report.missing) == ((), ())
    wanted = {HUGGING_FACE.key(p, True) for p in parameters(CONFIG, head_names(ANSWERING, CONFIG))}
    assert set(report.unexpected) == set(tensors_of(PRE_TRAINING)) - wanted
    assert set(loaded("LxmertModel", tmp_path).unexpected) == set(tensors_of(PRE_TRAINING)) - BACKBONE_NAMES


def test_only_the_backbone(tmp_path):
    """The heads are new, though the file has them: they are not missing, and theirs are unexpected."""
    report = loaded(PRE_TRAINING, make_folder(tmp_path / "whole"), only="backbone")
    assert set(report.new) == names_of(PRE_TRAINING)
    assert report.missing == ()
    assert set(report.unexpected) == set(tensors_of(PRE_TRAINING)) - BACKBONE_NAMES
    # From a backbone they are missing too.
    report = loaded(PRE_TRAINING, make_folder(tmp_path / "backbone", "LxmertModel"), only="backbone")
    assert set(report.new) == set(report.missing) == names_of(PRE_TRAINING)
    assert report.unexpected == ()
    # Nothing is let pass in the backbone.
    lost = make_folder(tmp_path / "lost", **{"lxmert.pooler.dense.bias": None})
    with pytest.raises(CheckpointMismatchError) as error:
        loaded(PRE_TRAINING, lost, only="backbone")
    assert error.value.missing == ("lxmert.pooler.dense.bias",)


def test_new_heads(tmp_path):
    """Absent ones are new and missing; those of another size are new, and what the file has of them is unexpected."""
    report = loaded(PRE_TRAINING, make_folder(tmp_path / "answers", ANSWERING), allow_new_head=True)
    assert set(report.new) == set(report.missing) == names_of(PRE_TRAINING, "word", "match", "object")
    assert report.unexpected == ()
    whole = make_folder(tmp_path / "whole")
    report = loaded(PRE_TRAINING, whole, allow_new_head=True, num_qa_labels=77)
    assert set(report.new) == names_of(PRE_TRAINING, "answer")
    assert report.missing == ()
    assert set(report.unexpected) == {name for name in tensors_of(PRE_TRAINING) if name.startswith("answer_head.")}
    # The head of two images, from a file that has that of one under the same names.
    report = loaded(REASONING, whole, allow_new_head=True)
    assert set(report.new) == names_of(REASONING)
    assert report.missing == ()
    # Half a head is made anew as a whole.
    half = make_folder(tmp_path / "half", ANSWERING, **{"answer_head.logit_fc.2.bias": None})
    report = loaded(ANSWERING, half, allow_new_head=True)
    assert set(report.new) == names_of(ANSWERING)
    assert report.missing == ("heads.answer.norm.bias",)
    assert len(report.unexpected) == 5
    # A file that has it all is read in full.
    assert loaded(PRE_TRAINING, whole, allow_new_head=True).new == ()


def test_new_heads_are_drawn_and_the_rest_is_the_files(tmp_path):
    make_folder(tmp_path)
    for model_class in (lxmert.pt.LxmertForQuestionAnswering, lxmert.tf.TFLxmertForQuestionAnswering):
        model = model_class.from_pretrained(tmp_path, allow_new_head=True, num_qa_labels=400)
        report = model.load_report
        names = {p.name: HUGGING_FACE.key(p, True) for p, _ in model.weights_by_name()}
        for name, values in weights(model).items():
            if name not in report.new:
                assert np.array_equal(values, tensors_of(PRE_TRAINING)[names[name]]), name
            elif values.ndim == 2:
                assert 0.01 < values.std() < 0.03, name
            else:
                assert (values == (1 if name.endswith("norm.weight") else 0)).all(), name


def test_the_error_can_be_read_by_a_program(tmp_path):
    changed = {
        "lxmert.pooler.dense.bias": None,
        "cls.seq_relationship.bias": None,
        "lxmert.pooler.dance.bias": np.ones(12, "f4"),
        "lxmert.pooler.dense.weight": np.ones((12, 13), "f4"),
    }
    source = make_folder(tmp_path, **changed)
    for model_class in (lxmert.pt.LxmertForPreTraining, lxmert.tf.TFLxmertForPreTraining):
        with pytest.raises(CheckpointMismatchError) as error:
            model_class.from_pretrained(source)
        assert error.value.missing == ("lxmert.pooler.dense.bias", "cls.seq_relationship.bias")
        assert error.value.unexpected == ("lxmert.pooler.dance.bias",)
        assert error.value.wrong_shape == ("pooler.dense.weight",)
        for name in (*error.value.missing, *error.value.unexpected, *error.value.wrong_shape):
            assert name in str(error.value)
    plain = CheckpointMismatchError("why")
    assert (str(plain), plain.missing, plain.unexpected, plain.wrong_shape) == ("why", (), (), ())


def test_every_name_is_in_one_place(tmp_path):
    """Taken, or unexpected; and a parameter is taken, or new."""
    odd = {"answer_head.logit_fc.9.weight": np.ones(3, "f4"), "lxmert.embeddings.position_ids": np.arange(9)}
    with open_checkpoint(make_folder(tmp_path, **odd)) as checkpoint, warnings.catch_warnings():
        warnings.simplefilter("error")
        for architecture in (PRE_TRAINING, ANSWERING, REASONING):
            taken, report = match_parameters(checkpoint, architecture, only="backbone")
            assert {checkpoint.stored_name(p) for p in taken} | set(report.unexpected) == set(checkpoint.file.shapes)
            assert not {checkpoint.stored_name(p) for p in taken} & set(report.unexpected)
            assert {p.name for p in taken} | set(report.new) == {
                p.name for p in parameters(CONFIG, head_names(architecture, CONFIG))
            }
        with pytest.raises(CheckpointMismatchError) as error:
            match_parameters(checkpoint, PRE_TRAINING)
        assert error.value.unexpected == ("answer_head.logit_fc.9.weight",)


def test_a_report_is_not_changed():
    report = LoadReport("a", "b", "c", "d")
    with pytest.raises(AttributeError):
        report.new = ("x",)


def test_what_others_put_on_top_of_a_backbone_does_not_matter(tmp_path):
    """A head of somebody's own, a counter of averaged models: the backbone is taken, and they are reported."""
    extra = {"my_head.weight": np.ones((2, 12), "float32"), "n_averaged": np.ones((), "float32")}
    folder = make_folder(tmp_path / "a", "LxmertForQuestionAnswering", **extra)
    with open_checkpoint(folder) as checkpoint:
        assert set(extra) <= set(match_parameters(checkpoint, "LxmertModel")[1].unexpected)
        assert set(extra) <= set(
            match_parameters(checkpoint, "LxmertForQuestionAnswering", only="backbone")[1].unexpected
        )
        with pytest.raises(
            CheckpointMismatchError, match=r"also has tensors of no model here: load only the backbone \(only="
        ) as error:
            match_parameters(checkpoint, "LxmertForQuestionAnswering")
    assert set(error.value.unexpected) == set(extra)
    inside = make_folder(tmp_path / "b", "LxmertModel", **{"encoder.more.weight": np.ones(3, "float32")})
    with open_checkpoint(inside) as checkpoint, pytest.raises(CheckpointMismatchError, match="unexpected  1"):
        match_parameters(checkpoint, "LxmertModel")


@pytest.mark.parametrize(
    ("held", "asked"),
    [
        ("LxmertForVisualReasoning", "LxmertForQuestionAnswering"),
        ("LxmertForQuestionAnswering", "LxmertForVisualReasoning"),
    ],
)
def test_two_heads_of_one_name(held, asked, tmp_path):
    with open_checkpoint(make_folder(tmp_path, held)) as checkpoint:
        with pytest.raises(CheckpointMismatchError, match=f"another head than {asked}'s: load it with {held}") as error:
            match_parameters(checkpoint, asked)
        assert "num_qa_labels" not in str(error.value)
