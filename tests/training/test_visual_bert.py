"""VisualBERT on the road of training: its inputs, both backends alike, exact resumes, and starts from weights."""

import dataclasses
import json

import numpy as np
import pytest

import lxmert.pt
import lxmert.tf
from lxmert.common.visual_bert_inputs import prepare_visual_bert_inputs
from lxmert.data.collate.caption_pairs import CaptionPairData
from lxmert.training import run
from lxmert.training.settings import make_settings
from lxmert.training.trained_model import TrainedModel

from .runs import (
    TINY_VISUAL_BERT,
    differing,
    files_of,
    largest_difference,
    left_by,
    log_of,
    settings_of,
    tensors,
    train_until,
)

FIXED = {**TINY_VISUAL_BERT, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
TASKS = ("pretrain", "vqa", "gqa", "nlvr2")


def visual_bert(task, scenes, output, **changes):
    return settings_of(task, scenes, output, architecture="visual_bert", text_length=24, **changes)


def data_of(task, scenes, tmp_path, **changes):
    settings = visual_bert(task, scenes, tmp_path, **changes)
    return run.open_data(settings, settings.train, run.open_files(settings))


@pytest.mark.parametrize("task", ["vqa", "gqa", "nlvr2"])
def test_examples_are_written_as_the_authors_did(task, scenes, tmp_path):
    data = data_of(task, scenes, tmp_path)
    rows = np.array([3, 0, 7, 7])
    inputs, _ = data.batch(rows, np.random.default_rng(0))
    places = data.places[rows]
    features = data.store_features = [data.regions.batch(part) for part in (places.T if task == "nlvr2" else [places])]
    embeds, masks = ([part[name] for part in features] for name in ("visual_feats", "visual_attention_mask"))
    expected = prepare_visual_bert_inputs(
        data.tokenizer,
        [data.examples.texts[row] for row in rows],
        tuple(embeds) if task == "nlvr2" else embeds[0],
        task="nlvr2" if task == "nlvr2" else "vqa",
        visual_attention_mask=tuple(masks) if task == "nlvr2" else masks[0],
        max_length=24,
        padding="max_length",
    )
    assert set(inputs) == {*expected, "labels"}
    for name, array in expected.items():
        np.testing.assert_array_equal(inputs[name], array, name)


def test_captions_go_in_pairs(scenes, tmp_path):
    data = data_of("pretrain", scenes, tmp_path)
    assert isinstance(data, CaptionPairData)
    tokenizer, rows = data.tokenizer, np.arange(400) % len(data)
    inputs, counts = data.batch(rows, np.random.default_rng(0))
    matched = inputs["sentence_image_labels"]
    assert 150 < matched.sum() < 250
    regions = inputs["visual_embeds"].shape[1]
    words, of_regions = inputs["labels"][:, :-regions], inputs["labels"][:, -regions:]
    assert (of_regions == -100).all()
    assert (inputs["visual_token_type_ids"] == 0).all()
    assert counts == {"words": (words != -100).sum(), "match": 400}
    clean = np.where(words == -100, inputs["input_ids"], words)
    texts = [data.texts[row] for row in range(len(data))]
    ids = {text: tokenizer(text, add_special_tokens=False)["input_ids"] for text in set(texts)}
    own = [{tuple(ids[texts[i]]) for i in np.flatnonzero(data.images == data.images[row])} for row in rows]
    checked = 0
    for place, row in enumerate(rows.tolist()):
        separators = np.flatnonzero(clean[place] == tokenizer.sep_token_id)
        if separators[-1] == 23:
            continue  # it may have been cut
        first = tuple(clean[place, 1 : separators[0]].tolist())
        second = tuple(clean[place, separators[0] + 1 : separators[-1]].tolist())
        if len(separators) == 2:
            assert first == tuple(ids[texts[row]])
            assert second in own[place] or not matched[place]
            assert second != first or not matched[place]
        last = second if len(separators) == 2 else first
        assert (last in own[place]) or not matched[place]
        checked += 1
    assert checked > 100


@pytest.mark.parametrize("losses", [("words",), ("match",)])
def test_one_loss_of_pre_training(losses, scenes, tmp_path):
    data = data_of("pretrain", scenes, tmp_path, losses=losses)
    inputs, counts = data.batch(np.arange(40), np.random.default_rng(0))
    assert set(counts) == set(losses)
    assert ("sentence_image_labels" in inputs) == (losses == ("match",))


def test_a_loss_of_lxmert_is_refused(scenes, tmp_path):
    with pytest.raises(ValueError, match="losses of visual_bert must be some of words, match; got objects"):
        visual_bert("pretrain", scenes, tmp_path, losses=["objects"])


def test_the_values_of_its_authors():
    chosen = {task: make_settings(task, {"output": "x", "architecture": "visual_bert"}) for task in TASKS}
    assert [chosen[task].learning_rate for task in TASKS] == [5e-5, 2e-5, 2e-5, 2e-5]
    assert [chosen[task].max_grad_norm for task in TASKS] == [1.0, 0.25, 0.25, 1.0]
    assert [chosen[task].batch_size for task in TASKS] == [48, 64, 64, 64]
    assert {settings.epochs for settings in chosen.values()} == {10}
    assert chosen["pretrain"].losses == ("words", "match")


@pytest.mark.full
@pytest.mark.parametrize("task", ["pretrain", "vqa", "nlvr2"])
def test_both_backends_train_alike(task, scenes, tmp_path):
    """From the same weights, in float64, to the same weights, scores and losses; and each reads what the other left."""
    start = visual_bert(task, scenes, tmp_path / "start", valid=[], epochs=1, batch_size=16, max_examples=16)
    run.train(start)  # one step, which has the rate 0
    changes = dict(model=str(tmp_path / "start" / "last"), model_config=FIXED, precision="float64", epochs=2)
    changes |= dict(gradient_accumulation_steps=2 if task == "pretrain" else 1, answer_labels="scores")
    del changes["model_config"]
    changes["model_config"] = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    found = {}
    for backend in ("pt", "tf"):
        settings = visual_bert(task, scenes, tmp_path / backend, backend=backend, **changes)
        scores = run.train(settings)
        files = tensors(tmp_path / backend / "last" / "model.safetensors")
        found[backend] = scores, files, [line["train/loss"] for line in log_of(tmp_path / backend) if "rate" in line]
    pt, tf = found["pt"], found["tf"]
    assert largest_difference(pt[1], tf[1]) < 1e-8
    assert largest_difference(pt[1], tensors(tmp_path / "start" / "last" / "model.safetensors")) > 1e-3
    assert pt[0] == pytest.approx(tf[0], rel=1e-6)
    assert pt[2] == pytest.approx(tf[2], rel=1e-5)
    files = files_of(task, scenes)
    other = TrainedModel(tmp_path / "pt" / "best", task, files["valid"], backend="tf")
    assert other.scores() == pytest.approx(pt[0], rel=1e-6)
    if task != "pretrain":
        assert other.predict(tmp_path / "predictions") == len(other.data)


@pytest.mark.parametrize(
    ("task", "backend", "step", "changes"),
    [
        ("pretrain", "pt", 7, {}),
        ("vqa", "pt", 7, {}),
        pytest.param("vqa", "tf", 9, dict(recipe="adamw", gradient_accumulation_steps=2), marks=pytest.mark.full),
    ],
)
def test_a_resumed_run_ends_as_one_that_was_not_stopped(task, backend, step, changes, scenes, tmp_path, monkeypatch):
    """Broken off within an epoch, and after the first step of one, whose last checkpoint is of the epoch before."""
    settings = visual_bert(task, scenes, tmp_path / "broken", backend=backend, save_every=2, **changes)
    train_until(settings, step, monkeypatch)
    run.train(settings, resume=True)
    run.train(dataclasses.replace(settings, output=str(tmp_path / "whole")))
    assert differing(left_by(tmp_path / "broken"), left_by(tmp_path / "whole")) == []


def test_from_pre_training_to_a_task_and_to_another_table(scenes, tmp_path, capsys):
    """The architecture is that of the weights; the head is new, and then mapped by the text of the answers."""
    run.train(visual_bert("pretrain", scenes, tmp_path / "pretrain", epochs=1, valid=[]))
    changes = dict(model=str(tmp_path / "pretrain" / "best"), model_config={}, epochs=1, valid=[], vocabulary=None)
    given = dict(settings_of("vqa", scenes, tmp_path / "vqa").to_dict(), **changes, text_length=24)
    given.pop("architecture")
    settings = make_settings("vqa", given)
    assert settings.architecture == "visual_bert"
    run.train(settings, progress=True)
    assert "newly initialized" in capsys.readouterr().err
    old = json.loads((tmp_path / "vqa" / "best" / "answers.json").read_text())
    new = [*old[::-1], "none"]
    (tmp_path / "new.json").write_text(json.dumps(new))
    again = dict(given, model=str(tmp_path / "vqa" / "best"), answers=str(tmp_path / "new.json"), learning_rate=1e-12)
    run.train(make_settings("vqa", again, {"output": str(tmp_path / "mapped")}), progress=True)
    assert f"the answer head takes {len(old)} of {len(new)} answers from the weights" in capsys.readouterr().err
    for package, prefix in ((lxmert.pt, ""), (lxmert.tf, "TF")):
        model = getattr(package, f"{prefix}VisualBertForQuestionAnswering").from_pretrained(
            tmp_path / "mapped" / "best"
        )
        assert model.config.num_labels == len(new)
        assert model.config.id2label == dict(enumerate(new))
    before = tensors(tmp_path / "vqa" / "best" / "model.safetensors")["cls.weight"]
    after = tensors(tmp_path / "mapped" / "best" / "model.safetensors")["cls.weight"]
    np.testing.assert_allclose(after[:-1], before[::-1], atol=1e-6)
    np.testing.assert_allclose(after[-1], 0, atol=1e-6)


def test_from_scratch_padding_is_that_of_the_vocabulary(scenes, tmp_path):
    settings = visual_bert("vqa", scenes, tmp_path)
    files = run.open_files(settings)
    from lxmert.training.start import make_model

    model = make_model(settings, lxmert.pt.VisualBertForQuestionAnswering, files)
    assert model.config.pad_token_id == files.tokenizer.pad_token_id == 0
