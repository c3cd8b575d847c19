"""Where `transformers` 5 is wrong or silent: what it does, and what this package does instead.

Each test shows both sides, so that it tells when `transformers` has changed.
"""

import numpy as np
import pytest
import torch
import transformers

from lxmert.weights.naming.key_mapping import HUGGING_FACE
from tests import tolerances
from tests.compare import assert_same
from tests.inputs import Sizes, inputs, labels
from tests.models import SMALLEST, gradients_pt, gradients_tf, new_pt, pt_model, run_pt, small, tf_model

from .test_transformers import gradients_theirs, run_theirs, theirs

SIZES = Sizes()
GIVEN = inputs(SMALLEST, SIZES)
ALL = labels(SMALLEST, SIZES)
NAME = "LxmertForPreTraining"
TOLERANCE = tolerances.OUTPUTS["float64"]


def ours(config=SMALLEST, name=NAME):
    return pt_model(config, name, "float64")


def other(config=SMALLEST, name=NAME):
    return theirs(config, name, "float64")


@pytest.mark.parametrize("stream", ["language", "visual"])
def test_a_masked_row_gives_no_gradient_to_queries_and_keys(stream):
    """Its attention is uniform whatever they are. Theirs is the derivative of a rounding: score + smallest number."""
    mask = "attention_mask" if stream == "language" else "visual_attention_mask"
    given = {**GIVEN, **ALL, mask: np.zeros_like(GIVEN[mask])}
    ours_out, found = gradients_pt(ours(), given)
    their_out, expected = gradients_theirs(SMALLEST, NAME, "float64", given)
    assert_same(ours_out, dict(their_out.items()), TOLERANCE)
    _, keras_found = gradients_tf(tf_model(SMALLEST, NAME, "float64"), given)
    for part in ("query.weight", "query.bias", "key.weight", "key.bias"):
        name = f"{stream}_layers.0.attention.{part}"
        assert not found[name].any()
        assert not keras_found[name].any()
        assert part == "key.bias" or expected[name].abs().max() > 1e-3

    # The proof that zero is right: other queries change nothing, in their model neither.
    moved = new_pt(SMALLEST, NAME, "float64")
    with torch.no_grad():
        getattr(moved.backbone, f"{stream}_layers")[0].attention.query.weight.mul_(3)
    assert_same(run_pt(moved, given), ours_out, TOLERANCE)


def test_the_layer_norm_epsilon_of_the_config_is_taken():
    """Theirs is 1e-12 whatever the config says."""
    config = small("1/1/1", layer_norm_eps=0.1)
    assert_same(run_theirs(other(config), GIVEN), dict(run_theirs(other(), GIVEN).items()), 0.0)
    corrected = transformers.LxmertForPreTraining(transformers.LxmertConfig(**config.to_dict())).double().eval()
    corrected.load_state_dict(other(config).state_dict())
    for module in corrected.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.eps = 0.1
    assert_same(run_pt(ours(config), GIVEN), dict(run_theirs(corrected, GIVEN).items()), TOLERANCE)


@pytest.mark.parametrize("name", ["labels", "matched_label", "ans"])
def test_labels_that_are_all_ignored_give_0(name):
    given = {**GIVEN, name: np.full_like(ALL[name], -100)}
    assert torch.isnan(run_theirs(other(), given).loss)
    assert_same(run_pt(ours(), given).loss, np.zeros(()), 0.0)


def test_soft_answers():
    """Theirs knows class indices only. Ours is binary cross-entropy, summed over answers, averaged over the batch."""
    scores = np.random.default_rng(0).random((SIZES.batch, SMALLEST.num_qa_labels))
    with pytest.raises(ValueError, match="batch_size"):
        run_theirs(other(), {**GIVEN, "ans": scores})
    found = run_pt(ours(), {**GIVEN, "ans": scores})
    expected = torch.nn.BCEWithLogitsLoss()(found.question_answering_score, torch.from_numpy(scores))
    assert_same(found.loss, expected * SMALLEST.num_qa_labels, TOLERANCE)


def test_without_an_answer_head_there_is_no_score():
    config = small("1/1/1", task_qa=False)
    assert run_theirs(other(config), GIVEN).question_answering_score.ndim == 0
    assert "question_answering_score" not in run_pt(ours(config), GIVEN)
    assert len(run_pt(ours(config), GIVEN, return_dict=False)) == 2


def test_masked_lm_labels_are_labels():
    assert run_theirs(other(), {**GIVEN, "masked_lm_labels": ALL["labels"]}).loss is None
    expected = run_pt(ours(), {**GIVEN, "labels": ALL["labels"]})
    assert_same(run_pt(ours(), {**GIVEN, "masked_lm_labels": ALL["labels"]}), expected, 0.0)
    with pytest.raises(ValueError, match="two names of one argument"):
        run_pt(ours(), {**GIVEN, "labels": ALL["labels"], "masked_lm_labels": ALL["labels"]})


def test_a_misspelled_keyword_is_an_error():
    misspelled = {**GIVEN, "visual_atention_mask": GIVEN["visual_attention_mask"]}
    run_theirs(other(), misspelled)
    for model in (ours(), ours(name="LxmertModel"), ours(name="LxmertForQuestionAnswering")):
        with pytest.raises(TypeError, match="visual_attention_mask"):
            run_pt(model, misspelled)


@pytest.mark.parametrize("keys", [("obj",), ("attr", "feat")])
def test_some_of_the_object_labels_may_be_given(keys):
    """Theirs wants every enabled key: its sum over the others is what a model with only these losses gives."""
    given = {**GIVEN, "obj_labels": {key: ALL["obj_labels"][key] for key in keys}}
    with pytest.raises(KeyError):
        run_theirs(other(), given)
    enabled = {f"visual_{key}_loss": key in keys for key in ("obj", "attr", "feat")}
    expected = run_theirs(other(small("1/1/1", **enabled)), given).loss
    assert_same(run_pt(ours(), given).loss, expected, TOLERANCE)


def test_the_argument_output_attentions_is_stronger_than_the_config():
    config = SMALLEST.replace(output_attentions=True)
    with pytest.raises(IndexError):
        run_theirs(other(config), GIVEN, output_attentions=False)
    assert_same(run_pt(ours(config), GIVEN, output_attentions=False), run_pt(ours(), GIVEN), 0.0)


def test_inputs_embeds_with_object_labels():
    words = ours().get_input_embeddings().weight.detach().numpy()
    given = {**GIVEN, "obj_labels": ALL["obj_labels"]}
    vectors = {**given, "inputs_embeds": words[GIVEN["input_ids"]]}
    del vectors["input_ids"]
    with pytest.raises(AttributeError):
        run_theirs(other(), vectors)
    assert_same(run_pt(ours(), vectors), run_pt(ours(), given), TOLERANCE)


def test_the_loss_is_of_the_format_of_the_model():
    """Theirs starts its sum in the default format, and a float64 loss is rounded to float32."""
    given = {**GIVEN, **ALL}
    assert run_pt(other(), given).loss.dtype == torch.float32
    assert run_pt(ours(), given).loss.dtype == torch.float64


@pytest.mark.parametrize("name", ["labels", "ans"])
def test_labels_of_the_original_authors_are_refused_with_a_message(name):
    """-1 was their ignored label; here as there it is out of range, but here the message says what is meant."""
    given = {**GIVEN, name: np.where(np.arange(ALL[name].size).reshape(ALL[name].shape) == 0, -1, ALL[name])}
    with pytest.raises(IndexError):
        run_theirs(other(), given)
    with pytest.raises(ValueError, match=f"{name} must be 0 to .*or -100 to be ignored; got values from -1"):
        run_pt(ours(), given)


def test_labels_of_four_bytes_are_labels():
    given = {**GIVEN, "labels": ALL["labels"].astype(np.int32)}
    with pytest.raises(RuntimeError):
        run_theirs(other(), given)
    assert_same(run_pt(ours(), given), run_pt(ours(), {**GIVEN, "labels": ALL["labels"]}), 0.0)


def test_every_attention_map_can_be_had():
    """Theirs gives one of the four maps of a cross layer; the rest, from the modules inside theirs, are the same."""
    kept = {}
    layer = other().lxmert.encoder.x_layers[0]
    attentions = {
        "vision": layer.visual_attention.att,
        "language_self": layer.lang_self_att.self,
        "vision_self": layer.visn_self_att.self,
    }

    def keep(name):
        def hook(module, arguments, keywords, output):
            keywords = {**keywords, "output_attentions": True}
            kept.setdefault(name, []).append(type(module).forward(module, *arguments, **keywords)[1])

        return hook

    handles = [module.register_forward_hook(keep(name), with_kwargs=True) for name, module in attentions.items()]
    try:
        run_theirs(other(), GIVEN)
    finally:
        for handle in handles:
            handle.remove()
    output = run_pt(ours(), GIVEN, output_attentions="all")
    # The cross attention runs twice: language to vision, then vision to language.
    assert_same(kept["vision"], [*output.cross_encoder_attentions, *output.cross_encoder_vision_attentions], TOLERANCE)
    assert_same(tuple(kept["language_self"]), output.cross_encoder_language_self_attentions, TOLERANCE)
    assert_same(tuple(kept["vision_self"]), output.cross_encoder_vision_self_attentions, TOLERANCE)


def test_the_image_branch_that_no_answer_depends_on_is_frozen():
    """Theirs leaves these sixteen trainable and without a gradient, which DistributedDataParallel refuses."""
    name = "LxmertForQuestionAnswering"
    given = {**GIVEN, "labels": ALL["ans"]}
    model = other(name=name)
    loss = run_theirs(model, given).loss
    parameters = dict(model.named_parameters())
    gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    unused = {key for key, gradient in zip(parameters, gradients, strict=True) if gradient is None}
    assert len(unused) == 16
    frozen = {
        HUGGING_FACE.key(p, nested=True) for p, values in ours(name=name).weights_by_name() if not values.requires_grad
    }
    assert frozen == unused
