"""Both backends against the published code of Chefer, Gur and Wolf: its cases in one batch, with padding."""

import numpy as np
import pytest
import tensorflow
import torch

from lxmert.explain import explain, explain_methods
from tests.compare import assert_same
from tests.reference.golden import model_and_run

from .agreement import arrays_of, assert_close
from .published import CASES, GOLDEN, MODELS, TOLERANCE, expected, inputs, stored

TENSORS = {"pt": torch.as_tensor, "tf": tensorflow.convert_to_tensor}


@pytest.fixture(scope="module")
def models():
    return {
        (backend, model_type): model_and_run(backend, model.architecture, GOLDEN / model.folder)[0]
        for backend in ("pt", "tf")
        for model_type, model in MODELS.items()
    }


def batch_of(model_type):
    """The cases in one batch, with their answers; padding at the end of words and of regions."""
    parts = [inputs(kind, case) for kind, case in CASES if kind == model_type]
    for part in parts:
        if model_type == "lxmert":  # whose cases have no mask of regions
            part["visual_attention_mask"] = np.ones(part["visual_feats"].shape[:2], int)
    longest = {key: np.max([part[key].shape for part in parts], axis=0) for key in parts[0]}
    batch = {
        key: np.concatenate([np.pad(part[key], [(0, n) for n in longest[key] - part[key].shape]) for part in parts])
        for key in longest
    }
    return batch, [int(stored(kind)[f"{case}/answer"]) for kind, case in CASES if kind == model_type]


@pytest.mark.parametrize("model_type", MODELS)
@pytest.mark.parametrize("backend", ["pt", "tf"])
def test_the_published_cases_in_one_batch(backend, model_type, models, without_graphs):
    batch, answers = batch_of(model_type)
    methods = MODELS[model_type].methods
    tensors = {key: TENSORS[backend](array) for key, array in batch.items()}
    found = explain_methods(models[backend, model_type], tensors, TENSORS[backend](answers), methods)
    for row, case in enumerate(case for kind, case in CASES if kind == model_type):
        logits = stored(model_type)[f"{case}/logits"]
        for method, explanation in found.items():
            assert_same(explanation.scores[row : row + 1], logits[:, answers[row]], TOLERANCE * np.abs(logits).max())
            wanted = expected(model_type, case, method)
            given = arrays_of(explanation)
            real = {key: given[key][row][tuple(map(slice, array.shape[1:]))][None] for key, array in wanted.items()}
            assert_close(real, wanted, TOLERANCE)
            if model_type == "lxmert":
                theirs = {
                    part: stored("lxmert")[f"{case}/{methods[method]}/{part}_minmax"]
                    for part in real.keys() & {"words", "regions"}
                }
                scaled = explanation.scaled()
                ours = {part: getattr(scaled, part)[row][: len(array)] for part, array in theirs.items()}
                assert_close(ours, theirs, TOLERANCE)


def test_the_padded_case_of_the_published_code(models):
    """With 0/0 read as 0, which their code lacks."""
    arrays = stored("lxmert", "padded")
    given = {key: arrays[key] for key in (*MODELS["lxmert"].inputs, "visual_attention_mask")}
    for method, theirs in {"relevancy": "ours_guarded", "relevancy_no_normalization": "ours_no_norm"}.items():
        found = explain(models["pt", "lxmert"], given, int(arrays["answer"]), method)
        assert_close(
            {part: getattr(found, part)[0] for part in ("words", "regions")},
            {part: arrays[f"{theirs}/{part}"] for part in ("words", "regions")},
            TOLERANCE,
        )


# By how much words and regions differ from those in float64, relative to the largest element; measured are 3e-6, 8e-3
# and 1e-1; of Grad-CAM, a difference of what counts for and against, 3e-5, 6e-2 and 2e-1.
PRECISION = {"float32": (1e-5, 1e-4), "float16": (2e-2, 1e-1), "bfloat16": (2e-1, 4e-1)}


@pytest.mark.parametrize("dtype", PRECISION)
@pytest.mark.parametrize("model_type", MODELS)
def test_precision(model_type, dtype, models):
    model = MODELS[model_type]
    rounded, _ = model_and_run("pt", model.architecture, GOLDEN / model.folder, dtype)
    batch, answers = batch_of(model_type)
    wanted, found = (explain_methods(one, batch, answers, steps=8) for one in (models["pt", model_type], rounded))
    for method, explanation in found.items():
        tolerance = PRECISION[dtype][method == "attention_grad_cam"]
        for part in ("words", "regions"):
            assert_close({part: getattr(explanation, part)}, {part: getattr(wanted[method], part)}, tolerance)


def test_an_answer_that_is_not_given_is_the_one_with_the_highest_score(models):
    for model_type, case in CASES[::3]:
        arrays = stored(model_type)
        found = explain(models["pt", model_type], inputs(model_type, case))
        assert_same(found.answers, arrays[f"{case}/logits"].argmax(1), 0)
        assert found.answers[0] == arrays[f"{case}/answer"]
