"""What the detector's network reads: the same pixels from a path, an array and a PIL image, whatever the file is."""

import io
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lxmert.vision.faster_rcnn.preprocess import network_input, resize, resized_size

from .golden_detector import AT_YAML_SIZE, SMALL, arrays


def _folder(package: str, *parts: str) -> Path:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent.joinpath(*parts)


# Photographs that libraries carry; their packages are not imported.
SKIMAGE, SKLEARN = _folder("skimage", "data"), _folder("sklearn", "datasets", "images")
PHOTOGRAPHS = [
    *(SKIMAGE / name for name in ("astronaut.png", "camera.png", "chelsea.png", "coffee.png", "horse.png", "logo.png")),
    *(SKIMAGE / name for name in ("retina.jpg", "rocket.jpg", "text.png", "motorcycle_left.png")),
    *(SKLEARN / name for name in ("china.jpg", "flower.jpg")),
]


@pytest.mark.parametrize("picture", range(3))
def test_golden_pictures(picture):
    inputs = arrays("inputs")
    given = network_input(inputs[f"image_{picture}"], SMALL, 128, 176)
    assert (given.size, given.image_size) == tuple(map(tuple, (inputs["sizes"][picture], inputs["raw_sizes"][picture])))
    np.testing.assert_array_equal(given.scale, inputs["scales_yx"][picture][[1, 0, 1, 0]])
    assert given.pixels.dtype == np.float32
    assert given.pixels.flags.c_contiguous
    # of 255; versions of PyTorch differ by so much
    np.testing.assert_allclose(given.pixels.transpose(2, 0, 1), inputs[f"x_{picture}"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("picture", range(3))
def test_golden_pictures_at_the_published_sizes(picture):
    golden = arrays("outputs_yaml_size_float32")
    given = network_input(arrays("inputs")[f"image_{picture}"], AT_YAML_SIZE, 800, 1333)
    assert given.size == tuple(golden[f"img{picture}_size"])
    np.testing.assert_array_equal(given.scale, golden[f"img{picture}_scale_yx"][[1, 0, 1, 0]])
    sample = given.pixels.transpose(2, 0, 1)[:, ::37, ::41]
    np.testing.assert_allclose(sample, golden[f"img{picture}_x_sample"], rtol=0, atol=1e-4)


def test_channels_mean_and_deviation():
    image = np.full((4, 4, 3), (10, 20, 30), np.uint8)
    config = SMALL.replace(pixel_mean=(1, 2, 3), pixel_std=(2, 4, 8))
    assert network_input(image, config, 16, 16).pixels[0, 0].tolist() == [14.5, 4.5, 0.875]  # blue comes first
    config = config.replace(channel_order="RGB")
    assert network_input(image, config, 16, 16).pixels[0, 0].tolist() == [4.5, 4.5, 3.375]


@pytest.mark.parametrize("path", PHOTOGRAPHS, ids=lambda path: path.name)
def test_a_photograph_from_a_path_an_array_and_pil(path):
    with Image.open(path) as image:
        image.load()
        array = np.asarray(image)
        opened = image
    given = [network_input(form, SMALL, 60, 100) for form in (path, str(path), opened, array)]
    for other in given[1:]:
        np.testing.assert_array_equal(other.pixels, given[0].pixels)
        assert other.image_size == given[0].image_size == (opened.height, opened.width)
    assert min(given[0].size) <= 60
    assert max(given[0].size) <= 100


def _saved(folder, image, name, **options):
    image.save(folder / name, **options)
    return folder / name


def _photograph():
    with Image.open(SKLEARN / "china.jpg") as image:
        return image.resize((64, 42)).copy()


def _rotated(folder):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    return _saved(
        folder, _photograph().transpose(Image.Transpose.ROTATE_90), "a.jpg", exif=exif, quality=100, subsampling=0
    )


def _see_through(folder):
    image = _photograph().convert("RGBA")
    image.putalpha(255)
    return _saved(folder, image, "a.png")


def _deep(folder):
    return _saved(folder, Image.fromarray(np.asarray(_photograph().convert("L"), np.uint16) * 257), "a.png")


KINDS = {
    # How the file is made, whether it is gray, and how far its pixels may be from those of the photograph.
    "JPEG with an EXIF orientation": (_rotated, False, 12),
    "JPEG": (lambda d: _saved(d, _photograph(), "a.jpg", quality=100, subsampling=0), False, 4),
    "CMYK": (lambda d: _saved(d, _photograph().convert("CMYK"), "a.jpg", quality=100, subsampling=0), False, 6),
    "gray": (lambda d: _saved(d, _photograph().convert("L"), "a.png"), True, 0),
    "16 bit": (_deep, True, 0),
    "alpha": (_see_through, False, 0),
    "palette": (lambda d: _saved(d, _photograph().quantize(256), "a.png"), False, 40),
    "WebP": (lambda d: _saved(d, _photograph(), "a.webp", lossless=True), False, 0),
}


@pytest.mark.parametrize("kind", KINDS)
def test_files_of_every_kind_show_the_same_photograph(kind, tmp_path):
    make, gray, most = KINDS[kind]
    photograph = _photograph()
    wanted = network_input(photograph.convert("L") if gray else photograph, SMALL, 84, 128)
    path = make(tmp_path)
    given = network_input(path, SMALL, 84, 128)
    assert (given.image_size, given.size) == ((42, 64), (84, 128))
    assert np.abs(given.pixels - wanted.pixels).max() <= most
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        np.testing.assert_array_equal(network_input(image, SMALL, 84, 128).pixels, given.pixels)


@pytest.mark.parametrize(
    ("size", "wanted"),
    [
        ((1, 1), (600, 600)),
        ((2, 2), (600, 600)),
        ((2, 30_000), (3, 1000)),  # in proportion it would have no row
        ((30_000, 2), (1000, 3)),
        ((1, 700), (3, 1000)),
        ((599, 5000), (120, 1000)),
    ],
)
def test_extreme_sizes(size, wanted):
    given = network_input(np.zeros((*size, 3), np.uint8), SMALL, 600, 1000)
    assert (given.size, given.image_size) == (wanted, size)
    corner = np.array([0, 0, *wanted[::-1]], np.float32) * given.scale
    np.testing.assert_allclose(corner, [0, 0, *size[::-1]], rtol=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_sides_after_resizing_stay_within_what_was_asked(seed):
    draw = np.random.default_rng(seed)
    height, width = map(int, draw.integers(1, 3000, 2))
    short = int(draw.integers(16, 900))
    long = short + int(draw.integers(0, 900))
    size = resized_size(height, width, short, long)
    assert min(size) >= 3
    assert max(size) <= long
    assert min(size) <= short
    assert resized_size(width, height, short, long) == size[::-1]


def test_sides_are_rounded_half_up():
    assert resized_size(33, 32, 16, 100) == (17, 16)
    assert resized_size(32, 33, 16, 100) == (16, 17)
    assert resized_size(90, 40, 24, 54) == (54, 24)  # 54 is not above 54


def test_resizing_neither_shifts_nor_adds():
    draw = np.random.default_rng(0)
    image = draw.integers(0, 256, (13, 9, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resize(image, (13, 9)), image)
    np.testing.assert_allclose(
        resize(image[::-1, ::-1], (31, 40)), resize(image, (31, 40))[::-1, ::-1], rtol=0, atol=1e-3
    )
    larger = resize(image, (40, 5))
    assert image.min() <= larger.min() <= larger.max() <= image.max()
