"""PyTorch against Keras for VisualBERT: every loss, for every form of its labels, and what the heads read."""

import numpy as np
import pytest
import torch

from tests import tolerances
from tests.compare import assert_same
from tests.inputs import Sizes
from tests.models import DTYPES, SMALLEST_VISUAL_BERT, pt_model, run_pt, run_tf
from tests.pairwise import spread
from tests.visual_bert_inputs import CHOICES, visual_bert_inputs, visual_bert_labels

from .agreement import assert_agree, assert_outputs_agree, both

SIZES = Sizes()
BATCH, LENGTH, REGIONS = SIZES
CONFIG = SMALLEST_VISUAL_BERT
TOLERANCE = tolerances.OUTPUTS["float64"]
PRETRAINING, CHOICE, ANSWERS, REASONING, ALIGNMENT = (
    f"VisualBertFor{task}"
    for task in (
        "PreTraining",
        "MultipleChoice",
        "QuestionAnswering",
        "VisualReasoning",
        "RegionToPhraseAlignment",
    )
)
LABELS = {
    name: visual_bert_labels(CONFIG, SIZES, name) for name in (PRETRAINING, CHOICE, ANSWERS, REASONING, ALIGNMENT)
}
WORDS, MATCH = LABELS[PRETRAINING].values()
INDEX = np.array([4, 1])
ONE_HOT = np.eye(CONFIG.num_labels)[INDEX]
PHRASES = LABELS[ALIGNMENT]["labels"]
IGNORED = np.full(BATCH, -100)


def every_form(index):
    """Class indices in every form, none of which is ignored as a whole."""
    return {
        "indices": index,
        "a column": index[:, None],
        "indices of four bytes": index.astype(np.int32),
        "one ignored": np.where(np.arange(len(index)) == 0, -100, index),
    }


FORMS = {
    PRETRAINING: {
        "words": {"labels": WORDS},
        **{f"match, {form}": {"sentence_image_labels": given} for form, given in every_form(MATCH).items()},
        "both": LABELS[PRETRAINING],
        "words all ignored, match": {"labels": np.full_like(WORDS, -100), "sentence_image_labels": MATCH},
    },
    CHOICE: {form: {"labels": given} for form, given in every_form(LABELS[CHOICE]["labels"]).items()},
    ANSWERS: {
        **{form: {"labels": given} for form, given in every_form(INDEX).items()},
        "rows": LABELS[ANSWERS],
        "rows that are no distribution": {"labels": np.random.default_rng(7).random((BATCH, CONFIG.num_labels))},
        "one-hot rows": {"labels": ONE_HOT},
        "whole one-hot rows": {"labels": ONE_HOT.astype(np.int64)},
        "a row of zeros": {"labels": ONE_HOT * [[0], [1]]},
    },
    REASONING: {form: {"labels": given} for form, given in every_form(LABELS[REASONING]["labels"]).items()},
    ALIGNMENT: {
        "rows": LABELS[ALIGNMENT],
        "phrases that do not count": {"labels": PHRASES * (np.arange(LENGTH + REGIONS) % 2 == 0)[None, :, None]},
        "whole one-hot rows": {"labels": np.eye(REGIONS, dtype=np.int64)[np.arange(BATCH * 12).reshape(BATCH, 12) % 7]},
    },
}
# With these the loss is 0, and so is every gradient.
NOTHING = {
    PRETRAINING: {
        "words": {"labels": np.full_like(WORDS, -100)},
        "match": {"sentence_image_labels": IGNORED},
        "both": {"labels": np.full_like(WORDS, -100), "sentence_image_labels": IGNORED},
    },
    CHOICE: {"indices": {"labels": IGNORED}},
    ANSWERS: {"indices": {"labels": IGNORED}, "rows": {"labels": np.zeros_like(ONE_HOT)}},
    REASONING: {"column": {"labels": IGNORED[:, None]}},
    ALIGNMENT: {"rows": {"labels": np.zeros_like(PHRASES)}},
}


def rows(table):
    return [(name, form) for name, forms in table.items() for form in forms]


@pytest.mark.parametrize(("row", "dtype"), spread(rows(FORMS), DTYPES, strength=1))
def test_losses_agree(row, dtype):
    name, form = row
    given = {**visual_bert_inputs(CONFIG, SIZES, architecture=name), **FORMS[name][form]}
    output, _ = assert_agree(both(CONFIG, name, dtype), given, dtype)
    assert float(output.loss.detach()) > 0


@pytest.mark.parametrize(("row", "dtype"), spread(rows(NOTHING), DTYPES, strength=1))
def test_labels_that_are_all_ignored_give_0(row, dtype):
    name, form = row
    given = {**visual_bert_inputs(CONFIG, SIZES, architecture=name), **NOTHING[name][form]}
    output, found = assert_agree(both(CONFIG, name, dtype), given, dtype)
    assert float(output.loss.detach()) == 0
    assert all(gradient is None or not gradient.any() for gradient in found.values())


@pytest.mark.parametrize("name", FORMS)
def test_scores_are_the_same_with_labels_and_without(name):
    given, models = visual_bert_inputs(CONFIG, SIZES, architecture=name), both(CONFIG, name)
    without = assert_outputs_agree(models, given)
    assert "loss" not in without
    for model, run in zip(models, (run_pt, run_tf), strict=True):
        expected = run(model, given)
        for asked in FORMS[name].values():
            output = run(model, {**given, **asked})
            assert_same(tuple(output.values())[1:], tuple(expected.values()), 0.0)


def test_the_total_is_the_sum_of_the_losses():
    given, models = visual_bert_inputs(CONFIG, SIZES), both(CONFIG, PRETRAINING)
    words, match, total = (
        assert_outputs_agree(models, {**given, **FORMS[PRETRAINING][form]}).loss
        for form in ("words", "match, indices", "both")
    )
    assert_same(words + match, total, TOLERANCE)
    expected = torch.nn.functional.cross_entropy(run_pt(models[0], given).seq_relationship_logits, torch.tensor(MATCH))
    assert_same(match, expected, TOLERANCE)


def test_an_index_is_a_row_with_a_single_1():
    given, models = visual_bert_inputs(CONFIG, SIZES), both(CONFIG, ANSWERS)
    index, one_hot, rows = (
        assert_outputs_agree(models, {**given, **FORMS[ANSWERS][form]}) for form in ("indices", "one-hot rows", "rows")
    )
    assert_same(index, one_hot, TOLERANCE)
    wanted = torch.from_numpy(LABELS[ANSWERS]["labels"])
    expected = torch.nn.KLDivLoss(reduction="batchmean")(torch.log_softmax(rows.logits, -1), wanted)
    assert_same(rows.loss, expected, TOLERANCE)


# A mask, and the place of the last token but one that it leaves.
PLACES = {
    "no mask": (None, 3),
    "ones": ([1, 1, 1, 1, 1], 3),
    "padding behind": ([1, 1, 1, 0, 0], 1),
    "padding in front": ([0, 0, 1, 1, 1], 3),
    "holes": ([1, 0, 1, 0, 1], 2),
    "a hole in front of the last": ([1, 1, 1, 0, 1], 2),
    "one token": ([0, 0, 0, 1, 0], 3),
    "nothing": ([0, 0, 0, 0, 0], 0),
}


@pytest.mark.parametrize(("masked", "kind"), spread(PLACES, [np.int64, bool, np.float32], strength=1))
def test_the_answer_is_read_at_the_last_token_but_one(masked, kind):
    mask, place = PLACES[masked]
    given = visual_bert_inputs(CONFIG, SIZES)
    # The other row of the batch has its own place.
    given["attention_mask"] = np.array([mask or [1] * 5, [1, 1, 0, 1, 0]]).astype(kind)
    if mask is None:
        del given["attention_mask"]
    places = [place, 3 if mask is None else 1]
    for dtype in DTYPES:
        models = both(CONFIG, ANSWERS, dtype)
        output = assert_outputs_agree(models, given, dtype, output_hidden_states=True)
        read = output.hidden_states[-1][range(BATCH), places]
        assert_same(output.logits, models[0].heads.classifier(read), tolerances.OUTPUTS[dtype])


def test_the_answer_to_a_question_of_one_token():
    given = visual_bert_inputs(CONFIG, Sizes(BATCH, 1, REGIONS))
    output = assert_outputs_agree(both(CONFIG, ANSWERS), given, output_hidden_states=True)
    expected = both(CONFIG, ANSWERS)[0].heads.classifier(output.hidden_states[-1][:, 0])
    assert_same(output.logits, expected, TOLERANCE)


def test_phrases_may_be_any_number():
    given, models = visual_bert_inputs(CONFIG, SIZES, architecture=ALIGNMENT), both(CONFIG, ALIGNMENT)
    whole = assert_outputs_agree(models, {**given, **LABELS[ALIGNMENT]})
    some = {**given, "region_to_phrase_position": given["region_to_phrase_position"][:, :3]}
    output, _ = assert_agree(models, {**some, "labels": PHRASES[:, :3]})
    assert_same(output.logits, whole.logits[:, :3], TOLERANCE)
    zero = {**given, "region_to_phrase_position": np.maximum(given["region_to_phrase_position"], 0)}
    assert (given["region_to_phrase_position"] == -1).any()
    assert_same(assert_outputs_agree(models, zero).logits, whole.logits, 0.0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_label_of_a_masked_region_is_left_out(dtype):
    models = both(CONFIG, ALIGNMENT, dtype)
    given = {**visual_bert_inputs(CONFIG, SIZES, "vision row masked", ALIGNMENT), **LABELS[ALIGNMENT]}
    seen = given["visual_attention_mask"][:, None] != 0
    assert (PHRASES * ~seen).any()
    assert not seen[-1].any()
    output, found = assert_agree(models, given, dtype)
    cleared, cleared_found = assert_agree(models, {**given, "labels": PHRASES * seen}, dtype)
    assert_same(output, cleared, 0.0)
    assert_same(found, cleared_found, 0.0)
    smallest = torch.finfo(output.logits.dtype).min
    assert_same(output.logits == smallest, np.broadcast_to(~seen, PHRASES.shape), 0.0)


def test_choices_are_scored_each_by_itself():
    given = visual_bert_inputs(CONFIG, SIZES, architecture=CHOICE)
    output = assert_outputs_agree(both(CONFIG, CHOICE), given)
    assert output.logits.shape == (BATCH, CHOICES)
    model = pt_model(CONFIG, CHOICE, "float64")
    alone = [run_pt(model, {name: x[:, i : i + 1] for name, x in given.items()}).logits for i in range(CHOICES)]
    assert_same(output.logits, torch.cat(alone, 1), TOLERANCE)
