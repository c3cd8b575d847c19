"""How the weights of a new model start, in both backends, and how many there are."""

import numpy as np
import pytest
import torch

from lxmert.common.config import LxmertConfig, VisualBertConfig
from lxmert.weights.naming.key_mapping import parameters
from lxmert.weights.naming.tables import head_names
from tests.small import NAMES, UNUSED, VISUAL_BERT, is_visual_bert

from .backend import BACKENDS, every_class


@pytest.mark.parametrize("name", ["LxmertForPreTraining", "VisualBertForRegionToPhraseAlignment"])
def test_new_weights_come_from_the_seed(name):
    made = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        made.append(BACKENDS["pt"].weights(BACKENDS["pt"].make(name)))
    assert all(np.array_equal(made[0][key], made[1][key]) for key in made[0])
    assert any((made[0][key] != made[2][key]).any() for key in made[0])


def zero_rows(values):
    return [row for row, value in enumerate(values) if not value.any()]


def test_the_first_rows_of_lxmerts_tables_start_at_zero(backend):
    held = backend.weights(backend.make("LxmertModel"))
    for table in ("word", "position", "token_type"):
        assert zero_rows(held[f"embeddings.{table}.weight"]) == [0]


@pytest.mark.parametrize("pad", [1, 0, None])
def test_only_visual_berts_padding_starts_at_zero(backend, pad):
    held = backend.weights(backend.make("VisualBertModel", pad_token_id=pad))
    for table in ("word", "position", "token_type", "visual_position", "visual_token_type"):
        expected = [pad] if table == "word" and pad is not None else []
        assert zero_rows(held[f"embeddings.{table}.weight"]) == expected


def test_a_decoder_of_its_own_starts_like_the_other_tables(backend):
    name = "LxmertForPreTraining"
    model = backend.make(name, tie_word_embeddings=False, vocab_size=500, initializer_range=0.5)
    decoder = backend.weights(model)["heads.word.decoder.weight"]
    assert abs(float(decoder.std()) - 0.5) < 0.05
    assert decoder.any(1).all(), "it has no padding row"
    assert "heads.word.decoder.weight" not in backend.weights(backend.make(name))


@every_class(*VISUAL_BERT)
def test_the_tables_of_regions_start_as_those_of_words(backend, name, tmp_path):
    def equal(model):
        held = backend.weights(model)
        pairs = [(held[f"embeddings.{part}.weight"], held[f"embeddings.visual_{part}.weight"])
                 for part in ("position", "token_type")]  # fmt: skip
        return [np.array_equal(*pair) for pair in pairs]

    model = backend.make(name)
    assert equal(model) == [True, True]
    assert equal(backend.make(name, special_visual_initialize=False)) == [False, False]
    # What was learned is not started again.
    for part in ("position", "token_type"):
        weight = f"embeddings.{part}.weight"
        backend.assign(model, weight, backend.weights(model)[weight] + 1)
    model.save_pretrained(tmp_path)
    again = backend.kind(name).from_pretrained(tmp_path)
    assert equal(again) == [False, False]
    assert all(np.array_equal(backend.weights(again)[key], x) for key, x in backend.weights(model).items())


# Counts


PUBLISHED = {
    "LxmertModel": (207_936_768, {}),
    "LxmertForPreTraining": (228_051_752, {}),
    "LxmertForQuestionAnswering": (223_722_524, {}),
    "LxmertForVisualReasoning": (210_303_746, {}),
    "VisualBertForPreTraining": (112_074_812, dict(visual_embedding_dim=2048)),
    "VisualBertForQuestionAnswering": (113_856_825, dict(visual_embedding_dim=2048, num_labels=3129)),
    "VisualBertForVisualReasoning": (110_665_730, dict(visual_embedding_dim=1024)),
    "VisualBertForMultipleChoice": (110_271_745, {}),
    "VisualBertModel": (110_270_976, {}),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_sizes_add_up_to_the_published_totals(name):
    total, sizes = PUBLISHED[name]
    config = (VisualBertConfig if is_visual_bert(name) else LxmertConfig)(**sizes)
    assert sum(int(np.prod(p.shape)) for p in parameters(config, head_names(name, config))) == total
    with torch.device("meta"):
        model = BACKENDS["pt"].make(name, config=config)
    assert model.num_parameters() == total
    assert (model.num_parameters(only_trainable=True) < total) == (name in UNUSED)


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_those_of_the_name_table(backend, name):
    model = backend.make(name)
    sizes = {p: int(np.prod(p.shape)) for p in parameters(model.config, head_names(name, model.config))}
    assert model.num_parameters() == sum(sizes.values())
    trained = sum(size for p, size in sizes.items() if p.module not in UNUSED.get(name, ()))
    assert model.num_parameters(only_trainable=True) == trained


def test_a_backbone_without_pooler_is_counted_without_it(backend):
    whole = backend.make("VisualBertModel")
    bare = backend.kind("VisualBertModel")(whole.config, add_pooling_layer=False)
    assert bare.num_parameters() == whole.num_parameters() - 24 * 25
    assert not any("pooler" in name for name in backend.weights(bare))
