"""Training on a small part of easy-VQA: it learns, and both backends do the same."""

import dataclasses

import numpy as np
import pytest

from lxmert.cli import main
from lxmert.common.config import config_from_dict
from lxmert.data.synthetic.easy_vqa import load
from lxmert.data.synthetic.recipe import LXMERT_RECIPE, RECIPES
from lxmert.inference.answering import VisualQuestionAnswering, question_model_class
from lxmert.inference.question_models import QUESTION_MODELS
from lxmert.training.easy_vqa import accuracy, scores_of_split, train_easy_vqa
from lxmert.training.pt.train import train_question_answering as train_pt
from lxmert.training.tf.train import train_question_answering as train_tf

BACKENDS = ("pt", "tf")


@pytest.fixture(scope="module")
def shutdown_distributed():
    """The first 40 images of the training split, with their questions."""
    return load("train").first(40)


@pytest.fixture(scope="module")
def batches():
    """Three epochs of four batches with learnable labels, and the recipe that goes with them."""
    random = np.random.default_rng(0)
    of_epoch = [
        [
            {
                "input_ids": random.integers(1, 30, (8, 5)),
                "visual_feats": random.normal(size=(8, 3, 6)).astype("float32"),
                "visual_pos": random.random((8, 3, 4)).astype("float32"),
                "visual_attention_mask": np.ones((8, 3), "float32"),
                "labels": random.integers(0, 4, 8),
            }
            for _ in range(4)
        ]
        for _ in range(3)
    ]
    return of_epoch, dataclasses.replace(LXMERT_RECIPE, epochs=3, batch_size=8, warm_up=0.3, learning_rate=3e-3)


SIZES = dict(vocab_size=30, hidden_size=24, num_attention_heads=3, intermediate_size=40, max_position_embeddings=8)
LAYERS = {
    "lxmert": dict(l_layers=1, x_layers=1, r_layers=1, visual_feat_dim=6, num_qa_labels=4),
    "visual_bert": dict(num_hidden_layers=2, visual_embedding_dim=6, num_labels=4),
}


@pytest.mark.parametrize("model_type", LAYERS)
def test_both_backends_train_alike(model_type, batches, tmp_path):
    of_epoch, recipe = batches
    kind = QUESTION_MODELS[model_type]

    def named(epoch):
        return [
            {"input_ids": batch["input_ids"], **kind.name_regions(batch), "labels": batch["labels"]}
            for batch in of_epoch[epoch]
        ]

    rates = dict(hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    config = config_from_dict({"model_type": model_type, **SIZES, **LAYERS[model_type], **rates})
    # Adam's first steps divide gradients by their size: in float32 rounding, and with the usual epsilon its place,
    # become differences of 4e-4 in the loss.
    recipe = dataclasses.replace(recipe, epsilon=1e-20)
    pt = question_model_class("pt", model_type)(config).double()
    pt.save_pretrained(tmp_path)
    tf = question_model_class("tf", model_type).from_pretrained(tmp_path, dtype="float64")
    losses_pt = train_pt(pt, named, 4, recipe, progress=False)
    losses_tf = train_tf(tf, named, 4, recipe, progress=False)
    assert len(losses_pt) == len(losses_tf) == 3
    # Keras keeps the mean loss of an epoch in float32: 6e-8 of it.
    np.testing.assert_allclose(losses_pt, losses_tf, rtol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("model_type", RECIPES)
def test_it_learns(part, model_type, backend, tmp_path):
    recipe = dataclasses.replace(RECIPES[model_type], epochs=6, variants=0, company=0.0, batch_size=32)
    answerer = train_easy_vqa(backend, recipe, progress=False, data=part)
    scores = scores_of_split(answerer, part)
    # Always saying "no", the most frequent answer, gives 0.35.
    assert accuracy(answerer, part, scores) > 0.5
    answerer.save_pretrained(tmp_path)
    again = VisualQuestionAnswering.from_pretrained(tmp_path, backend=backend)
    np.testing.assert_allclose(scores_of_split(again, part), scores, atol=1e-6)


@pytest.mark.parametrize("source", ["easy-vqa", "easy-vqa-visual-bert"])
def test_the_checkpoints_are_those_of_the_recipes(source):
    config = VisualQuestionAnswering.from_pretrained(source).model.config
    wanted = RECIPES[config.model_type].config
    assert {name: getattr(config, name) for name in wanted} == wanted


def test_a_seed_gives_the_same_model_again(part):
    recipe = dataclasses.replace(LXMERT_RECIPE, epochs=1, variants=1, batch_size=64)
    one, two = (train_easy_vqa("pt", recipe, progress=False, data=part) for _ in range(2))
    other = train_easy_vqa("pt", dataclasses.replace(recipe, seed=1), progress=False, data=part)
    np.testing.assert_array_equal(scores_of_split(one, part), scores_of_split(two, part))
    assert np.abs(scores_of_split(one, part) - scores_of_split(other, part)).max() > 1e-3


@pytest.mark.parametrize("model_type", RECIPES)
def test_train_command_writes_a_folder_that_answers(part, model_type, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("lxmert.data.synthetic.easy_vqa.load", lambda split: part)
    options = ["--model", model_type, "--epochs", "1", "--seed", "3", "--quiet"]
    assert main(["train", "easy-vqa", str(tmp_path / "new"), *options]) == 0
    assert "seed 3" in capsys.readouterr().out
    answerer = VisualQuestionAnswering.from_pretrained(tmp_path / "new")
    assert len(answerer.answers) == 13
    assert answerer.model.config.model_type == model_type


def test_train_command_refuses_an_unknown_data_set(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["train", "imagenet", "folder"])
    assert stop.value.code == 2
    assert "easy-vqa" in capsys.readouterr().err
