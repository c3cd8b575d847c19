"""VCR from pictures and given boxes to the choice: extract, train, predict, evaluate, in both backends."""

import json

import numpy as np
import pytest

from lxmert import VcrDetector, VcrDetectorConfig
from lxmert.cli import main
from lxmert.data.features import open_regions
from lxmert.training import run
from lxmert.training.settings import make_settings

from .runs import TINY_VISUAL_BERT
from .vcr_pictures import make_vcr

NETWORK = VcrDetectorConfig(
    stem_channels=8,
    width_per_group=4,
    res2_channels=16,
    res2_blocks=1,
    res3_blocks=1,
    res4_blocks=1,
    res5_blocks=1,
    mask_channels=4,
    object_embedding_size=8,
    feature_size=24,
    canvas_height=48,
    canvas_width=96,
)
# Large enough to learn in seconds that a word belongs to a colour, whatever the seed.
VISUAL_BERT = {
    **TINY_VISUAL_BERT,
    "hidden_size": 48,
    "intermediate_size": 64,
    "initializer_range": 0.3,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}


@pytest.fixture
def made(tmp_path):
    """A folder of VCR, and a network with random weights."""
    import torch

    make_vcr(tmp_path, {"train": 32, "val": 8})
    torch.manual_seed(0)
    VcrDetector(NETWORK).save_pretrained(tmp_path / "network")
    return tmp_path


@pytest.mark.full
def test_from_pictures_to_choices(made, capsys, caplog):
    """The colour of a car is in the pictures alone, and the model learns to choose its name.

    PyTorch learns it from the start, and Keras goes on from there, on features of its own.
    """
    found = {}
    start = {"model_config": VISUAL_BERT, "epochs": 40, "learning_rate": 3e-3}
    for backend in ("pt", "tf"):
        store, best = made / f"regions-{backend}", made / f"run-{backend}" / "best"
        source = f"vcr:{made / 'network'}"
        command = ["features", "extract", str(made / "vcr1images"), str(store), "--detector", source]
        assert main([*command, "--backend", backend, "--quiet"]) == 0
        assert main(["features", "check", str(store)]) == 0
        regions = open_regions(store)
        assert set(regions.counts(np.arange(len(regions))).tolist()) == {3}
        found[backend] = regions.batch(regions.places(sorted(regions.names)), labels=True)
        settings = dict(
            output=str(best.parent),
            train=[str(made / "train.jsonl")],
            valid=[str(made / "val.jsonl")],
            features=[str(store)],
            vocabulary=str(made / "vocab.txt"),
            batch_size=8,
            text_length=16,
            device="cpu",
            backend=backend,
            **start,
        )
        with caplog.at_level("INFO"):
            assert run.train(make_settings("vcr", settings, {}))["accuracy"] == 100
        assert "no word is aligned" not in caplog.text
        questions, output = str(made / "val.jsonl"), str(made / f"{backend}.csv")
        assert main(["predict", "vcr", str(best), "--questions", questions, "--output", output, "--quiet"]) == 0
        capsys.readouterr()
        assert main(["evaluate", "vcr", "--predictions", output, "--questions", questions, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["answers"] == 100
        start = {"model": str(best), "epochs": 1, "learning_rate": 1e-5}
    for name, values in found["pt"].items():
        assert np.abs(values - found["tf"][name]).max() <= 1e-4, name
