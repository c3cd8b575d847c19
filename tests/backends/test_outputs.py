"""What the models of both backends hand out: fields and places, and what dropout and masks do to them."""

import pytest

from tests.compare import assert_same
from tests.small import (
    LABELS,
    NAMES,
    TASKS,
    WORDS,
    everything,
    is_visual_bert,
    small_inputs,
    small_labels,
    small_options,
)

from .backend import BACKENDS

DROPOUT = dict(hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.2)
SHAPES = {
    "LxmertModel": {"language_output": (3, 5, 24), "vision_output": (3, 7, 24), "pooled_output": (3, 24)},
    "LxmertForPreTraining": {
        "prediction_logits": (3, 5, WORDS),
        "cross_relationship_score": (3, 2),
        "question_answering_score": (3, LABELS),
    },
    "LxmertForQuestionAnswering": {"question_answering_score": (3, LABELS)},
    "LxmertForVisualReasoning": {"logits": (3, 2)},
    "VisualBertModel": {"last_hidden_state": (2, 12, 24), "pooler_output": (2, 24)},
    "VisualBertForPreTraining": {"prediction_logits": (2, 12, WORDS), "seq_relationship_logits": (2, 2)},
    "VisualBertForMultipleChoice": {"logits": (2, 3)},
    "VisualBertForQuestionAnswering": {"logits": (2, LABELS)},
    "VisualBertForVisualReasoning": {"logits": (2, LABELS)},
    "VisualBertForRegionToPhraseAlignment": {"logits": (2, 12, 7)},
}
every_name = pytest.mark.parametrize("name", NAMES)


@every_name
def test_outputs_answer_to_names_and_places(backend, name):
    given = {**small_inputs(name), **small_options(name)}
    model = backend.make(name)
    output = backend.run(model, given)
    common = is_visual_bert(name) and not name.endswith(("Model", "PreTraining"))
    assert type(output).__name__.removeprefix("TF") == ("VisualBertTaskOutput" if common else f"{name}Output")
    assert {key: tuple(value.shape) for key, value in output.items()} == SHAPES[name]
    last = list(output)[-1]
    assert output[last] is getattr(output, last) is output[-1] is output.to_tuple()[-1]
    assert output.get("attentions") is None
    assert [output[name] is value for name, value in zip(output, output.to_tuple(), strict=True)] == [True] * len(
        output
    )
    assert isinstance(backend.run(model, given, return_dict=False), tuple)
    assert isinstance(backend.run(backend.make(name, return_dict=False), given), tuple)


@every_name
def test_dropout_is_on_in_training_only(backend, name):
    model, given = backend.make(name, **DROPOUT), small_inputs(name)
    first, again = (backend.run(model, given, training=True)[-1] for _ in range(2))
    with pytest.raises(AssertionError, match="differs"):
        assert_same(first, again, 1e-4)
    assert_same(backend.run(model, given), backend.run(model, given), 0.0)


@pytest.mark.parametrize("name", TASKS)
def test_scores_do_not_depend_on_the_labels(backend, name):
    model = backend.make(name)
    labelled = backend.run(model, {**small_inputs(name), **small_labels(name)})
    assert_same(labelled[1:], backend.run(model, small_inputs(name)).to_tuple(), 0.0)


@pytest.mark.parametrize("name", ["LxmertForQuestionAnswering", "VisualBertForQuestionAnswering", NAMES[-1]])
def test_a_mask_keeps_what_is_not_zero(backend, name):
    model, given = backend.make(name), everything(name)
    halves = {key: given[key] * 0.5 for key in ("attention_mask", "visual_attention_mask")}
    assert_same(backend.run(model, {**given, **halves}), backend.run(model, given), 0.0)


@pytest.mark.parametrize("task", ["MultipleChoice", "QuestionAnswering", "VisualReasoning"])
def test_the_head_has_dropout_of_its_own(task):
    name = f"VisualBertFor{task}"
    model = BACKENDS["pt"].make(name)
    model.heads.dropout.p = 0.5
    first, again = (BACKENDS["pt"].run(model, small_inputs(name), training=True).logits for _ in range(2))
    assert (first != again).any()


@pytest.mark.parametrize(("asked", "fields"), [
    ({"output_hidden_states": True}, {"vision_hidden_states": (3, 7, 24)}),
    ({"output_attentions": "all"}, {"cross_encoder_vision_self_attentions": (3, 3, 7, 7)}),
])  # fmt: skip
def test_asking_for_states_or_all_maps_computes_the_image_branch(backend, asked, fields):
    """No answer depends on it, so that it is left out otherwise."""
    output = backend.run(backend.make("LxmertForQuestionAnswering"), small_inputs(), **asked)
    for name, shape in fields.items():
        assert tuple(output[name][-1].shape) == shape
