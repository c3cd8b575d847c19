"""VCR and Flickr30K Entities from files to scores, in both backends."""

import json

import numpy as np
import pytest

from lxmert.cli import main
from lxmert.data.features import RegionWriter
from lxmert.training import run
from lxmert.training.settings import make_settings
from lxmert.training.trained_model import TrainedModel

from .runs import TINY_VISUAL_BERT, largest_difference, tensors

WORDS = "what is here ? yes no it casey a man sees the dog and cat . tall"
DRAWS_NOTHING = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with files of both tasks, twelve images for training and four for validation, and their regions."""
    folder = tmp_path_factory.mktemp("grounded")
    (folder / "vocab.txt").write_text(f"[PAD] [UNK] [CLS] [SEP] [MASK] {WORDS}".replace(" ", "\n"))
    random = np.random.default_rng(0)
    boxes = np.array([[0, 0, 100, 100], [10, 10, 50, 50], [50, 50, 90, 90]])
    with RegionWriter(folder / "regions") as writer:
        for image in range(16):
            writer.add(str(image), random.random((3, 6)), boxes, size=(100, 100))
    for name in ("Sentences", "Annotations"):
        (folder / name).mkdir()
    for image in range(16):
        (folder / "Sentences" / f"{image}.txt").write_text("[/EN#1/people A tall man] sees [/EN#2/animals the dog] .\n")
        objects = "".join(
            f"<object><name>{entity}</name><bndbox><xmin>{x}</xmin><ymin>{x}</ymin><xmax>{x + 40}</xmax>"
            f"<ymax>{x + 40}</ymax></bndbox></object>"
            for entity, x in ((1, 11), (2, 51))
        )
        (folder / "Annotations" / f"{image}.xml").write_text(f"<annotation>{objects}</annotation>")
    for split, images in (("train", range(12)), ("val", range(12, 16))):
        (folder / f"{split}.txt").write_text("\n".join(map(str, images)))
        lines = [json.dumps(_question(image)) for image in images]
        (folder / f"{split}.jsonl").write_text("\n".join(lines))
    return folder


def _question(image):
    """The right answer is "yes", and the right reason names the second object."""
    return {
        "annot_id": f"id-{image}",
        "img_fn": f"{image}.jpg",
        "objects": ["person", "dog"],
        "question": ["what", "is", [0], "?"],
        "answer_choices": [["no"], ["no", "no"], ["yes"], ["it"]],
        "rationale_choices": [["it"], [[1]], ["a"], ["the"]],
        "answer_label": 2,
        "rationale_label": 1,
    }


def settings_of(made, task, output, **changes):
    ending = "jsonl" if task == "vcr" else "txt"
    given = dict(
        output=str(output),
        train=[str(made / f"train.{ending}")],
        valid=[str(made / f"val.{ending}")],
        features=[str(made / "regions")],
        vocabulary=str(made / "vocab.txt"),
        model_config={**TINY_VISUAL_BERT, **DRAWS_NOTHING},
        batch_size=4,
        epochs=6,
        learning_rate=5e-3,
        text_length=16,
        device="cpu",
        precision="float64",
    )
    return make_settings(task, given, changes)


def test_what_each_task_takes(made, tmp_path):
    vcr, flickr = (make_settings(task, {"output": "x"}) for task in ("vcr", "flickr30k"))
    assert {vcr.architecture, flickr.architecture} == {"visual_bert"}
    assert [s.learning_rate for s in (vcr, flickr)] == [2e-5, 2e-5]
    assert [(s.batch_size, s.epochs, s.max_grad_norm, s.text_length) for s in (vcr, flickr)] == [
        (32, 8, 1.0, 128),
        (32, 5, 1.0, 128),
    ]
    assert (vcr.box_features, flickr.box_features) == (False, True)
    assert make_settings("vcr", {"output": "x", "choices": "rationales"}).epochs == 12
    assert make_settings("vcr", {"output": "x", "choices": "rationales", "epochs": 3}).epochs == 3
    with pytest.raises(ValueError, match="architecture must be visual_bert for the task vcr; got 'lxmert'"):
        make_settings("vcr", {"output": "x", "architecture": "lxmert"})
    with pytest.raises(ValueError, match="choices must be one of answers, rationales; got 'both'"):
        make_settings("vcr", {"output": "x", "choices": "both"})


@pytest.mark.full
@pytest.mark.parametrize(("task", "changes"), [("vcr", {"choices": "rationales"}), ("flickr30k", {})])
def test_both_backends_train_alike(task, changes, made, tmp_path):
    """From the same weights to the same weights and scores; and it learns what is to be learned."""
    run.train(settings_of(made, task, tmp_path / "start", epochs=1, valid=[], batch_size=12, **changes))
    changes = dict(changes, model=str(tmp_path / "start" / "last"), model_config=DRAWS_NOTHING)
    scores = {b: run.train(settings_of(made, task, tmp_path / b, backend=b, **changes)) for b in ("pt", "tf")}
    weights = {b: tensors(tmp_path / b / "last" / "model.safetensors") for b in scores}
    assert largest_difference(weights["pt"], weights["tf"]) < 1e-8
    assert scores["pt"] == pytest.approx(scores["tf"])
    assert scores["pt"]["accuracy" if task == "vcr" else "recall@1"] == 100
    ending = "jsonl" if task == "vcr" else "txt"
    other = TrainedModel(tmp_path / "pt" / "best", task, [str(made / f"val.{ending}")], backend="tf")
    assert other.scores() == pytest.approx(scores["pt"])


def test_vcr_from_the_command_line(made, tmp_path, capsys):
    """Two models, one file for the leaderboard, and the scores of each and of both together."""
    questions, files = str(made / "val.jsonl"), []
    for choices in ("answers", "rationales"):
        run.train(settings_of(made, "vcr", tmp_path / choices, choices=choices, epochs=3))
        files.append(str(tmp_path / f"{choices}.csv"))
        joined = ["--join", files[0]] if choices == "rationales" else []
        command = ["predict", "vcr", str(tmp_path / choices / "best"), "--questions", questions, "--output", files[-1]]
        assert main([*command, "--quiet", *joined]) == 0
    assert capsys.readouterr().out.count("wrote 4 predictions") == 2
    header, *lines = (tmp_path / "rationales.csv").read_text().splitlines()
    assert len(header.split(",")) == 21
    assert [line.split(",")[0] for line in lines] == [f"id-{image}" for image in range(12, 16)]
    assert main(["evaluate", "vcr", "--predictions", files[1], "--questions", questions, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["questions"] == 4
    checkpoint = str(tmp_path / "answers" / "best")
    assert main(["evaluate", "vcr", "--checkpoint", checkpoint, "--questions", questions, "--quiet"]) == 0
    out = capsys.readouterr().out
    assert f"{found['answers']:.2f}" in out
    assert "Q→AR" not in out
    assert main(["evaluate", "flickr30k", "--predictions", *files, "--questions", str(made / "val.txt")]) == 1
    assert "one result file is scored; got 2" in capsys.readouterr().err


def test_flickr30k_from_the_command_line(made, tmp_path, capsys):
    split, output = str(made / "val.txt"), tmp_path / "out.json"
    trained = run.train(settings_of(made, "flickr30k", tmp_path / "run", epochs=1))
    best = str(tmp_path / "run" / "best")
    small = {"visual_embedding_dim": 6}  # without the six numbers of boxes
    with pytest.raises(ValueError, match="of 12 numbers a region, as the model reads; got 6"):
        run.train(settings_of(made, "flickr30k", tmp_path / "x", model=best, model_config={}, box_features=False))
    with pytest.raises(
        ValueError, match="of 6 numbers a region, as the model reads; got 12, 6 of them by box_features"
    ):
        run.train(settings_of(made, "flickr30k", tmp_path / "x", model_config={**TINY_VISUAL_BERT, **small}))
    assert main(["predict", "flickr30k", best, "--questions", split, "--output", str(output), "--quiet"]) == 0
    entries = json.loads(output.read_text())
    assert [entry["id"] for entry in entries] == [f"{image}#0" for image in range(12, 16)]
    assert {len(phrase["boxes"]) for entry in entries for phrase in entry["phrases"]} == {3}
    capsys.readouterr()
    (tmp_path / "part.txt").write_text("13\n")
    for name in ("Sentences", "Annotations"):
        (tmp_path / name).symlink_to(made / name)
    command = ["evaluate", "flickr30k", "--predictions", str(output), "--questions", str(tmp_path / "part.txt")]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["phrases"], found["left_out"], list(found["recall"])) == (2, 3, ["1", "5", "10"])
    assert main(["evaluate", "flickr30k", "--predictions", str(output), "--questions", split]) == 0
    out = capsys.readouterr().out
    assert f"{trained['recall@1']:.2f}" in out
    assert "upper bound" in out
    assert "animals" in out
