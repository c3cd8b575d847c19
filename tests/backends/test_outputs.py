"""What the models of both backends hand out: fields and places, and what dropout and masks do to them."""

import pytest

from tests.compare import assert_same
from tests.small import (
    LABELS,
    NAMES,
    TASKS,
    WORDS,
    answer_scores,
    everything,
    is_visual_bert,
    small_inputs,
    small_labels,
    small_options,
)

from .backend import BACKENDS, every_class

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
    model.config.return_dict = False
    assert isinstance(backend.run(model, given), tuple)


@every_class()
def test_dropout_is_on_in_training_only(backend, name):
    model, given = backend.make(name, **DROPOUT), small_inputs(name)
    first, again = (backend.run(model, given, training=True)[-1] for _ in range(2))
    with pytest.raises(AssertionError, match="differs"):
        assert_same(first, again, 1e-4)
    assert_same(backend.run(model, given), backend.run(model, given), 0.0)


@every_class(*TASKS)
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


def test_the_scores_of_answers_are_logits_in_both_models(backend):
    for name in ("LxmertForQuestionAnswering", "VisualBertForQuestionAnswering"):
        output = backend.run(backend.make(name), small_inputs(name))
        assert output.logits is output["logits"] is output[0]
        assert len(output) == 1


@pytest.mark.parametrize("batch", [1, 3])
def test_rows_of_answer_labels_may_have_an_axis_of_their_own(backend, batch):
    name = "VisualBertForQuestionAnswering"
    model, given, rows = backend.make(name), small_inputs(name, batch), answer_scores(batch)
    expected = backend.run(model, {**given, "labels": rows})
    assert_same(backend.run(model, {**given, "labels": rows[:, None]}), expected, 0.0)
    for wrong in (rows[:, None, :-1], rows[:, None, None], rows[:, None].repeat(2, 1)):
        with pytest.raises(ValueError, match=r"labels must be \[B\]"):
            backend.run(model, {**given, "labels": wrong})


def test_a_backbone_without_vision_output(backend, tmp_path):
    name, whole = "LxmertModel", backend.make("LxmertModel", x_layers=2)
    whole.save_pretrained(tmp_path)
    model = backend.kind(name).from_pretrained(tmp_path, vision_output=False)
    expected, found = backend.run(whole, small_inputs()), backend.run(model, small_inputs())
    assert list(found) == ["language_output", "pooled_output"]
    assert_same(found, {field: expected[field] for field in found}, 1e-6)
    # It is there where it is asked for, and where all of the states are.
    assert_same(backend.run(model, small_inputs(), vision_output=True), expected, 1e-6)
    assert "vision_output" in backend.run(model, small_inputs(), output_hidden_states=True)
    encoded = {key: small_inputs()[key] for key in ("input_ids", "attention_mask", "token_type_ids")}
    regions = {key: small_inputs()[key] for key in small_inputs() if key.startswith("visual")}
    states = [backend.encode(model.encode_language, encoded), backend.encode(model.encode_vision, regions)]
    assert list(model.cross(*states)) == ["language_output", "pooled_output"]
    # What is frozen is what the pooled output does not need.
    frozen = set(backend.trainable(whole)) - set(backend.trainable(model))
    assert frozen == {key for key in backend.trainable(whole) if key.startswith("cross_layers.1.visual_")}
    assert set(backend.reached(model, small_inputs())) == set(backend.trainable(model))
