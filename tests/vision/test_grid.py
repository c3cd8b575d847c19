"""The cells of a map as regions: boxes, means and patches."""

import numpy as np
import pytest

from lxmert.vision.grid import cell_boxes, map_of_tokens, pool_map


@pytest.mark.parametrize(
    ("grid", "size"), [((7, 7), (480, 640)), ((3, 5), (1, 1)), ((7, 2), (30_000, 2)), ((1, 1), (9, 4))]
)
def test_boxes_tile_the_image_row_by_row(grid, size):
    (rows, columns), (height, width) = grid, size
    boxes = cell_boxes(grid, size)
    assert boxes.shape == (rows * columns, 4)
    assert boxes.dtype == np.float32
    cells = boxes.reshape(rows, columns, 4)
    assert (cells[:, :-1, 2] == cells[:, 1:, 0]).all()  # each begins where the one before it ends, to the bit
    assert (cells[:-1, :, 3] == cells[1:, :, 1]).all()
    assert (cells[:, 0, 0] == 0).all()
    assert (cells[0, :, 1] == 0).all()
    assert (cells[:, -1, 2] == width).all()
    assert (cells[-1, :, 3] == height).all()
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    np.testing.assert_allclose(areas, height * width / len(boxes), rtol=1e-4)


def test_a_coarser_grid_has_the_mean_over_each_cell():
    """Also where cells begin within a position: the mean of the map drawn finely enough that none does."""
    random = np.random.default_rng(0)
    feature_map = random.standard_normal((7, 5, 3)).astype(np.float32)
    fine = feature_map.astype(np.float64).repeat(4, axis=0).repeat(3, axis=1)
    expected = fine.reshape(4, 7, 3, 5, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(pool_map(feature_map, (4, 3)), expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(pool_map(feature_map, (7, 5)), feature_map)


def test_patches_are_the_last_tokens():
    tokens = np.arange(1 + 4 + 6)[:, None] * np.ones(2)
    found = map_of_tokens(tokens, (16, 24), (8, 8), leading=5)
    assert found[..., 0].tolist() == [[5, 6, 7], [8, 9, 10]]
    assert map_of_tokens(tokens[4:], (16, 24), (8, 8)).tolist() == found.tolist()


@pytest.mark.parametrize(
    ("size", "leading", "message"),
    [
        ((20, 24), 5, "multiple of the network's patches of 8x8; got 20x24. Pass an image_size of 16x24"),
        ((16, 24), 1, "a token for each of 2x3 patches and 1 before them; it gave 11"),
        ((16, 24), None, "a token for each of 2x3 patches; it gave 11"),
        ((32, 24), None, "a token for each of 4x3 patches; it gave 11"),
    ],
)
def test_tokens_that_do_not_fit_are_refused(size, leading, message):
    with pytest.raises(ValueError, match=message):
        map_of_tokens(np.zeros((11, 2)), size, (8, 8), leading)
