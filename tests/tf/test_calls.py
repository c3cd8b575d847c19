"""How a Keras model takes its inputs and hands out its outputs, alone and inside a user's model or graph."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from lxmert.tf import (
    TFLxmertForPreTraining,
    TFLxmertForQuestionAnswering,
    TFLxmertForQuestionAnsweringOutput,
    TFLxmertForVisualReasoning,
    TFLxmertForVisualReasoningOutput,
    TFLxmertModel,
    TFLxmertModelOutput,
)
from tests.small_lxmert import ANSWERS, answer_indices, small_config, small_inputs, small_labels

X = small_inputs()
ANSWER = answer_indices()
CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.fixture(scope="module")
def backbone():
    return TFLxmertModel(small_config(hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1))


@pytest.fixture(scope="module")
def answering():
    return TFLxmertForQuestionAnswering(small_config())


def equal(found, expected, atol=1e-6):
    keras.tree.map_structure(lambda a, b: np.testing.assert_allclose(a, b, atol=atol), list(found), list(expected))


def symbolic_inputs():
    return {name: keras.Input(values.shape[1:], dtype=values.dtype.name, name=name) for name, values in X.items()}


# Inputs


def test_keywords_a_dict_and_a_list_mean_the_same(backbone):
    expected = backbone(**X)
    equal(backbone(X), expected)
    equal(backbone(list(X.values())), expected)
    equal(backbone(tuple(tf.constant(values) for values in X.values())), expected)
    equal(backbone(*X.values()), expected)
    equal(backbone(X["input_ids"], **{name: X[name] for name in X if name != "input_ids"}), expected)


def test_only_the_words_and_regions_are_needed(backbone):
    needed = {name: X[name] for name in ("input_ids", "visual_feats", "visual_pos")}
    defaults = {
        "attention_mask": np.ones((3, 5)),
        "visual_attention_mask": np.ones((3, 7)),
        "token_type_ids": np.zeros((3, 5), dtype="int32"),
    }
    equal(backbone({**needed, **defaults}), backbone(list(needed.values())))


def test_word_vectors_in_place_of_ids(backbone):
    rows = keras.ops.convert_to_numpy(backbone.get_input_embeddings().embeddings)[X["input_ids"]]
    others = {name: values for name, values in X.items() if name != "input_ids"}
    equal(backbone({**others, "inputs_embeds": rows}), backbone(X))


def test_choices_may_stand_in_the_dict(backbone):
    output = backbone({**X, "output_hidden_states": True, "output_attentions": "all"})
    assert len(output.language_hidden_states) == 2
    assert output.cross_encoder_vision_attentions[0].shape == (3, 3, 7, 5)
    assert isinstance(backbone({**X, "return_dict": False}), tuple)


def test_the_list_goes_on_with_the_labels(answering):
    output = answering([*X.values(), None, ANSWER])
    np.testing.assert_allclose(output.loss, answering({**X, "labels": ANSWER}).loss, rtol=1e-6)


def test_labels_under_keras_name():
    model, labels = TFLxmertForPreTraining(small_config()), small_labels()
    first = model({**X, "masked_lm_labels": labels["labels"]})
    np.testing.assert_allclose(first.loss, model(X, labels=labels["labels"]).loss, rtol=1e-6)


# Outputs


def test_outputs_answer_to_names_and_places(backbone):
    output = backbone(X)
    assert isinstance(output, TFLxmertModelOutput)
    assert output.keys() == ("language_output", "vision_output", "pooled_output")
    assert output["pooled_output"] is output.pooled_output is output[2] is output.to_tuple()[-1]
    language, vision, pooled = output
    assert (language.shape, vision.shape, pooled.shape) == ((3, 5, 24), (3, 7, 24), (3, 24))
    assert output.language_attentions is None
    assert isinstance(backbone(X, return_dict=False), tuple)


def test_dropout_is_on_in_training_only(backbone):
    first, again = (np.asarray(backbone(X, training=True).pooled_output) for _ in range(2))
    assert np.abs(first - again).max() > 1e-3
    equal(backbone(X), backbone(X), atol=0)
    keras.utils.set_random_seed(3)
    first = TFLxmertModel(backbone.config)(X, training=True)
    keras.utils.set_random_seed(3)
    equal(first, TFLxmertModel(backbone.config)(X, training=True), atol=0)


# Gradients and graphs


def test_every_trainable_variable_gets_a_gradient(answering):
    with tf.GradientTape() as tape:
        loss = answering(X, labels=ANSWER, training=True).loss
    gradients = tape.gradient(loss, answering.trainable_variables)
    assert [v.path for v, g in zip(answering.trainable_variables, gradients, strict=True) if g is None] == []
    frozen = {v.path.split("cross_layers.0/")[1].split("/")[0] for v in answering.non_trainable_variables}
    assert frozen == {"visual_self_attention", "visual_feed_forward"}


def test_asking_for_states_computes_the_image_branch(answering):
    output = answering(X, output_hidden_states=True)
    assert output.vision_hidden_states[-1].shape == (3, 7, 24)
    assert answering(X, output_attentions="all").cross_encoder_vision_self_attentions[0].shape == (3, 3, 7, 7)


def test_pretraining_reaches_every_variable():
    model = TFLxmertForPreTraining(small_config())
    with tf.GradientTape() as tape:
        loss = model({**X, **small_labels()}, training=True).loss
    assert all(gradient is not None for gradient in tape.gradient(loss, model.trainable_variables))


def test_gradient_checkpointing_changes_no_gradient(answering):
    def gradients():
        with tf.GradientTape() as tape:
            loss = answering(X, labels=ANSWER, training=True).loss
        return [tf.convert_to_tensor(g) for g in tape.gradient(loss, answering.trainable_variables)]

    expected = gradients()
    answering.gradient_checkpointing_enable()
    try:
        equal(gradients(), expected)
    finally:
        answering.gradient_checkpointing_disable()


def test_tf_function(answering):
    graph = tf.function(answering)
    output = graph({**X, "labels": ANSWER})
    assert isinstance(output, TFLxmertForQuestionAnsweringOutput)
    equal(output, answering({**X, "labels": ANSWER}))


# Inside another model


def test_a_functional_model_is_made_of_it_trained_and_saved(answering, tmp_path):
    inputs = symbolic_inputs()
    del inputs["token_type_ids"]
    model = keras.Model(inputs, keras.layers.Dense(2, name="verdict")(answering(**inputs).question_answering_score))
    x = {name: X[name] for name in inputs}
    # Its answers feed another layer here, so that gradients flow through the whole.
    model.compile(keras.optimizers.SGD(0.01), loss=CROSS_ENTROPY, run_eagerly=True)
    losses = model.fit(x, np.array([0, 1, 1]), epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    model.save(tmp_path / "verdict.keras")
    again = keras.models.load_model(tmp_path / "verdict.keras")
    equal([again(x)], [model(x)])


@pytest.mark.parametrize("each", [False, True])
def test_a_functional_model_of_two_images(each):
    """Of any batch size, length and number of regions; with a sentence for both images, or one for each."""
    reasoning, name = TFLxmertForVisualReasoning(small_config()), "LxmertForVisualReasoning"
    words = ("input_ids", "attention_mask", "token_type_ids")
    inputs = {}
    for key, values in small_inputs(name=name).items():
        free = (None,) if key in words else (2, None)
        shape = (2, None) if each and key in words else (*free, *values.shape[3:])
        inputs[key] = keras.Input(shape, dtype=values.dtype.name, name=key)
    model = keras.Model(inputs, reasoning(inputs))
    for sizes in ((3, 5, 7), (1, 2, 4)):
        x = small_inputs(*sizes, name=name)
        if each:
            x |= {key: np.stack([x[key]] * 2, axis=1) for key in words}
        output = model(x)
        assert isinstance(output, TFLxmertForVisualReasoningOutput)
        equal(output, reasoning(x))


def test_a_functional_model_of_a_dict_gives_the_whole_output(backbone):
    inputs = symbolic_inputs()
    output = keras.Model(inputs, backbone(inputs))(X)
    assert isinstance(output, TFLxmertModelOutput)
    equal(output, backbone(X))


def test_a_functional_model_gives_the_scores(answering):
    inputs = symbolic_inputs()
    model = keras.Model(inputs, answering(inputs).question_answering_score)
    assert model.output_shape == (None, ANSWERS)
    equal([model.predict(X, verbose=0)], [answering(X).question_answering_score])


class Verdict(keras.Model):
    """What a user may write around a backbone."""

    def __init__(self, backbone):
        super().__init__()
        self.backbone = backbone
        self.verdict = keras.layers.Dense(2)

    def call(self, inputs, training=False):
        return self.verdict(self.backbone(inputs, training=training).pooled_output)


def test_a_subclassed_model_holds_it(backbone):
    model = Verdict(backbone)
    model.compile(keras.optimizers.SGD(0.1), loss=CROSS_ENTROPY, run_eagerly=True)
    # The branch that makes the vision output does not reach the verdict; Keras says so, as it should.
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        losses = model.fit(X, np.array([0, 1, 1]), epochs=2, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert len(model.trainable_variables) == len(backbone.trainable_variables) + 2
