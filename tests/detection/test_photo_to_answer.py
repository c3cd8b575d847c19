"""From a photograph to an answer through the command line, with weights of a hub; and once more without it."""

import json

import pytest
from huggingface_hub import constants
from PIL import Image

from lxmert import DetectorConfig, LxmertConfig, LxmertForQuestionAnswering, VisualQuestionAnswering
from lxmert.cli import main
from lxmert.pt import VisualGenomeDetector
from lxmert.utils.included_models import included_models
from tests.detection.photographs import CAT
from tests.weights.hub_server import running_hub

DETECTOR, MODEL = "unc-nlp/frcnn-vg-finetuned", "unc-nlp/lxmert-vqa-uncased"
NARROW = {"stem_channels": 4, "width_per_group": 4, "res2_channels": 16, "proposal_channels": 32, "res4_blocks": 1}
SMALL = {"hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64, "vocab_size": 700}
LAYERS = {"l_layers": 1, "r_layers": 1, "x_layers": 1}


def published(folder, *others):
    """The files of a folder, as a hub has them, and other files."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return files | {path.name: path.read_bytes() for path in others}


@pytest.fixture
def lxmert(capsys):
    def run(*arguments):
        return main([*map(str, arguments)]), *capsys.readouterr()

    return run


def answers_offline_too(hub, folder, lxmert, monkeypatch, backends):
    """Ask with the first backend and a hub, then with the second one and without; gives what both printed."""
    vocabulary = included_models()["easy-vqa"] / "vocab.txt"
    answers = folder / "trainval_label2ans.json"
    named = ("--model", MODEL, "--detector", DETECTOR, "--vocabulary", vocabulary, "--answers", answers)
    with Image.open(CAT) as photo:
        photo.crop((0, 60, 451, 210)).save(folder / "photo.jpg")
    command = ("ask", folder / "photo.jpg", "what is this?", *named, "--regions", "10-20", "--json", "--list-regions")
    command += ("--draw", folder / "regions.png")
    found = []
    for backend in backends:
        status, out, err = lxmert(*command, "--backend", backend)
        assert status == 0, err
        found.append(json.loads(out))
        hub.stop()
        hub.asked()
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hub.asked() == []
    for each in found:
        assert each["answers"][0]["answers"][0]["answer"] in json.loads(answers.read_text())
        assert 10 <= len(each["regions"]) <= 20
        assert all(
            0 <= x1 <= x2 <= 451 and 0 <= y1 <= y2 <= 150 for x1, y1, x2, y2 in (r["box"] for r in each["regions"])
        )
    with Image.open(folder / "regions.png") as drawing:
        assert drawing.size == (451, 150)
    return found


def publish(hub, folder, detector, model):
    """Put a detector with random weights and a model on the hub, and its answers into the folder."""
    VisualGenomeDetector(detector).save_pretrained(folder / "detector")
    LxmertForQuestionAnswering(model).save_pretrained(folder / "model")
    names = [f"object {number}" for number in range(detector.num_objects)]
    (folder / "objects_vocab.txt").write_text("\n".join(names))
    hub.add(DETECTOR, published(folder / "detector", folder / "objects_vocab.txt"))
    hub.add(MODEL, published(folder / "model"))
    (folder / "trainval_label2ans.json").write_text(json.dumps([f"answer {n}" for n in range(model.num_qa_labels)]))


def test_a_narrow_detector(tmp_path, monkeypatch, lxmert):
    detector = DetectorConfig(num_objects=30, num_attributes=7, min_size=64, max_size=96, **NARROW)
    model = LxmertConfig(**SMALL, **LAYERS, visual_feat_dim=128, num_qa_labels=5)
    with running_hub(monkeypatch, tmp_path) as hub:
        publish(hub, tmp_path, detector, model)
        first, again = answers_offline_too(hub, tmp_path, lxmert, monkeypatch, ("pt", "pt"))
    assert first == again
    options = {
        "local_files_only": True,
        "vocabulary": included_models()["easy-vqa"] / "vocab.txt",
        "detector": DETECTOR,
    }
    ask = VisualQuestionAnswering.from_pretrained(MODEL, answers=[str(n) for n in range(5)], **options)
    assert ask(CAT, "what is this?")[0]["answer"] in ask.answers
    with pytest.raises(FileNotFoundError, match="local_files_only=True forbids asking the hub"):
        VisualQuestionAnswering.from_pretrained(MODEL, cache_dir=tmp_path / "another", **options)
    assert first["regions"][0]["object"].startswith("object ")
    assert isinstance(first["regions"][0]["attribute"], int)


@pytest.mark.full
def test_full_size(tmp_path, monkeypatch, lxmert):
    """65,439,822 parameters, in PyTorch, then in Keras; 24 proposals, so that it does not take minutes."""
    detector = DetectorConfig(num_proposals=24)
    model = LxmertConfig(**LAYERS, num_qa_labels=3129)
    with running_hub(monkeypatch, tmp_path) as hub:
        publish(hub, tmp_path, detector, model)
        answers_offline_too(hub, tmp_path, lxmert, monkeypatch, ("pt", "tf"))
