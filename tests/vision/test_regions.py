"""Shapes are found where they were drawn, whatever the image, and are described without it."""

import numpy as np
import pytest

from lxmert.vision.region_batch import pad_regions
from lxmert.vision.shapes.regions import CELLS, FEATURE_SIZE, are_plain_shapes, image_regions
from tests.vision.drawing import COLOURS, SHAPES, Shape, draw, overlap

SIZES = [(20, 20), (24, 40), (64, 64), (100, 60), (200, 300), (640, 480), (1500, 1000), (900, 60)]
BACKGROUNDS = ["white", "black", "pastel", "navy", "pink", "olive", "sky", "slope", "steep", "bowl"]
FINISHES = {
    "plain": {"smooth": False},
    "smooth": {},
    "noisy": {"noise": 6.0},
    "jpeg": {"jpeg": 80},
    "noisy jpeg": {"noise": 4.0, "jpeg": 75},
}


def _box(boxes, region, image):
    height, width = image.shape[:2]
    return boxes[region] * [width, height, width, height]


# Large images take long to draw, so they come in the finish that changes them most.
LARGE = 500_000
CASES = [(size, finish) for size in SIZES for finish in FINISHES if size[0] * size[1] <= LARGE or finish == "jpeg"]


@pytest.mark.parametrize(("size", "finish"), CASES)
def test_one_shape_is_found_on_every_background(size, finish):
    width, height = size
    side = max(10, round(min(size) * 0.3))
    for number, on in enumerate(BACKGROUNDS[:: 3 if width * height > 50_000 else 1]):
        kind = SHAPES[number % 3]
        colour = "yellow" if on in ("navy", "black", "steep", "olive") else ["red", "blue", "teal", "gray"][number % 4]
        x, y = (width - side) * number // 9, (height - side) * (9 - number) // 9
        shape = Shape(kind, COLOURS[colour], (x, y, x + side, y + side))
        options = dict(FINISHES[finish])
        if width * height > LARGE:
            options["smooth"] = False
        image = draw(width, height, [shape], on=on, seed=number, **options)
        features, boxes = image_regions(image)
        assert len(boxes) == 2, f"{kind} on {on}: {boxes}"
        assert overlap(_box(boxes, 1, image), shape.box) > 0.7, f"{colour} {kind} on {on}"
        assert features.dtype == boxes.dtype == np.float32
        assert features.shape == (2, FEATURE_SIZE)


def test_the_description_depends_on_neither_background_nor_size():
    wanted = None
    for size, on in [((64, 64), "white"), ((128, 128), "pink"), ((300, 300), "steep"), ((640, 640), "slope")]:
        side = size[0] // 2
        place = size[0] // 4
        image = draw(*size, [Shape("triangle", COLOURS["blue"], (place, place, place + side, place + side))], on=on)
        features, _ = image_regions(image)
        wanted = features if wanted is None else wanted
        np.testing.assert_allclose(features, wanted, atol=0.3)  # slanted edges fall on pixels
        assert np.abs(features - wanted).mean() < 0.02


def test_cells_are_red_green_blue_and_cover_by_rows():
    image = draw(64, 64, [Shape("triangle", (255, 128, 0), (8, 8, 56, 56))], on="black")
    features, boxes = image_regions(image)
    np.testing.assert_allclose(boxes, [[0, 0, 1, 1], [8 / 64, 8 / 64, 56 / 64, 56 / 64]], atol=0.02)
    cells = features[1].reshape(CELLS, CELLS, 4)
    np.testing.assert_allclose(cells[-1, CELLS // 2], [1, 0, -1, 1], atol=0.02)  # inside, at the bottom
    np.testing.assert_allclose(cells[0, 0], 0, atol=0.01)  # outside, in the top left
    assert np.all(np.abs(cells[..., :3]) <= cells[..., 3:] + 1e-6)
    assert np.diff(cells[..., 3].sum(axis=1)).min() > 0  # wider downwards


def test_several_shapes_come_largest_first_and_up_to_the_limit():
    shapes = [
        Shape("circle", COLOURS["red"], (10, 10, 40, 40)),
        Shape("rectangle", COLOURS["black"], (60, 20, 120, 70)),
        Shape("triangle", COLOURS["green"], (20, 90, 65, 130)),
    ]
    image = draw(150, 150, shapes, on="pink")
    _, boxes = image_regions(image)
    assert len(boxes) == 4
    for region, shape in enumerate([shapes[1], shapes[2], shapes[0]], start=1):
        assert overlap(_box(boxes, region, image), shape.box) > 0.9
    assert len(image_regions(image, max_shapes=2)[1]) == 3
    assert len(image_regions(image, max_shapes=0)[1]) == 1
    with pytest.raises(ValueError, match="max_shapes must be at least 0; got -1"):
        image_regions(image, max_shapes=-1)


@pytest.mark.parametrize("place", ["left", "top", "corner", "half outside"])
def test_shapes_may_touch_the_border(place):
    box = {
        "left": (0, 20, 30, 50),
        "top": (20, 0, 50, 30),
        "corner": (34, 34, 64, 64),
        "half outside": (-15, 9, 25, 49),
    }
    image = draw(64, 64, [Shape("rectangle", COLOURS["brown"], box[place])])
    _, boxes = image_regions(image)
    assert len(boxes) == 2
    assert overlap(_box(boxes, 1, image), np.clip(box[place], 0, 64)) > 0.95


@pytest.mark.parametrize("on", ["white", "black", "slope", "steep", "bowl"])
@pytest.mark.parametrize("noise", [0.0, 8.0])
def test_an_empty_image_has_only_itself(on, noise):
    features, boxes = image_regions(draw(80, 60, [], on=on, noise=noise))
    assert boxes.tolist() == [[0, 0, 1, 1]]
    assert not features.any()


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (50, 1), (2, 2), (3, 400), (4000, 7)])
@pytest.mark.parametrize("random", [False, True])
def test_no_size_breaks_it(shape, random):
    image = np.full((*shape, 3), 90, np.uint8)
    if random:
        image = np.random.default_rng(0).integers(0, 256, image.shape, dtype=np.uint8)
    features, boxes = image_regions(image)
    assert len(features) == len(boxes) >= 1
    assert np.isfinite(features).all()
    assert ((boxes >= 0) & (boxes <= 1)).all()


def test_batches_are_padded_and_masked():
    two = draw(64, 64, [Shape("circle", COLOURS["red"], (5, 5, 25, 25)), Shape("circle", (0, 0, 0), (35, 35, 55, 55))])
    none = draw(30, 50, [])
    batch = pad_regions([image_regions(none), image_regions(two)])
    assert list(batch) == ["visual_feats", "visual_pos", "visual_attention_mask"]
    assert batch["visual_feats"].shape == (2, 3, FEATURE_SIZE)
    assert batch["visual_attention_mask"].tolist() == [[1, 0, 0], [1, 1, 1]]
    assert not batch["visual_feats"][0, 1:].any()
    assert not batch["visual_pos"][0, 1:].any()
    assert all(array.dtype == np.float32 for array in batch.values())
    assert pad_regions([image_regions(two)], length=5)["visual_pos"].shape == (1, 5, 4)
    nothing = pad_regions([(np.zeros((0, FEATURE_SIZE), np.float32), np.zeros((0, 4), np.float32))])
    assert nothing["visual_attention_mask"].tolist() == [[0]]
    with pytest.raises(ValueError, match=r"length must be at least .* 3; got 2"):
        pad_regions([image_regions(two)], length=2)
    with pytest.raises(ValueError, match="at least one image"):
        pad_regions([])


def test_the_same_image_gives_the_same_numbers():
    image = draw(200, 150, [Shape("circle", COLOURS["teal"], (30, 40, 90, 100))], on="slope", noise=5.0, jpeg=80)
    first, again = image_regions(image), image_regions(image.copy())
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])


def test_drawn_shapes_have_one_colour_each_and_objects_in_photographs_do_not():
    for on in BACKGROUNDS:
        for options in FINISHES.values():
            shapes = [
                Shape("circle", COLOURS["red"], (6, 6, 50, 40)),
                Shape("triangle", COLOURS["blue"], (60, 50, 95, 90)),
            ]
            assert are_plain_shapes(image_regions(draw(100, 100, shapes, on, **options))[0])
    # Like a photograph: an object with light and shade, and a texture of several colours.
    random = np.random.default_rng(0)
    light = np.linspace(0, 255, 60)[:, None, None] * np.array([1.0, 0.7, 0.3])
    patches = np.repeat(np.repeat(random.uniform(0, 255, (6, 6, 3)), 10, axis=0), 10, axis=1)
    for inside in (np.broadcast_to(light, (60, 60, 3)), patches):
        photo = np.full((100, 100, 3), 235.0)
        photo[20:80, 20:80] = inside
        photo = np.clip(photo + random.normal(0, 3, photo.shape), 0, 255).astype(np.uint8)
        features, boxes = image_regions(photo)
        assert len(boxes) > 1
        assert not are_plain_shapes(features)
