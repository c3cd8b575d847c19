"""What a run begins with: weights of all kinds, heads that fit or begin fresh."""

import json

import numpy as np
import pytest
import torch

from lxmert.pt import LxmertForPreTraining, LxmertForQuestionAnswering, LxmertForVisualReasoning
from lxmert.training import run
from lxmert.training.recipes import LOSSES
from lxmert.training.run import open_files
from lxmert.training.start import make_model
from lxmert.weights.answer_vocabulary import read_answer_vocabulary
from lxmert.weights.convert import convert

from .runs import TINY, settings_of, tensors


@pytest.fixture(scope="module")
def pretrained(scenes, tmp_path_factory):
    """A folder of pre-trained weights, with the table of its answers."""
    folder = tmp_path_factory.mktemp("pretrained")
    run.train(settings_of("pretrain", scenes, folder, epochs=1, valid=[]))
    return folder / "best"


def begun(settings, kind):
    """The model that a run begins with, and what was said about it."""
    said = []
    torch.manual_seed(0)
    return make_model(settings, kind, open_files(settings), said.append), said


def head_of(model):
    return model.heads.answer.out.weight.detach().numpy(), model.heads.answer.out.bias.detach().numpy()


def test_an_answer_head_is_taken_over_by_the_text_of_the_answers(scenes, pretrained, tmp_path):
    old = read_answer_vocabulary(pretrained / "answers.json")
    new = ["Red", "no such answer", *old[:4][::-1], "two"]
    (tmp_path / "new.json").write_text(json.dumps(new))
    changes = dict(model=str(pretrained), model_config={}, answers=str(tmp_path / "new.json"))
    model, said = begun(settings_of("vqa", scenes, tmp_path, **changes), LxmertForQuestionAnswering)
    weight, bias = head_of(model)
    before = LxmertForPreTraining.from_pretrained(pretrained)
    old_weight, old_bias = head_of(before)
    assert weight.shape == (len(new), old_weight.shape[1])
    rows = [old.index("red"), None, 3, 2, 1, 0, old.index("2")]
    for place, row in enumerate(rows):
        np.testing.assert_array_equal(weight[place], 0 if row is None else old_weight[row])
        np.testing.assert_array_equal(bias[place], 0 if row is None else old_bias[row])
    assert said == ["the answer head takes 6 of 7 answers from the weights"]
    expected = dict(before.named_parameters())
    for name, parameter in model.named_parameters():
        if not name.startswith("heads.answer.out"):
            assert torch.equal(parameter, expected[name]), name


def test_the_same_table_keeps_the_head_as_it_is(scenes, pretrained, tmp_path):
    answers = str(pretrained / "answers.json")
    settings = settings_of("gqa", scenes, tmp_path, model=str(pretrained), model_config={}, answers=answers)
    model, said = begun(settings, LxmertForQuestionAnswering)
    for found, expected in zip(head_of(model), head_of(LxmertForPreTraining.from_pretrained(pretrained)), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert said == []
    # It is the table of a run without `answers` too.
    settings = settings_of("gqa", scenes, tmp_path, model=str(pretrained), model_config={}, answers=None)
    assert open_files(settings).answers == read_answer_vocabulary(answers)


def test_a_head_of_another_task_begins_fresh(scenes, pretrained, tmp_path):
    settings = settings_of("nlvr2", scenes, tmp_path, model=str(pretrained), model_config={})
    model, said = begun(settings, LxmertForVisualReasoning)
    assert len(said) == 1
    assert said[0].startswith(f"newly initialized, as {pretrained} has none that fit: ")
    expected = LxmertForPreTraining.from_pretrained(pretrained).backbone
    assert torch.equal(model.backbone.pooler.dense.weight, expected.pooler.dense.weight)


def test_an_original_file_and_its_table(scenes, pretrained, tmp_path):
    """A .pth of the authors' code has neither a config nor a table beside it."""
    path = tmp_path / "model_LXRT.pth"
    model = LxmertForPreTraining.from_pretrained(pretrained)
    names = tensors(pretrained / "model.safetensors")
    torch.save({f"module.{_original(name)}": torch.tensor(values) for name, values in names.items()}, path)
    given = dict(
        model=str(path), model_answers=str(pretrained / "answers.json"), model_config={"num_attention_heads": 3}
    )
    settings = settings_of("vqa", scenes, tmp_path, **given)
    found, said = begun(settings, LxmertForQuestionAnswering)
    old, new = (
        read_answer_vocabulary(pretrained / "answers.json"),
        read_answer_vocabulary(scenes / "vqa" / "trainval_label2ans.json"),
    )
    np.testing.assert_array_equal(head_of(found)[0], head_of(model)[0][[old.index(answer) for answer in new]])
    # Where nothing says which answers the weights score, a head of another number begins fresh.
    (tmp_path / "few.json").write_text('["yes", "no"]')
    settings = settings_of(
        "vqa", scenes, tmp_path, **{**given, "model_answers": None, "answers": str(tmp_path / "few.json")}
    )
    found, said = begun(settings, LxmertForQuestionAnswering)
    assert head_of(found)[0].shape[0] == 2
    assert len(said) == 1
    assert "answer" in said[0]


def _original(name):
    return name.replace("lxmert.", "bert.", 1) if name.startswith("lxmert.") else name


@pytest.mark.parametrize(
    ("losses", "off"),
    [
        (
            ("words", "match"),
            {"task_obj_predict", "visual_obj_loss", "visual_attr_loss", "visual_feat_loss", "task_qa"},
        ),
        (("features",), {"task_mask_lm", "task_matched", "visual_obj_loss", "visual_attr_loss", "task_qa"}),
        (("words", "objects", "answers"), {"task_matched", "visual_attr_loss", "visual_feat_loss"}),
        (LOSSES["lxmert"], set()),
    ],
)
def test_losses_that_are_left_out_are_switched_off(losses, off, scenes, tmp_path):
    model, said = begun(settings_of("pretrain", scenes, tmp_path, losses=losses), LxmertForPreTraining)
    switches = [name for name in model.config.to_dict() if name.startswith("task_") or name.endswith("_loss")]
    assert {name for name in switches if not getattr(model.config, name)} == off
    assert len(switches) == 7
    assert said == []


def test_weights_keep_what_they_were_trained_with(scenes, pretrained, tmp_path):
    """The number of heads shows in no shape."""
    settings = settings_of("vqa", scenes, tmp_path, model=str(pretrained), model_config={"num_attention_heads": 4})
    with pytest.raises(ValueError, match=r"must not change what weights .* num_attention_heads is \d+, not 4. Leave"):
        begun(settings, LxmertForQuestionAnswering)


def test_the_visual_losses_weigh_as_in_the_original(scenes, tmp_path):
    model, _ = begun(settings_of("pretrain", scenes, tmp_path), LxmertForPreTraining)
    assert model.config.visual_loss_normalizer == pytest.approx(1 / 0.15, rel=1e-15)
    changes = dict(model_config={**TINY, "visual_loss_normalizer": 2.0})
    model, _ = begun(settings_of("pretrain", scenes, tmp_path, **changes), LxmertForPreTraining)
    assert model.config.visual_loss_normalizer == 2.0


def test_a_folder_for_the_other_backend(scenes, pretrained, tmp_path):
    """Weights of Keras start a run in PyTorch."""
    convert(pretrained, tmp_path / "x.weights.h5")
    given = dict(model=str(tmp_path / "x.weights.h5"), model_answers=str(pretrained / "answers.json"))
    config = {name: value for name, value in TINY.items() if name.startswith("num_")}
    settings = settings_of("vqa", scenes, tmp_path, **given, model_config=config)
    model, _ = begun(settings, LxmertForQuestionAnswering)
    expected = LxmertForPreTraining.from_pretrained(pretrained)
    assert torch.equal(model.backbone.embeddings.word.weight, expected.backbone.embeddings.word.weight)
