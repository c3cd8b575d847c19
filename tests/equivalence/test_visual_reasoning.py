"""LXMERT's visual reasoning, PyTorch against Keras: two images for each sentence, in every form of the inputs."""

import numpy as np
import pytest

from tests import tolerances
from tests.compare import assert_same
from tests.inputs import Sizes, inputs, labels_of
from tests.models import CASES, DTYPES, SMALLEST, labelled, pt_model, run_pt, run_tf
from tests.pairwise import under_masks

from .agreement import assert_agree, assert_outputs_agree, both

NAME = "LxmertForVisualReasoning"
SIZES = Sizes(3, 5, 7)
EVERYTHING = dict(output_attentions="all", output_hidden_states=True)
TEXT = ("input_ids", "attention_mask", "token_type_ids")

SOME = ("smallest", "one region, features only", "no language layers, no matching")


def sentence_for_each(given, seed=1):
    """The same images, each with a sentence, a mask and types of its own."""
    other = inputs(SMALLEST, SIZES, seed=seed)
    return {**given, **{name: np.stack([given[name], other[name]], axis=1) for name in TEXT}}


@pytest.mark.parametrize(("case", "masks", "dtype"), under_masks(SOME))
def test_visual_reasoning_agrees(case, masks, dtype):
    config, sizes = CASES[case]
    models = both(config, NAME, dtype)
    given = labelled(config, NAME, sizes, masks)
    output, found = assert_agree(models, given, dtype)
    assert set(output.keys()) == {"loss", "logits"}
    assert output.logits.shape == (sizes.batch, 2)
    assert None not in found.values(), "a trainable parameter without a gradient"
    assert_outputs_agree(models, given, dtype, **EVERYTHING)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_sentence_for_each_image_agrees(dtype):
    models, given = both(SMALLEST, NAME, dtype), labelled(SMALLEST, NAME, SIZES)
    shared, _ = assert_agree(models, given, dtype)
    # The same sentence twice is one sentence for both.
    twice = {**given, **{name: np.stack([given[name]] * 2, axis=1) for name in TEXT}}
    output, _ = assert_agree(models, twice, dtype)
    assert_same(output, shared, tolerances.OUTPUTS[dtype])
    other, _ = assert_agree(models, sentence_for_each(given), dtype)
    with pytest.raises(AssertionError, match="differs"):
        assert_same(other, shared, 1e-3)


@pytest.mark.parametrize("each", [False, True])
def test_word_vectors_agree(each):
    models, given = both(SMALLEST, NAME), labelled(SMALLEST, NAME, SIZES)
    given = sentence_for_each(given) if each else given
    expected = run_pt(models[0], given)
    words = models[0].get_input_embeddings().weight.detach().numpy()
    vectors = {**given, "inputs_embeds": words[given["input_ids"]]}
    del vectors["input_ids"]
    output, found = assert_agree(models, vectors, also=("inputs_embeds", "visual_feats"))
    assert_same(output, expected, tolerances.OUTPUTS["float64"])
    assert found["inputs_embeds"].shape == vectors["inputs_embeds"].shape


def test_it_is_the_backbone_on_each_image_and_the_head_on_both():
    given = sentence_for_each(labelled(SMALLEST, NAME, SIZES))
    del given["labels"]
    rows = {name: values.reshape(-1, *values.shape[2:]) for name, values in given.items()}
    for model, run in zip(both(SMALLEST, NAME), (run_pt, run_tf), strict=True):
        output, backbone = run(model, given, **EVERYTHING), run(model.backbone, rows, **EVERYTHING)
        states = {name: values for name, values in backbone.items() if name.endswith(("states", "attentions"))}
        assert len(states) == 8
        assert_same({name: output[name] for name in states}, states, tolerances.OUTPUTS["float64"])
        pooled = backbone.pooled_output
        for i in range(SIZES.batch):
            joined = run(
                model.heads.reasoning,
                {"pooled": np.asarray(pooled.detach() if run is run_pt else pooled)[2 * i : 2 * i + 2].reshape(1, -1)},
            )
            assert_same(joined[0], output.logits[i], tolerances.OUTPUTS["float64"])


def test_the_images_have_an_order():
    given = labelled(SMALLEST, NAME, SIZES)
    swapped = {name: values[:, ::-1].copy() if "visual" in name else values for name, values in given.items()}
    models = both(SMALLEST, NAME)
    assert_outputs_agree(models, swapped)
    with pytest.raises(AssertionError, match="differs"):
        assert_same(run_pt(models[0], swapped), run_pt(models[0], given), 1e-3)


@pytest.mark.parametrize(
    ("labels", "ignored"), [([-100, 1, 0], 1), ([-100, -100, -100], 3), ([[1], [0], [-100]], 1)], ids=str
)
def test_losses_agree(labels, ignored):
    given = {**labelled(SMALLEST, NAME, SIZES), "labels": np.array(labels)}
    output, found = assert_agree(both(SMALLEST, NAME), given)
    scores = output.logits.detach().numpy()
    each = (
        np.log(np.exp(scores).sum(-1))
        - np.take_along_axis(scores, np.maximum(given["labels"].reshape(-1, 1), 0), 1)[:, 0]
    )
    counted = given["labels"].reshape(-1) != -100
    expected = each[counted].sum() / max(counted.sum(), 1)
    assert_same(output.loss, np.asarray(expected), tolerances.OUTPUTS["float64"])
    assert (ignored == 3) == (not any(gradient.any() for gradient in found.values()))


def test_the_labels_of_the_tests_are_of_both_classes():
    assert set(labels_of(SMALLEST, SIZES, NAME)["labels"]) == {0, 1}
    assert pt_model(SMALLEST, NAME, "float64").heads.reasoning.out.out_features == 2
