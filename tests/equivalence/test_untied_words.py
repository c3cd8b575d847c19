"""PyTorch against Keras with a word head that has a decoder of its own, in both models."""

import numpy as np
import pytest

from tests import tolerances
from tests.compare import assert_same
from tests.models import CASES, VISUAL_BERT_CASES, labelled, new_pt, new_tf, run_pt, run_tf, weights
from tests.pairwise import pairwise

from .agreement import assert_agree, both

LXMERT, VISUAL_BERT = "LxmertForPreTraining", "VisualBertForPreTraining"
ALIGNMENT = "VisualBertForRegionToPhraseAlignment"
UNTIED = [
    (name, config.replace(tie_word_embeddings=False), sizes)
    for name, config, sizes in (
        (LXMERT, *CASES["smallest"]),
        (LXMERT, *CASES["deep"]),
        (VISUAL_BERT, *VISUAL_BERT_CASES["smallest"]),
        (VISUAL_BERT, *VISUAL_BERT_CASES["regions bypass the layers"]),
        (ALIGNMENT, *VISUAL_BERT_CASES["smallest"]),
    )
]
WORDS, DECODER, BIAS = "embeddings.word.weight", "heads.word.decoder.weight", "heads.word.bias"


@pytest.mark.parametrize(
    ("untied", "dtype", "masks"),
    pairwise(UNTIED, ["float64", "float32"], ["absent", "ragged", "language row masked"], strength=1),
)
def test_untied_models_agree(untied, dtype, masks):
    name, config, sizes = untied
    output, found = assert_agree(both(config, name, dtype), labelled(config, name, sizes, masks), dtype)
    assert (DECODER in found) == (name != ALIGNMENT), "a decoder that nothing uses is frozen"
    if name == ALIGNMENT:
        return
    # The decoder is what scores the words, each of them, and the lookup's row of the padding learns nothing any more.
    assert found[DECODER].reshape(config.vocab_size, -1).any(1).all()
    padding = 0 if name == LXMERT else config.pad_token_id
    assert not found[WORDS][padding].any()
    tied = config.replace(tie_word_embeddings=True)
    before = run_pt(both(tied, name, dtype)[0], labelled(tied, name, sizes, masks))
    with pytest.raises(AssertionError, match="prediction_logits differs"):
        assert_same({"prediction_logits": output.prediction_logits}, {"prediction_logits": before.prediction_logits}, 1)


@pytest.mark.parametrize(("name", "config", "sizes"), UNTIED)
def test_a_decoder_like_the_words_makes_the_tied_model(name, config, sizes):
    given = labelled(config, name, sizes)
    expected = run_pt(both(config.replace(tie_word_embeddings=True), name)[0], given)
    for new, run in ((new_pt, run_pt), (new_tf, run_tf)):
        model = new(config, name, "float64")
        named = {p.name: (p, values) for p, values in model.weights_by_name()}
        parameter = named[DECODER][0]
        values = weights(model)[WORDS].copy()
        model._assign(parameter, named[DECODER][1].new_tensor(values) if new is new_pt else values)
        assert_same(run(model, given), expected, tolerances.OUTPUTS["float64"])


@pytest.mark.parametrize(("untied", "count"), pairwise(UNTIED, [50, 20, 37], strength=1))
def test_resized_decoders_agree(untied, count):
    """Old rows stay, new ones are drawn afresh; with those of one put into the other, both give the same."""
    name, config, sizes = untied
    pt, keras_model = new_pt(config, name, "float64"), new_tf(config, name, "float64")
    before, trained = weights(new_pt(config, name, "float64")), pt.heads.word.decoder.weight.requires_grad
    for model in (pt, keras_model):
        model.resize_token_embeddings(count)
        after = weights(model)
        kept = min(count, config.vocab_size)
        for table in (WORDS, DECODER, BIAS):
            assert len(after[table]) == count
            assert_same(after[table][:kept], before[table][:kept], 0.0)
        assert np.any(after[DECODER][kept:]) == (count > kept)
        assert_same(
            {k: v for k, v in after.items() if k not in (WORDS, DECODER, BIAS)},
            {k: v for k, v in before.items() if k not in (WORDS, DECODER, BIAS)},
            0.0,
        )
    assert pt.heads.word.decoder.weight.requires_grad == keras_model.heads.word.decoder.trainable == trained
    assert pt.heads.word.decoder.num_embeddings == keras_model.heads.word.decoder.input_dim == count
    for parameter, values in pt.weights_by_name():
        keras_model._assign(parameter, values.detach().numpy())
    assert_agree((pt, keras_model), labelled(pt.config, name, sizes))
