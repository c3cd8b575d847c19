"""The included checkpoints that were trained on scenes."""

import pytest

from lxmert import VisualQuestionAnswering
from lxmert.data.datasets import read_vqa
from lxmert.data.features import open_regions
from lxmert.data.synthetic.example_configs import SMALL_MODELS
from lxmert.data.synthetic.scenes.generate import make_scenes

# VisualBERT gets no positions of regions, so it has to guess at relations.
LEAST_RIGHT = {"scenes": 0.95, "scenes-visual-bert": 0.8}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    """Scenes of another seed than those of the training."""
    folder = tmp_path_factory.mktemp("scenes")
    make_scenes(folder, 80, seed=5, processes=1)
    return open_regions(folder / "regions"), read_vqa([folder / "vqa" / "train.json"])


@pytest.mark.parametrize("source", LEAST_RIGHT)
def test_the_included_checkpoints_answer_about_new_scenes(source, scenes):
    store, questions = scenes
    answerer = VisualQuestionAnswering.from_pretrained(source, features=store)
    config = answerer.model.config
    assert {name: getattr(config, name) for name in SMALL_MODELS[config.model_type]} == SMALL_MODELS[config.model_type]
    questions = questions.first(100)
    found = answerer(list(questions.images), list(questions.texts))
    right = [
        max(labels, key=labels.get) == best[0]["answer"] for labels, best in zip(questions.answers, found, strict=True)
    ]
    assert sum(right) / len(right) > LEAST_RIGHT[source]
