"""The rules by NumPy alone: the maps that the published code stored, batches, padding, and what is 0 over 0."""

import numpy as np
import pytest

from lxmert.explain import METHODS, methods_of
from lxmert.explain.gradients import AttentionGradients
from lxmert.explain.rules import attention_methods, attention_relevance
from lxmert.explain.rules.lxmert import STREAMS
from lxmert.explain.rules.matrices import divided_by_sums, min_max

from .agreement import arrays_of, assert_close
from .published import CASES, MODELS, TOLERANCE, expected, inputs, maps, stored

WAYS = [(model_type, method) for model_type in MODELS for method in attention_methods(model_type)]
LAYERS, HEADS = 3, 2


def test_every_method_is_listed():
    for model_type in MODELS:
        assert set(attention_methods(model_type)) | {"input_x_gradient", "integrated_gradients"} == set(
            methods_of(model_type)
        )
    assert methods_of("lxmert") == list(METHODS)


@pytest.mark.parametrize(("model_type", "case"), CASES)
def test_the_rules_are_those_of_the_published_code(model_type, case):
    given = inputs(model_type, case)
    masks = (
        given["attention_mask"],
        np.ones((1, given[["visual_feats", "visual_embeds"][model_type != "lxmert"]].shape[1])),
    )
    row = stored(model_type).get(f"{case}/row", np.zeros((), np.int64))
    for method in attention_methods(model_type):
        found = attention_relevance(model_type, method, maps(model_type, case), *masks, row.reshape(1, 1))
        wanted = expected(model_type, case, method)
        assert_close(arrays_of(found), wanted, TOLERANCE)
        if model_type == "lxmert":
            for name in arrays_of(found).keys() - wanted.keys():
                assert getattr(found, name) is None, "a matrix that the method does not compute"


@pytest.mark.parametrize("method", attention_methods("visual_bert"))
def test_padding_of_the_published_code_does_not_count(method):
    """Their Grad-CAM changes with padding. Ours is that of the example without it."""
    arrays = stored("visual_bert")
    masks = arrays["padded/attention_mask"], arrays["padded/visual_attention_mask"]
    rows = arrays["padded/row"].reshape(1, 1)
    found = attention_relevance("visual_bert", method, maps("visual_bert", "padded"), *masks, rows)
    wanted = expected("visual_bert", "case0", method)
    real = {name: getattr(found, name)[masks[name == "regions"] != 0][None] for name in ("words", "regions")}
    assert_close(real, {name: wanted[name] for name in real}, TOLERANCE)
    for values, mask in zip((found.words, found.regions), masks, strict=True):
        assert not values[mask == 0].any()


def drawn(model_type, length, regions, seed, bypass=False):
    """Random maps and gradients of one example; the last layer's of the visual stream have no gradient."""
    draw = np.random.default_rng(seed)
    sizes = {"language": length, "vision": regions, "all": length + regions}
    streams = STREAMS if model_type == "lxmert" else {"attentions": ("all", "all")}
    found = {}, {}
    for name, (queries, keys) in streams.items():
        layers = []
        for layer in range(LAYERS):
            short = bypass and layer < LAYERS - 1
            layers.append((1, HEADS, *(length if short else sizes[stream] for stream in (queries, keys))))
        found[0][name] = tuple(draw.dirichlet(np.ones(shape[-1]), shape[:-1]) for shape in layers)
        found[1][name] = tuple(draw.standard_normal(shape) for shape in layers)
        if name.endswith(("vision_attentions", "vision_self_attentions")) and name.startswith("cross"):
            found[1][name] = (*found[1][name][:-1], None)
    return found


def padded(parts, model_type, lengths, regions):
    """Several examples in one batch; what is at padding is 0 in maps of real queries, and anything elsewhere."""
    length, region = max(lengths), max(regions)
    places = []
    for own_length, own_regions in zip(lengths, regions, strict=True):
        words = np.arange(own_length)
        places.append(
            {"language": words, "vision": np.arange(own_regions), "all": np.r_[words, length + np.arange(own_regions)]}
        )
    sizes = {"language": length, "vision": region, "all": length + region}
    streams = STREAMS if model_type == "lxmert" else {"attentions": ("all", "all")}
    batch = {}, {}
    for kind in (0, 1):
        for name, (queries, keys) in streams.items():
            layers = []
            for layer in range(LAYERS):
                first = parts[0][kind][name][layer]
                if first is None:
                    layers.append(None)
                    continue
                short = first.shape[-1] == lengths[0] and "all" in (queries, keys)
                own = ("language", "language") if short else (queries, keys)
                whole = np.random.default_rng(layer).random((len(parts), HEADS, *(sizes[stream] for stream in own)))
                for row, (part, place) in enumerate(zip(parts, places, strict=True)):
                    if kind == 0:
                        whole[row][:, place[own[0]]] = 0
                    whole[row][np.ix_(range(HEADS), place[own[0]], place[own[1]])] = part[kind][name][layer][0]
                layers.append(whole)
            batch[kind][name] = tuple(layers)
    return batch


def relevance(model_type, method, found, masks, rows):
    whole = AttentionGradients(np.zeros(len(rows), np.int64), np.zeros(len(rows)), *found)
    return arrays_of(attention_relevance(model_type, method, whole, *masks, rows))


@pytest.mark.parametrize(
    ("model_type", "method", "bypass"),
    [*((*way, False) for way in WAYS), *((*way, True) for way in WAYS if way[0] == "visual_bert")],
)
def test_an_example_is_the_same_alone_and_padded_in_a_batch(model_type, method, bypass):
    lengths, regions, rows = (4, 6, 1), (3, 2, 5), np.array([[0], [5], [0]])
    parts = [drawn(model_type, *sizes, seed, bypass) for seed, sizes in enumerate(zip(lengths, regions, strict=True))]
    masks = [np.arange(max(sizes)) < np.array(sizes)[:, None] for sizes in (lengths, regions)]
    batch = relevance(model_type, method, padded(parts, model_type, lengths, regions), masks, rows)
    for row, part in enumerate(parts):
        ones = np.ones((1, lengths[row])), np.ones((1, regions[row]))
        alone = relevance(model_type, method, part, ones, rows[row : row + 1])
        sizes = {"language": lengths[row], "vision": regions[row]}
        for name, array in alone.items():
            if array is None:
                assert batch[name] is None
                continue
            real = batch[name][row]
            ends = (
                [lengths[row]]
                if name == "words"
                else [regions[row]]
                if name == "regions"
                else [sizes[part] for part in name.split("_to_")]
            )
            block = real[tuple(slice(end) for end in ends)]
            assert_close({name: block}, {name: array[0]}, TOLERANCE)
            assert np.abs(real).sum() == pytest.approx(np.abs(block).sum(), rel=1e-12), "something at padding"


@pytest.mark.parametrize(("model_type", "method"), WAYS)
@pytest.mark.parametrize("hidden", ["words", "regions", "both"])
def test_a_stream_that_is_wholly_masked_has_no_relevance(model_type, method, hidden):
    masks = [np.full((1, size), hidden not in (name, "both")) for name, size in (("words", 4), ("regions", 3))]
    found = relevance(model_type, method, drawn(model_type, 4, 3, 0), masks, np.zeros((1, 1), int))
    for array in found.values():
        assert array is None or np.isfinite(array).all()
    for name in ("words", "regions"):
        if hidden in (name, "both"):
            assert not found[name].any()


@pytest.mark.parametrize("method", ["relevancy", "attention_grad_cam"])
def test_a_map_that_the_score_does_not_depend_on_is_refused_where_it_is_read(method):
    """Nothing reads the last maps of the regions, which `drawn` has no gradient of."""
    attention, gradients = drawn("lxmert", 4, 3, 0)
    masks, rows = (np.ones((1, 4)), np.ones((1, 3))), np.zeros((1, 1), int)
    relevance("lxmert", method, (attention, gradients), masks, rows)
    gradients["cross_encoder_attentions"] = (*gradients["cross_encoder_attentions"][:-1], None)
    with pytest.raises(ValueError, match=r"the score does not depend on cross_encoder_attentions\["):
        relevance("lxmert", method, (attention, gradients), masks, rows)


def test_the_relevance_of_several_rows_is_their_mean():
    found, masks = drawn("visual_bert", 4, 3, 0), (np.ones((1, 4)), np.ones((1, 3)))
    both, *single = (
        relevance("visual_bert", "relevancy", found, masks, np.array([rows])) for rows in ([1, 5], [1], [5])
    )
    for name in ("words", "regions"):
        assert_close({name: both[name]}, {name: (single[0][name] + single[1][name]) / 2}, TOLERANCE)
    assert single[0]["words"][0, 1] == single[1]["regions"][0, 1] == 0


def test_small_gradients_keep_their_digits():
    """Relevancy scales with the gradients, however small they are; beside the identity they would be rounded."""
    attention, gradients = drawn("lxmert", 4, 3, 0)
    small = {name: tuple(None if one is None else one * 1e-14 for one in layers) for name, layers in gradients.items()}
    smaller = {
        name: tuple(None if one is None else one * 1e-18 for one in layers) for name, layers in gradients.items()
    }
    masks, rows = (np.ones((1, 4)), np.ones((1, 3))), np.zeros((1, 1), int)
    one, other = (relevance("lxmert", "relevancy", (attention, each), masks, rows) for each in (small, smaller))
    for name in ("words", "regions"):
        assert one[name].any()
        assert_close({name: other[name] * 1e4}, {name: one[name]}, 1e-11)


def test_min_max_leaves_padding_out():
    values = np.array([[3.0, -1.0, 1.0, 9.0], [2.0, 2.0, 2.0, 0.0], [5.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0]])
    mask = np.array([[1, 1, 1, 0], [1, 1, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(min_max(values, mask), [[1, 0, 0.5, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    assert min_max(np.zeros((2, 0)), np.zeros((2, 0))).shape == (2, 0)


def test_a_row_that_sums_to_nothing_stays_nothing():
    np.testing.assert_array_equal(divided_by_sums(np.array([[[0.0, 0.0], [1.0, 3.0]]])), [[[0, 0], [0.25, 0.75]]])
