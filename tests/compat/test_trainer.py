"""`transformers.Trainer` trains, evaluates, saves and resumes our models, and takes the same steps as with its own."""

import numpy as np
import pytest
import torch
import transformers
from transformers import Trainer, TrainingArguments

import lxmert.pt
from tests.inputs import Sizes, inputs
from tests.small import LABELS, WORDS, is_visual_bert, small_config
from tests.visual_bert_inputs import visual_bert_inputs

pytest.importorskip("accelerate", reason="transformers.Trainer needs accelerate: pip install -e '.[compat]'")
pytestmark = pytest.mark.full

STEPS = 4
SIZES = Sizes(8, 5, 4)


def examples(name):
    """Eight examples without a batch axis, as data sets hold them."""
    make = visual_bert_inputs if is_visual_bert(name) else inputs
    given = {
        key: x.astype("float32") if x.dtype.kind == "f" else x for key, x in make(small_config(name), SIZES).items()
    }
    draw = np.random.default_rng(0)
    if name.endswith("PreTraining"):
        length = SIZES.length + (SIZES.regions if is_visual_bert(name) else 0)
        given["labels"] = draw.integers(1, WORDS, (SIZES.batch, length))
        given["sentence_image_labels" if is_visual_bert(name) else "matched_label"] = draw.integers(0, 2, SIZES.batch)
    else:
        given["labels"] = draw.integers(0, LABELS, SIZES.batch)
    return [{key: x[i] for key, x in given.items()} for i in range(SIZES.batch)]


def label_names(name):
    """The labels of a class, as `TrainingArguments` takes them; None for what the Trainer finds by itself."""
    if not name.endswith("PreTraining"):
        return None
    return ["labels", "sentence_image_labels" if is_visual_bert(name) else "matched_label"]


def trainer(library, name, folders, folder, **options):
    """A Trainer of a small model of a library, which logs every step."""
    defaults = dict(
        max_steps=STEPS,
        per_device_train_batch_size=2,
        per_device_eval_batch_size=3,
        learning_rate=1e-2,
        logging_steps=1,
        save_strategy="no",
        label_names=label_names(name),
    )
    fixed = dict(output_dir=str(folder), use_cpu=True, report_to="none", disable_tqdm=True, seed=0)
    arguments = TrainingArguments(**fixed, **{**defaults, **options})
    model = getattr(library, name).from_pretrained(folders[name])
    return Trainer(model=model, args=arguments, train_dataset=examples(name), eval_dataset=examples(name))


def logged(of):
    """The losses that a Trainer logged."""
    return [row["loss"] for row in of.state.log_history if "loss" in row]


@pytest.mark.parametrize(
    "name",
    ["LxmertForQuestionAnswering", "LxmertForPreTraining", "VisualBertForVisualReasoning", "VisualBertForPreTraining"],
)
def test_training_and_evaluation_are_theirs(name, folders, tmp_path):
    runs = [trainer(library, name, folders, tmp_path / library.__name__) for library in (transformers, lxmert.pt)]
    for run in runs:
        run.train()
    theirs, ours = runs
    assert len(logged(ours)) == STEPS
    np.testing.assert_allclose(logged(ours), logged(theirs), rtol=1e-4)
    expected, found = theirs.predict(examples(name)), ours.predict(examples(name))
    np.testing.assert_allclose(found.metrics["test_loss"], expected.metrics["test_loss"], rtol=1e-4)
    as_tuple = [x if isinstance(x, tuple) else (x,) for x in (found.predictions, expected.predictions)]
    for one, other in zip(*as_tuple, strict=False):  # theirs has no answer head in pre-training without task_qa
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["LxmertForQuestionAnswering", "VisualBertForVisualReasoning"])
@pytest.mark.parametrize(
    "options",
    [dict(bf16=True), dict(gradient_accumulation_steps=2, max_steps=2), dict(activation_checkpointing=True)],
    ids=lambda options: next(iter(options)),
)
def test_options(name, options, folders, tmp_path):
    run = trainer(lxmert.pt, name, folders, tmp_path, **options)
    before = {key: x.clone() for key, x in run.model.state_dict().items()}
    run.train()
    assert np.isfinite(logged(run)).all()
    assert any(not torch.equal(x, before[key]) for key, x in run.model.state_dict().items())
    if "activation_checkpointing" in options:
        assert run.model.is_gradient_checkpointing
    if not options.get("bf16"):
        same = trainer(lxmert.pt, name, folders, tmp_path, **(options | {"activation_checkpointing": False}))
        same.train()
        np.testing.assert_allclose(logged(run), logged(same), rtol=1e-4)


@pytest.mark.parametrize("name", ["LxmertForQuestionAnswering", "VisualBertForVisualReasoning"])
def test_a_run_is_resumed(name, folders, tmp_path):
    whole = trainer(lxmert.pt, name, folders, tmp_path / "whole", save_strategy="steps", save_steps=2)
    whole.train()
    part = trainer(lxmert.pt, name, folders, tmp_path / "part", save_strategy="steps", save_steps=2)
    part.train(resume_from_checkpoint=str(tmp_path / "whole" / "checkpoint-2"))
    np.testing.assert_allclose(logged(part), logged(whole), rtol=1e-6)
    for key, x in part.model.state_dict().items():
        torch.testing.assert_close(x, whole.model.state_dict()[key])


@pytest.mark.parametrize("name", ["LxmertForQuestionAnswering", "VisualBertForVisualReasoning"])
def test_what_the_trainer_saved_is_loaded(name, folders, tmp_path):
    run = trainer(lxmert.pt, name, folders, tmp_path / "run")
    run.train()
    run.save_model(str(tmp_path / "saved"))
    # The Trainer writes config.json for its own classes alone.
    again = getattr(lxmert.pt, name).from_pretrained(tmp_path / "saved", config=run.model.config)
    for key, x in run.model.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], x, rtol=0, atol=0)


def test_metrics_are_computed_from_the_scores(folders, tmp_path):
    run = trainer(lxmert.pt, "LxmertForQuestionAnswering", folders, tmp_path)
    run.compute_metrics = lambda given: {"accuracy": (given.predictions.argmax(-1) == given.label_ids).mean()}
    metrics = run.evaluate()
    rows = examples("LxmertForQuestionAnswering")
    batch = {key: torch.as_tensor(np.stack([row[key] for row in rows])) for key in rows[0]}
    with torch.no_grad():
        scores = run.model(**batch).logits
    assert metrics["eval_accuracy"] == (scores.argmax(-1) == batch["labels"]).float().mean()
