"""Models that users build around ours and from ours keep every weight: programs as a user writes them."""

import runpy

import keras
import numpy as np
import pytest
import tensorflow
from safetensors.numpy import load_file

import lxmert.tf
from lxmert.common.config import LxmertConfig
from lxmert.tf import TFLxmertForQuestionAnswering, TFLxmertModel, TFLxmertPreTrainedModel, TFVisualBertModel
from lxmert.tf._compat import PUBLIC_ONLY
from tests.small import LABELS, WIDTH, small_config, small_inputs

CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
VISUAL_BERT = "VisualBertModel"
TARGETS = np.array([0, 1, 1])
# The branch that makes the vision output does not reach the verdict; Keras says so, as it should.
pytestmark = pytest.mark.filterwarnings("ignore:Gradients do not exist")
registered = keras.saving.register_keras_serializable("user")


def same_weights(found, expected):
    """Both have variables of the same shapes and values in the same order."""
    assert [v.shape for v in found.variables] == [v.shape for v in expected.variables]
    for mine, theirs in zip(found.variables, expected.variables, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def same_answers(found, expected, x):
    keras.tree.map_structure(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), found(x), expected(x))


def train_and_load(model, x, tmp_path):
    """A step of training, `.keras` and back: the weights, the state of the optimizer and the answers are the same."""
    model.compile(keras.optimizers.Adam(1e-2), loss=CROSS_ENTROPY, run_eagerly=True)  # tracing is slow
    model.fit(x, TARGETS[: len(x["input_ids"])], verbose=0)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert type(again) is type(model)
    same_weights(again, model)
    for mine, theirs in zip(again.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    same_answers(again, model, x)
    again.fit(x, TARGETS[: len(x["input_ids"])], verbose=0)
    return again


# Around ours


@registered
class Around(keras.Model):
    """Makes its backbone itself; Keras finds the arguments of the constructor."""

    def __init__(self, classes=2, **kwargs):
        super().__init__(**kwargs)
        self.backbone = TFLxmertModel(small_config())
        self.verdict = keras.layers.Dense(classes)

    def call(self, inputs, training=False):
        return self.verdict(self.backbone(inputs, training=training).pooled_output)


@registered
class Given(keras.Model):
    """Is given its backbone, and says so in its config."""

    def __init__(self, backbone, **kwargs):
        super().__init__(**kwargs)
        self.backbone = backbone
        self.verdict = keras.Sequential([keras.layers.Dense(5, activation="relu"), keras.layers.Dense(2)])

    def call(self, inputs, training=False):
        states = self.backbone(inputs, training=training)
        return self.verdict(states["pooled_output" if "pooled_output" in states else "pooler_output"])

    def get_config(self):
        return {**super().get_config(), "backbone": keras.saving.serialize_keras_object(self.backbone)}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("backbone")), **config)


@registered
class Nested(keras.Model):
    """Holds a model that holds ours."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = Around(3)
        self.verdict = keras.layers.Dense(2)

    def call(self, inputs, training=False):
        return self.verdict(self.inner(inputs, training=training))


@pytest.mark.parametrize(
    "make",
    [Nested, lambda: Given(TFVisualBertModel(small_config(VISUAL_BERT)))],
    ids=["nested", "given VisualBERT"],
)
def test_a_model_around_ours(make, tmp_path):
    model = make()
    x = small_inputs() if isinstance(model, Nested) else small_inputs(VISUAL_BERT)
    again = train_and_load(model, x, tmp_path)
    again.save_weights(tmp_path / "a.weights.h5")
    model.load_weights(tmp_path / "a.weights.h5")
    same_weights(model, again)


def test_a_functional_model_around_ours(tmp_path):
    x = small_inputs()
    inputs = {name: keras.Input(values.shape[1:], dtype=values.dtype.name, name=name) for name, values in x.items()}
    states = TFLxmertModel(small_config())(inputs)
    verdict = keras.layers.Dense(2, name="verdict")(states.pooled_output)
    train_and_load(keras.Model(inputs, verdict), x, tmp_path)


@pytest.mark.full
def test_from_config_of_a_model_around_ours():
    model, x = Given(TFLxmertModel(small_config())), small_inputs()
    model(x)
    again = Given.from_config(model.get_config())
    again(x)
    again.set_weights(model.get_weights())
    same_answers(again, model, x)


@pytest.mark.full
def test_the_export_of_a_model_around_ours(tmp_path):
    model, x = Around(), small_inputs()
    model(x)
    inputs = {name: keras.InputSpec(v.dtype.name, (None, *v.shape[1:]), name=name) for name, v in x.items()}
    model.export(tmp_path / "served", input_signature=[inputs], verbose=False)
    served = tensorflow.saved_model.load(str(tmp_path / "served"))
    same_answers(served.serve, model, x)


def test_token_ids_that_are_fractions_are_still_refused():
    x = small_inputs()
    inputs = {name: keras.Input(values.shape[1:], name=name) for name, values in x.items()}  # no dtype: float32
    model = keras.Model(inputs, TFLxmertModel(small_config())(inputs).pooled_output)
    with pytest.raises(TypeError, match="input_ids must hold integers"):
        model(x)


# Of ours


@registered
class After(TFLxmertModel):
    """Layers and a weight made after the constructor of ours."""

    def __init__(self, config, classes=2, **kwargs):
        super().__init__(config, **kwargs)
        self.classes = classes
        self.blocks = [keras.layers.Dense(7), keras.layers.LayerNormalization()]
        self.verdict = keras.layers.Dense(classes)
        self.scale = self.add_weight(shape=(classes,), initializer="ones", name="scale")

    def call(self, inputs, training=False):
        states = super().call(inputs, training=training).pooled_output
        for block in self.blocks:
            states = block(states)
        return self.verdict(states) * self.scale

    def get_config(self):
        return {**super().get_config(), "classes": self.classes}


@registered
class Before(TFLxmertModel):
    """Layers made before the constructor of ours, and the arguments of ours."""

    def __init__(self, config, **kwargs):
        self.verdict = keras.layers.Dense(2)
        super().__init__(config, **kwargs)

    def call(self, input_ids=None, visual_feats=None, visual_pos=None, attention_mask=None, training=False, **others):
        inputs = dict(input_ids=input_ids, visual_feats=visual_feats, visual_pos=visual_pos)
        states = super().call(**inputs, attention_mask=attention_mask, training=training, **others)
        return self.verdict(states.pooled_output)


@registered
class Building(TFLxmertModel):
    """Builds its layer itself."""

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        self.verdict = keras.layers.Dense(2)

    def build(self, input_shape):
        self.verdict.build((None, self.config.hidden_size))
        super().build(input_shape)

    def call(self, inputs, training=False):
        return self.verdict(super().call(inputs, training=training).pooled_output)


@registered
class Private(TFLxmertModel):
    """Keeps its layers in attributes that begin with an underscore."""

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        self._blocks = [keras.layers.Dense(3)]
        self._verdict = keras.layers.Dense(2)

    def call(self, inputs, training=False):
        return self._verdict(self._blocks[0](super().call(inputs, training=training).pooled_output))


PRIVATE = pytest.param(Private, marks=pytest.mark.skipif(PUBLIC_ONLY, reason="no fallback sees private attributes"))
SUBCLASSES = pytest.mark.parametrize("kind", [After, Before, Building, PRIVATE])


@SUBCLASSES
def test_a_subclass_with_layers_of_its_own(kind, tmp_path):
    model, x = kind(small_config()), small_inputs()
    if kind is After:
        again = train_and_load(model, x, tmp_path)
    else:
        model(x)
        model.save(tmp_path / "model.keras")
        again = keras.models.load_model(tmp_path / "model.keras")
        same_weights(again, model)
    again.save_weights(tmp_path / "a.weights.h5")
    fresh = kind(small_config())
    fresh.load_weights(tmp_path / "a.weights.h5")
    same_weights(fresh, again)
    same_answers(fresh, again, x)


@pytest.mark.full
@SUBCLASSES
def test_configs_and_clones_of_a_subclass(kind):
    model, x = kind(small_config()), small_inputs()
    model(x)
    for again in (kind.from_config(model.get_config()), keras.models.clone_model(model)):
        again(x)
        again.set_weights(model.get_weights())
        same_answers(again, model, x)


@pytest.mark.full
def test_a_subclass_inside_of_another_model(tmp_path):
    x = small_inputs()
    inputs = {name: keras.Input(values.shape[1:], dtype=values.dtype.name, name=name) for name, values in x.items()}
    model = keras.Model(inputs, keras.layers.Dense(2)(After(small_config(), classes=4)(inputs)))
    train_and_load(model, x, tmp_path)


def test_weights_of_layers_that_the_model_does_not_have(tmp_path):
    model = After(small_config())
    model(small_inputs())
    model.save_weights(tmp_path / "a.weights.h5")
    with pytest.raises(
        ValueError, match=r"weights of layers that this TFLxmertModel does not have: .*blocks/dense/vars/0"
    ):
        TFLxmertModel(small_config()).load_weights(tmp_path / "a.weights.h5")


# Parts in the place of ours


def test_a_replaced_head(tmp_path):
    model, x = TFLxmertForQuestionAnswering(small_config()), small_inputs()
    before = model.heads.answer
    model.heads.answer = keras.layers.Dense(2, name="verdict")
    assert not {id(v) for v in before.variables} & {id(v) for v in model.variables}
    again = train_and_load(model, x, tmp_path)
    assert again.heads.answer.units == 2
    fresh = TFLxmertForQuestionAnswering(small_config())
    fresh.heads.answer = keras.layers.Dense(2)
    again.save_weights(tmp_path / "a.weights.h5")
    fresh.load_weights(tmp_path / "a.weights.h5")
    same_weights(fresh, again)


def test_replaced_and_added_layers_of_an_instance(tmp_path):
    model, x = TFLxmertModel(small_config()), small_inputs()
    model.language_layers = [*model.language_layers, Doubling()]
    model.pooler = keras.Sequential([Doubling(), First(), TwoLayers(), keras.layers.Dense(5)])
    model._extra = TwoLayers()
    model._extra.build((None, 7))
    model(x)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert [type(layer) for layer in again.language_layers] == [type(layer) for layer in model.language_layers]
    same_weights(again, model)
    same_answers(again, model, x)


@registered
class Doubling(keras.layers.Layer):
    """A layer of a user, without a `build`."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.dense = keras.layers.Dense(WIDTH)

    def call(self, states, bias=None, need_weights=False):
        out = states + self.dense(states)
        return (out, None) if bias is not None or need_weights else out


@registered
class TwoLayers(keras.layers.Layer):
    """A layer whose `build` builds its parts, as Keras' guide writes it."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.up, self._down = keras.layers.Dense(4), keras.layers.Dense(3)

    def build(self, input_shape):
        self.up.build(input_shape)
        self._down.build((None, 4))

    def call(self, states):
        return self._down(self.up(states))


@registered
class First(keras.layers.Layer):
    """The first token."""

    def call(self, states):
        return states[:, 0]


def test_a_layer_that_keras_cannot_make_is_named(tmp_path):
    class Secret(keras.layers.Layer):
        def __init__(self, values):
            super().__init__()
            self.values = values

        def call(self, pooled):
            return pooled[:, :LABELS]

    model = TFLxmertForQuestionAnswering(small_config())
    model.heads.answer = Secret(np.zeros(3))
    model(small_inputs())
    model.save(tmp_path / "model.keras")
    with pytest.raises(TypeError, match=r"was saved with heads\.answer, a Secret, which has no get_config"):
        keras.models.load_model(tmp_path / "model.keras")


# Quantized


@pytest.mark.full
@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
def test_a_quantized_model(tmp_path):
    model, x = TFLxmertForQuestionAnswering(small_config()), small_inputs()
    plain = keras.ops.convert_to_numpy(model(x).question_answering_score)
    model.quantize("int8")
    kernels = [weight for weight in model.weights if weight.path.endswith("/kernel")]
    assert {weight.dtype for weight in kernels} == {"int8"}  # every linear layer
    rounded = keras.ops.convert_to_numpy(model(x).question_answering_score)
    assert not np.array_equal(rounded, plain)
    np.testing.assert_allclose(rounded, plain, atol=0.1 * np.abs(plain).max())
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    assert [v.path for v in again.variables] == [v.path for v in model.variables]
    assert [v.dtype for v in again.variables] == [v.dtype for v in model.variables]
    same_weights(again, model)
    same_answers(again, model, x)
    model.save_weights(tmp_path / "a.weights.h5")
    fresh = TFLxmertForQuestionAnswering(small_config())
    fresh.quantize("int8")
    fresh.load_weights(tmp_path / "a.weights.h5")
    same_weights(fresh, model)
    with pytest.raises(ValueError, match="quantized"):
        TFLxmertForQuestionAnswering.from_pretrained(tmp_path / "a.weights.h5")


def test_configs_of_users_survive():
    """A layer of a user may have a config that is none of ours."""
    model = TFLxmertModel(small_config())
    model.extra = keras.layers.Dense(2)
    model.extra.config = {"mine": 1}
    model.resize_token_embeddings(31)
    assert model.extra.config == {"mine": 1}
    assert isinstance(model.pooler.config, LxmertConfig)


# Folders


@registered
class Classifier(TFLxmertPreTrainedModel):
    """As users of `transformers` write it: a backbone under its name there, and the config alone."""

    def __init__(self, config):
        super().__init__(config)
        self.lxmert = TFLxmertModel(config)
        self.verdict = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(2)])

    def call(self, inputs, training=False):
        return self.verdict(self.lxmert(inputs, training=training).pooled_output)


@pytest.mark.parametrize(
    "kind", [*(pytest.param(kind, marks=pytest.mark.full) for kind in (After, Before, Building)), PRIVATE, Classifier]
)
def test_folders_keep_what_a_class_adds(kind, tmp_path):
    model, x = kind(small_config()), small_inputs()
    model(x)
    model.save_pretrained(tmp_path / "folder")
    again = kind.from_pretrained(tmp_path / "folder")
    same_answers(again, model, x)
    assert not again.load_report.new
    assert not again.load_report.unexpected
    if kind is After:
        half = kind.from_pretrained(tmp_path / "folder", dtype="float16", classes=2)
        assert (half.pooler.dense.kernel.dtype, half.verdict.kernel.dtype) == ("float16", "float32")
        plain = TFLxmertModel.from_pretrained(tmp_path / "folder")
        assert "verdict.weight" in plain.load_report.unexpected
    if kind is Private:  # as PyTorch would name them
        names = {"_blocks.0.weight", "_blocks.0.bias", "_verdict.weight", "_verdict.bias"}
        assert names <= set(load_file(tmp_path / "folder" / "model.safetensors"))
    if kind is Classifier:
        model.save(tmp_path / "model.keras")
        same_answers(keras.models.load_model(tmp_path / "model.keras"), model, x)


def replaced(model):
    model.heads.answer = keras.layers.Dense(2)


class Doubled(keras.layers.Dense):
    """A layer with the weights of another that computes something else."""

    def call(self, inputs, training=None):
        return 2 * super().call(inputs, training=training)


def doubled(model):
    model.heads.answer.out = Doubled(model.config.num_qa_labels)
    model(small_inputs())


def quantized(model):
    model.base.region_embeddings.feature.quantize("int8")


def with_adapters(model):
    model.heads.answer.up.enable_lora(2)


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (replaced, r"heads\.answer\.up\.weight is not there, because its layer was replaced"),
        (doubled, r"heads\.answer\.out is a Doubled, which this class does not make"),
        (quantized, r"region_embeddings\.feature\.weight is quantized \(int8\)"),
        (with_adapters, r"heads\.answer\.up\.weight has an adapter that is not merged"),
    ],
)
def test_a_model_that_a_folder_cannot_hold(change, message, tmp_path):
    model = TFLxmertForQuestionAnswering(small_config())
    change(model)
    with pytest.raises(ValueError, match=message):
        model.save_pretrained(tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_presets(tmp_path):
    """The names of KerasHub."""
    model, x = TFLxmertForQuestionAnswering(small_config()), small_inputs()
    model.save_to_preset(tmp_path / "preset")
    again = TFLxmertForQuestionAnswering.from_preset(str(tmp_path / "preset"), dtype="float32")
    same_weights(again, model)
    same_answers(again, model, x)
    new = TFLxmertForQuestionAnswering.from_preset(tmp_path / "preset", load_weights=False, num_qa_labels=3, name="new")
    assert (new.name, new.config.num_qa_labels, new.load_report) == ("new", 3, None)
    with pytest.raises(ValueError, match='preset must be a path, "owner/name" or "hf://owner/name"; got'):
        TFLxmertModel.from_preset("kaggle://keras/lxmert/keras/base")


# What else users of Keras do


def test_predict_gives_a_dict_of_arrays():
    model, x = TFLxmertForQuestionAnswering(small_config()), small_inputs()
    found = model.predict(x, batch_size=2, verbose=0)
    assert isinstance(found, dict)
    assert {name: type(values) for name, values in found.items()} == {"question_answering_score": np.ndarray}
    np.testing.assert_allclose(found["question_answering_score"], model(x).question_answering_score, atol=1e-5)


def test_another_engine_is_refused(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    with pytest.raises(ImportError, match="needs Keras on TensorFlow; KERAS_BACKEND is 'torch'"):
        runpy.run_path(lxmert.tf.__file__)
