"""VisualBERT's tasks: where `transformers` 5 is wrong or silent, what it does, and what this package does instead.

Each test shows both sides, so that it tells when `transformers` has changed.
"""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from lxmert.weights.naming.key_mapping import HUGGING_FACE
from tests import tolerances
from tests.compare import assert_same, assert_same_gradients
from tests.inputs import Sizes
from tests.models import SMALLEST_VISUAL_BERT, VISUAL_BERT_CLASSES, gradients_pt, labelled, pt_model, run_pt, tensors
from tests.visual_bert_inputs import visual_bert_inputs

from .visual_bert_theirs import gradients_theirs, run_theirs, theirs

SIZES = Sizes()
BATCH, LENGTH, REGIONS = SIZES
CONFIG = SMALLEST_VISUAL_BERT
PRETRAINING, CHOICE, ANSWERS, REASONING, ALIGNMENT = VISUAL_BERT_CLASSES[1:]
TOLERANCE = tolerances.OUTPUTS["float64"]


def ours(name, config=CONFIG):
    return pt_model(config, name, "float64")


def other(name, config=CONFIG):
    return theirs(config, name, "float64")


def without(given, *names):
    return {key: values for key, values in given.items() if key not in names}


def test_the_label_of_the_match_alone_gives_a_loss():
    given = without(labelled(CONFIG, PRETRAINING, SIZES), "labels")
    assert run_pt(other(PRETRAINING), given).loss is None
    found = run_pt(ours(PRETRAINING), given)
    matches = torch.from_numpy(given["sentence_image_labels"])
    assert_same(found.loss, cross_entropy(found.seq_relationship_logits, matches), TOLERANCE)


@pytest.mark.parametrize("name", [PRETRAINING, ANSWERS, ALIGNMENT])
def test_masks_may_be_left_out(name):
    """Theirs wants masks of ones."""
    given = labelled(CONFIG, name, SIZES, "absent")
    with pytest.raises(AttributeError, match="NoneType"):
        run_pt(other(name), given)
    ones = {"attention_mask": np.ones((BATCH, LENGTH)), "visual_attention_mask": np.ones((BATCH, REGIONS))}
    expected = run_pt(ours(name), {**given, **ones})
    assert_same(run_pt(ours(name), given), expected, TOLERANCE)


def test_text_alone_may_have_labels_of_pretraining():
    given = labelled(CONFIG, PRETRAINING, Sizes(BATCH, LENGTH, 0), "absent")
    del given["visual_embeds"]
    with pytest.raises(AttributeError, match="NoneType"):
        run_pt(other(PRETRAINING), {**given, "attention_mask": np.ones((BATCH, LENGTH))})
    expected = run_theirs(other(PRETRAINING), without(given, "labels", "sentence_image_labels"))
    wanted = tensors(ours(PRETRAINING), given)
    words = cross_entropy(expected["prediction_logits"].flatten(0, 1), wanted["labels"].flatten())
    match = cross_entropy(expected["seq_relationship_logits"], wanted["sentence_image_labels"])
    assert_same(run_pt(ours(PRETRAINING), given).loss, words + match, TOLERANCE)


def test_answers_have_the_same_scores_with_labels_and_without():
    """Theirs are log-softmaxed where labels are given."""
    given = labelled(CONFIG, ANSWERS, SIZES, "ones")
    scores = run_pt(other(ANSWERS), without(given, "labels")).logits
    assert_same(run_pt(other(ANSWERS), given).logits, torch.log_softmax(scores, -1), TOLERANCE)
    for asked in (given, without(given, "labels")):
        assert_same(run_pt(ours(ANSWERS), asked).logits, scores, TOLERANCE)


# A mask, where theirs reads the answer (None: an error), and where it is to be read.
PLACES = {
    "holes": ([1, 0, 1, 0, 1], 1, 2),
    "padding in front": ([0, 0, 1, 1, 1], 1, 3),
    "one token": ([1, 0, 0, 0, 0], None, 0),
    "nothing": ([0, 0, 0, 0, 0], None, 0),
}


@pytest.mark.parametrize("masked", PLACES)
def test_the_answer_is_read_at_the_last_unmasked_token_but_one(masked):
    mask, their_place, place = PLACES[masked]
    given = {**visual_bert_inputs(CONFIG, SIZES), "attention_mask": np.array([mask] * BATCH)}
    found = run_pt(ours(ANSWERS), given, output_hidden_states=True)

    def read(at):
        return other(ANSWERS).cls(found.hidden_states[-1][:, at])

    assert_same(found.logits, read(place), TOLERANCE)
    if their_place is None:
        with pytest.raises(RuntimeError, match="out of bounds"):
            run_pt(other(ANSWERS), given)
    else:
        assert mask[their_place] == 0
        assert_same(run_pt(other(ANSWERS), given).logits, read(their_place), TOLERANCE)


def test_a_question_of_one_token_has_an_answer():
    given = visual_bert_inputs(CONFIG, Sizes(BATCH, 1, REGIONS))
    with pytest.raises(RuntimeError, match="out of bounds"):
        run_pt(other(ANSWERS), given)
    assert_same(run_pt(ours(ANSWERS), given), run_theirs(other(ANSWERS), given), TOLERANCE)


def test_the_mask_of_a_question_may_be_of_fractions():
    given = labelled(CONFIG, ANSWERS, SIZES, "ones")
    fractions = {**given, "attention_mask": given["attention_mask"].astype(np.float64)}
    with pytest.raises(RuntimeError, match="dtype int32/int64"):
        run_pt(other(ANSWERS), fractions)
    assert_same(run_pt(ours(ANSWERS), fractions), run_pt(ours(ANSWERS), given), 0.0)


def test_answers_may_be_indices():
    given = labelled(CONFIG, ANSWERS, SIZES, "ones")
    index = np.array([4, 1])
    with pytest.raises(RuntimeError, match="Integral inputs"):
        run_pt(other(ANSWERS), {**given, "labels": index})
    expected = run_pt(other(ANSWERS), {**given, "labels": np.eye(CONFIG.num_labels)[index]}).loss
    assert_same(run_pt(ours(ANSWERS), {**given, "labels": index}).loss, expected, TOLERANCE)


def test_a_label_of_a_masked_region_is_left_out():
    """Theirs gives an infinite loss."""
    given = labelled(CONFIG, ALIGNMENT, SIZES, "ragged")
    assert torch.isposinf(run_pt(other(ALIGNMENT), given).loss)
    seen = {**given, "labels": given["labels"] * given["visual_attention_mask"][:, None]}
    output, found = gradients_pt(ours(ALIGNMENT), given)
    expected, expected_gradients = gradients_theirs(CONFIG, ALIGNMENT, "float64", seen)
    assert_same(output, expected, TOLERANCE)
    assert_same_gradients(found, expected_gradients, tolerances.GRADIENTS["float64"])


def test_positions_of_phrases_that_are_no_check_integers_are_refused_with_a_message():
    given = labelled(CONFIG, ALIGNMENT, SIZES, "ones")
    given["region_to_phrase_position"] = given["region_to_phrase_position"].astype(np.float64)
    with pytest.raises(RuntimeError, match="dtype int32/int64"):
        run_pt(other(ALIGNMENT), given)
    with pytest.raises(TypeError, match="region_to_phrase_position must hold integers"):
        run_pt(ours(ALIGNMENT), given)


def test_choices_may_be_aligned():
    given = labelled(CONFIG, CHOICE, SIZES, "ones")
    lead = given["input_ids"].shape[:2]
    given["image_text_alignment"] = np.random.default_rng(0).integers(-1, LENGTH, (*lead, REGIONS, 2))
    with pytest.raises(ValueError, match="should be the same as `visual_embeds` length"):
        run_pt(other(CHOICE), given)
    # Their own backbone, with the choices as a batch.
    flat = {name: values.reshape(-1, *values.shape[2:]) for name, values in without(given, "labels").items()}
    scores = other(CHOICE).cls(other(CHOICE).visual_bert(**tensors(other(CHOICE), flat)).pooler_output)
    assert_same(run_pt(ours(CHOICE), given).logits, scores.reshape(lead), TOLERANCE)


@pytest.mark.parametrize("name", [PRETRAINING, CHOICE, REASONING])
def test_labels_that_are_all_ignored_give_0(name):
    given = labelled(CONFIG, name, SIZES, "ones")
    given |= {key: np.full_like(values, -100) for key, values in given.items() if "labels" in key}
    assert torch.isnan(run_pt(other(name), given).loss)
    assert_same(run_pt(ours(name), given).loss, np.zeros(()), 0.0)


@pytest.mark.parametrize("name", [PRETRAINING, CHOICE, REASONING])
def test_labels_of_four_bytes_are_labels(name):
    given = labelled(CONFIG, name, SIZES, "ones")
    short = {key: values.astype(np.int32) if "labels" in key else values for key, values in given.items()}
    with pytest.raises(RuntimeError, match="Int"):
        run_pt(other(name), short)
    assert_same(run_pt(ours(name), short), run_pt(ours(name), given), 0.0)


# How many parameters of theirs a loss does not reach.
UNUSED = {PRETRAINING: 0, CHOICE: 0, ANSWERS: 2, REASONING: 0, ALIGNMENT: 2 + 7 + 2}


@pytest.mark.parametrize("name", UNUSED)
def test_what_no_loss_reaches_is_frozen(name):
    """Theirs leaves it trainable and without a gradient, which DistributedDataParallel refuses."""
    model = other(name)
    parameters = dict(model.named_parameters())
    loss = run_theirs(model, labelled(CONFIG, name, SIZES))["loss"]
    gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    unused = {key for key, gradient in zip(parameters, gradients, strict=True) if gradient is None}
    frozen = {
        HUGGING_FACE.key(p, nested=True) for p, values in ours(name).weights_by_name() if not values.requires_grad
    }
    assert len(unused) == UNUSED[name], unused
    assert frozen == unused
