"""What a Keras model can do beside answering: show and count itself, change its sizes, lose heads."""

import keras
import numpy as np
import pytest

from lxmert.common.config import LxmertConfig
from lxmert.tf import TFLxmertForPreTraining, TFLxmertForQuestionAnswering, TFLxmertForVisualReasoning, TFLxmertModel
from lxmert.tf.layers import Embedding
from lxmert.weights.naming.key_mapping import parameters
from lxmert.weights.naming.tables import head_names
from tests.small_lxmert import ANSWERS, WORDS, answer_indices, small_config, small_inputs, small_labels

X = small_inputs()
KINDS = (TFLxmertModel, TFLxmertForPreTraining, TFLxmertForQuestionAnswering, TFLxmertForVisualReasoning)
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def x_of(kind):
    """The inputs of a class."""
    return small_inputs(name=kind.architecture())


def numpy(values):
    return keras.ops.convert_to_numpy(values)


def paths(model):
    return [v.path for v in model.variables]


# Showing and counting


@every_kind
def test_the_summary_shows_shapes(kind):
    lines = []
    model = kind(small_config())
    model.summary(print_fn=lines.append, expand_nested=True)
    text = "\n".join(map(str, lines))
    assert "?" not in text
    scores = {TFLxmertModel: (), TFLxmertForVisualReasoning: ("(None, 2)",)}.get(kind, (f"(None, {ANSWERS})",))
    for shape in ("(None, None, 24)", "(None, 24)", *scores):
        assert shape in text
    assert f"{model.count_params():,}" in text


PUBLISHED = {
    "LxmertModel": 207_936_768,
    "LxmertForPreTraining": 228_051_752,
    "LxmertForQuestionAnswering": 223_722_524,
    "LxmertForVisualReasoning": 210_303_746,
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_default_sizes_add_up_to_the_published_totals(name):
    config = LxmertConfig()
    shapes = [p.shape for p in parameters(config, head_names(name, config))]
    assert sum(int(np.prod(shape)) for shape in shapes) == PUBLISHED[name]


@every_kind
def test_counts_are_those_of_the_name_table(kind):
    config = small_config()
    model = kind(config)
    total = sum(int(np.prod(p.shape)) for p in parameters(config, head_names(kind.architecture(), config)))
    assert model.num_parameters() == model.count_params() == total
    trainable = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert model.num_parameters(only_trainable=True) == trainable
    assert (trainable < total) == (kind in (TFLxmertForQuestionAnswering, TFLxmertForVisualReasoning))


# Words


@pytest.mark.parametrize(
    ("asked", "count"),
    [((WORDS + 4,), WORDS + 4), ((10,), 10), ((None,), WORDS), ((None, 8), 32), ((33, 8), 40), ((WORDS,), WORDS)],
)
def test_resizing_the_vocabulary(asked, count):
    model = TFLxmertForPreTraining(small_config())
    before = {p.name: numpy(v) for p, v in model.weights_by_name()}
    names = paths(model)
    table = model.resize_token_embeddings(*asked)
    assert table is model.get_input_embeddings()
    assert model.config.vocab_size == model.backbone.config.vocab_size == count
    assert sorted(paths(model)) == sorted(names)
    kept = min(count, WORDS)
    for parameter, values in model.weights_by_name():
        if parameter.name in ("embeddings.word.weight", "heads.word.bias"):
            assert values.shape[0] == count
            np.testing.assert_array_equal(numpy(values)[:kept], before[parameter.name][:kept])
        else:
            np.testing.assert_array_equal(numpy(values), before[parameter.name])
    x = {**X, "input_ids": X["input_ids"] % count}
    labels = small_labels()["labels"]
    output = model(x, labels=np.where(labels == -100, -100, labels % count))
    assert output.prediction_logits.shape == (3, 5, count)
    model.compile(keras.optimizers.SGD(0.01), run_eagerly=True)
    model.train_on_batch({**x, "ans": answer_indices()})


def test_the_word_head_stays_tied(tmp_path):
    model = TFLxmertForPreTraining(small_config())
    table = Embedding(WORDS + 2, 24)
    table.build((None, None))
    model.set_input_embeddings(table)
    assert model.get_input_embeddings() is table
    model.get_input_embeddings().embeddings.assign(np.zeros((WORDS + 2, 24)))
    bias = dict((p.name, v) for p, v in model.weights_by_name())["heads.word.bias"]
    np.testing.assert_array_equal(numpy(model(X).prediction_logits), np.broadcast_to(numpy(bias), (3, 5, WORDS + 2)))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert again.config.vocab_size == WORDS + 2
    np.testing.assert_array_equal(again(X).prediction_logits, model(X).prediction_logits)
    with pytest.raises(ValueError, match=r"embeddings must be \[V, 24\] \(hidden_size\); got \[9, 23\]"):
        model.set_input_embeddings(Embedding(9, 23))


def test_frozen_layers_stay_frozen_when_they_are_resized():
    model = TFLxmertForPreTraining(small_config(), dtype="mixed_bfloat16")
    model.get_input_embeddings().trainable = model.get_qa_logit_layer().trainable = False
    model.resize_token_embeddings(40)
    model.resize_num_qa_labels(13)
    assert {v.path.split("/", 1)[1] for v in model.non_trainable_variables} == {
        "backbone/embeddings/word/embeddings",
        "heads/answer/out/kernel",
        "heads/answer/out/bias",
    }
    assert model.get_input_embeddings().dtype_policy.name == "mixed_bfloat16"


def test_a_frozen_decoder_of_its_own_stays_frozen_when_it_is_resized():
    model = TFLxmertForPreTraining(small_config(tie_word_embeddings=False))
    model.heads.word.decoder.trainable = False
    model.resize_token_embeddings(40)
    assert [v.path.split("/", 1)[1] for v in model.non_trainable_variables] == ["heads/word/decoder/embeddings"]
    assert model.heads.word.decoder.embeddings.shape == (40, 24)
    assert model(X).prediction_logits.shape == (3, 5, 40)


@pytest.mark.parametrize("kind", [TFLxmertModel, TFLxmertForQuestionAnswering])
def test_models_without_a_word_head_are_resized_too(kind):
    model = kind(small_config())
    expected = model(X)
    model.resize_token_embeddings(WORDS + 1)
    assert [v.shape for v in model.variables if v.path.endswith("word/embeddings")] == [(WORDS + 1, 24)]
    for found, wanted in zip(model(X), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_vocabulary_has_words():
    with pytest.raises(ValueError, match="must be at least 1; got 0"):
        TFLxmertModel(small_config()).resize_token_embeddings(0)


# Answers


@pytest.mark.parametrize(
    ("kind", "count"),
    [
        (TFLxmertForPreTraining, ANSWERS + 3),
        *((TFLxmertForQuestionAnswering, n) for n in (ANSWERS + 3, 4, ANSWERS, None)),
    ],
)
def test_resizing_the_answers(kind, count, tmp_path):
    model = kind(small_config())
    old, names, layer = numpy(model(X).question_answering_score), paths(model), model.get_qa_logit_layer()
    new = model.resize_num_qa_labels(count)
    wanted = count or ANSWERS
    assert new is model.get_qa_logit_layer()
    assert (new is layer) == (wanted == ANSWERS)
    assert new.units == model.config.num_qa_labels == wanted
    assert sorted(paths(model)) == sorted(names)
    found = numpy(model(X).question_answering_score)
    assert found.shape == (3, wanted)
    np.testing.assert_allclose(found[:, :ANSWERS], old[:, :wanted], atol=1e-6)
    model.save_pretrained(tmp_path)
    np.testing.assert_array_equal(kind.from_pretrained(tmp_path)(X).question_answering_score, found)


def test_models_without_answers():
    model = TFLxmertForPreTraining(small_config(task_qa=False))
    assert model.get_qa_logit_layer() is None
    assert model.resize_num_qa_labels(5) is None
    assert "question_answering_score" not in model(X)
    assert TFLxmertModel(small_config()).get_qa_logit_layer() is None
    with pytest.raises(ValueError, match="must be at least 1; got 0"):
        TFLxmertForQuestionAnswering(small_config()).resize_num_qa_labels(0)


# Heads of attention


def silence(model, path, heads):
    """Make heads contribute nothing, by zeros in the rows of the output projection that read them."""
    attention = model.base
    for part in path.split("."):
        attention = attention[int(part)] if part.isdigit() else getattr(attention, part)
    kernel = numpy(attention.out.kernel).copy()
    for head in heads:
        kernel[head * 8 : head * 8 + 8] = 0
    attention.out.kernel.assign(kernel)


PRUNED = {"language_layers.0.attention": (1,), "cross_layers.0.cross_attention": (0, 2)}


@every_kind
def test_pruning_takes_away_what_the_heads_add(kind, tmp_path):
    model, whole = kind(small_config()), kind(small_config())
    whole.set_weights(model.get_weights())
    names, count = paths(model), model.num_parameters()
    for path, heads in PRUNED.items():
        silence(whole, path, heads)
    model.prune_heads({"language_layers.0.attention": [1], "cross_layers.0.cross_attention": [2]})
    model.prune_heads({"cross_layers.0.cross_attention": [0, 2]})
    assert model.config.pruned_heads == PRUNED
    assert sorted(paths(model)) == sorted(names)
    # Three heads are gone, each with 8 columns of three projections, their biases, and 8 rows of the fourth.
    assert model.num_parameters() == count - 3 * (4 * 8 * 24 + 3 * 8)
    for found, expected in zip(model(x_of(kind)), whole(x_of(kind)), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)
    model.save_pretrained(tmp_path / "folder")
    model.save(tmp_path / "model.keras")
    for again in (kind.from_pretrained(tmp_path / "folder"), keras.models.load_model(tmp_path / "model.keras")):
        assert again.config.pruned_heads == PRUNED
        for found, expected in zip(again(x_of(kind)), model(x_of(kind)), strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-6)


def test_pruning_leaves_the_frozen_branch_frozen():
    model = TFLxmertForQuestionAnswering(small_config())
    model.prune_heads({"cross_layers.0.visual_self_attention": [0]})
    assert all("visual_self_attention" not in v.path for v in model.trainable_variables)
    model.compile(keras.optimizers.SGD(0.1), run_eagerly=True)
    assert np.isfinite(model.train_on_batch(X, answer_indices()))


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        (
            {"language_layers.7.attention": [0]},
            "pruned_heads names attentions by path, as 'language_layers.0.attention'",
        ),
        ({"language_layers.0.attention": [3]}, "must be some of the heads 0 to 2, not all; got [3]"),
        ({"language_layers.0.attention": [0, 1, 2]}, "must be some of the heads 0 to 2, not all; got [0, 1, 2]"),
    ],
)
def test_heads_that_cannot_be_pruned(heads, message):
    model = TFLxmertModel(small_config())
    before = [numpy(v) for v in model.variables]
    with pytest.raises(ValueError, match="pruned_heads") as raised:
        model.prune_heads(heads)
    assert message in str(raised.value)
    assert model.config == small_config()
    for old, new in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(old, numpy(new))


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")  # Keras, of all that has no product
def test_quantized_layers():
    """Keras' own quantization reaches every linear layer."""
    keras.utils.set_random_seed(0)
    model = TFLxmertForQuestionAnswering(small_config())
    plain = numpy(model(X).question_answering_score)
    model.quantize("int8")
    kernels = [weight for weight in model.weights if weight.path.endswith("/kernel")]
    assert kernels
    assert {weight.dtype for weight in kernels} == {"int8"}
    rounded = numpy(model(X).question_answering_score)
    assert not np.array_equal(rounded, plain)
    np.testing.assert_allclose(rounded, plain, atol=0.1 * np.abs(plain).max())
