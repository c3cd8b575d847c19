"""Sentences and images encoded apart and crossed afterwards: the model itself, in both backends."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from tests import tolerances
from tests.compare import assert_same
from tests.inputs import MASKS, inputs
from tests.models import CASES, DTYPES, SMALLEST, cast, pt_model, run_pt, run_tf, tensors, tf_model
from tests.pairwise import pairwise

LANGUAGE = ("input_ids", "attention_mask", "token_type_ids", "inputs_embeds")
VISION = ("visual_feats", "visual_pos", "visual_attention_mask")


def some(given: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: given[name] for name in names if given.get(name) is not None}


def apart(model: Any, given: dict[str, Any], **options: Any) -> Any:
    """The outputs by way of what is encoded apart."""
    taken = tensors(model, given) if isinstance(model, torch.nn.Module) else cast(given, model.variable_dtype)
    language = model.encode_language(**some(taken, LANGUAGE))
    visual = model.encode_vision(**some(taken, VISION))
    masks = some(taken, ("attention_mask", "visual_attention_mask"))
    return model.cross(language, visual, **masks, **options)


@pytest.mark.parametrize(("case", "masks", "dtype"), pairwise(CASES, MASKS, DTYPES, strength=1))
def test_apart_is_together(case, masks, dtype):
    config, sizes = CASES[case]
    given = inputs(config, sizes, masks)
    pt, tf = pt_model(config, "LxmertModel", dtype), tf_model(config, "LxmertModel", dtype)
    expected = run_pt(pt, given)
    assert_same(apart(pt, given), expected, 0.0)
    assert_same(apart(tf, given), run_tf(tf, given), 0.0)
    assert_same(apart(tf, given), expected, tolerances.OUTPUTS[dtype])


@pytest.mark.parametrize(
    ("case", "masks"), [("smallest", "absent"), ("smallest", "language row masked"), ("deep", "ragged")]
)
def test_what_is_not_wanted_changes_nothing_else(case, masks):
    config, sizes = CASES[case]
    given = inputs(config, sizes, masks)
    for model, run in (
        (pt_model(config, "LxmertModel", "float64"), run_pt),
        (tf_model(config, "LxmertModel", "float64"), run_tf),
    ):
        whole = run(model, given)
        for language, vision in itertools.product((True, False), repeat=2):
            wanted = dict(language_output=language, vision_output=vision)
            for found in (run(model, given, **wanted), apart(model, given, **wanted)):
                assert set(found.keys()) == {"pooled_output", *(name for name, asked in wanted.items() if asked)}
                assert_same(dict(found.items()), {name: whole[name] for name, _ in found.items()}, 1e-13)
        for every in (dict(output_hidden_states=True), dict(output_attentions="all")):
            found = run(model, given, **every, language_output=False, vision_output=False)
            assert_same(found, run(model, given, **every), 0.0)


def test_an_embedding_takes_the_place_of_words():
    config, sizes = CASES["deep"]
    given = inputs(config, sizes)
    words = np.random.default_rng(0).standard_normal((*given.pop("input_ids").shape, config.hidden_size))
    given["inputs_embeds"] = words
    for model, run in (
        (pt_model(config, "LxmertModel", "float64"), run_pt),
        (tf_model(config, "LxmertModel", "float64"), run_tf),
    ):
        assert_same(apart(model, given), run(model, given), 0.0)


def test_many_sentences_about_one_image():
    config, sizes = CASES["deep"]
    given = inputs(config, sizes)
    first = {name: np.repeat(x[:1], sizes.batch, 0) if name in VISION else x for name, x in given.items()}
    expected = run_pt(pt_model(config, "LxmertModel", "float64"), first).pooled_output
    for model in (pt_model(config, "LxmertModel", "float64"), tf_model(config, "LxmertModel", "float64")):
        is_torch = isinstance(model, torch.nn.Module)
        taken = tensors(model, first) if is_torch else first
        one = model.encode_vision(**{name: x[:1] for name, x in some(taken, VISION).items()})
        visual = one.expand(sizes.batch, -1, -1) if is_torch else np.repeat(one, sizes.batch, 0)
        masks = some(taken, ("attention_mask", "visual_attention_mask"))
        found = model.cross(model.encode_language(**some(taken, LANGUAGE)), visual, **masks).pooled_output
        assert_same(found, expected, tolerances.OUTPUTS["float64"])


STATES = np.zeros((2, 5, SMALLEST.hidden_size))
BAD = [
    ("encode_language", dict(), ValueError, "exactly one of input_ids and inputs_embeds must be given; got neither"),
    ("encode_language", dict(input_ids=np.zeros((2, 0), int)), ValueError, "input_ids: L must be at least 1; got 0"),
    ("encode_language", dict(input_ids=np.ones((2, 99), int)), ValueError, "at most max_position_embeddings = 9"),
    ("encode_language", dict(input_ids=np.full((2, 3), 99)), ValueError, "input_ids must be 0 to 36; got values"),
    ("encode_language", dict(input_ids=np.ones((2, 3))), TypeError, "input_ids must hold integers"),
    ("encode_language", dict(input_ids=np.ones((2, 3), int), attention_mask=np.ones((2, 4))), ValueError,
     r"attention_mask must be \[B, L\] = \[2, 3\]; got \[2, 4\]"),
    ("encode_vision", dict(visual_pos=np.zeros((2, 7, 4))), ValueError, "visual_feats must be given"),
    ("encode_vision", dict(visual_feats=np.zeros((2, 7, 12)), visual_pos=np.zeros((2, 7, 4))), ValueError,
     r"visual_feats must be \[B, R, 11\]"),
    ("encode_vision", dict(visual_feats=np.zeros((2, 7, 11)), visual_pos=np.zeros((2, 6, 4))), ValueError,
     "with the B and R of visual_feats"),
    ("encode_vision", dict(visual_feats=np.zeros((2, 7, 11)), visual_pos=np.zeros((2, 7, 4)),
                           visual_attention_mask=np.ones((2, 6))), ValueError,
     r"visual_attention_mask must be \[B, R\] = \[2, 7\]; got \[2, 6\]"),
    ("cross", dict(visual=STATES), ValueError, "language must be given: what encode_language returned; got None"),
    ("cross", dict(language=STATES), ValueError, "visual must be given: what encode_vision returned; got None"),
    ("cross", dict(language=STATES, visual=STATES[:, :, :-1]), ValueError,
     r"visual must be \[B, R, 24\] \(hidden_size\), what encode_vision returned; got \[2, 5, 23\]"),
    ("cross", dict(language=STATES, visual=STATES[:1]), ValueError, "must have the same batch size"),
    ("cross", dict(language=STATES.astype(int), visual=STATES), TypeError, "language must hold floating-point numbers"),
    ("cross", dict(language=STATES, visual=STATES, attention_mask=np.ones((2, 6))), ValueError,
     r"attention_mask must be \[B, L\] = \[2, 5\]; got \[2, 6\]"),
]  # fmt: skip


@pytest.mark.parametrize("backend", ["pt", "tf"])
@pytest.mark.parametrize(("method", "given", "error", "message"), BAD)
def test_refused(backend, method, given, error, message):
    model = (pt_model if backend == "pt" else tf_model)(SMALLEST, "LxmertModel", "float64")
    given = {name: torch.from_numpy(x) for name, x in given.items()} if backend == "pt" else given
    with pytest.raises(error, match=message):
        getattr(model, method)(**given)
