"""Whatever an image comes as, it opens to the same colours; what is no image is refused by name."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from lxmert.vision.image_files import MAX_PIXELS
from lxmert.vision.images import open_image

COLOURS = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def test_every_form_of_one_image_opens_to_the_same_colours(tmp_path):
    image = Image.fromarray(COLOURS)
    image.save(tmp_path / "a.png")
    image.save(tmp_path / "a.bmp")
    forms = [COLOURS, COLOURS / 255.0, (COLOURS / 255.0).astype(np.float32), image]
    forms += [tmp_path / "a.png", str(tmp_path / "a.png"), tmp_path / "a.bmp"]
    for form in forms:
        opened = open_image(form)
        assert opened.dtype == np.uint8
        np.testing.assert_array_equal(opened, COLOURS)


def test_the_result_is_the_users_to_change():
    image = COLOURS.copy()
    open_image(image)[:] = 0
    np.testing.assert_array_equal(image, COLOURS)


@pytest.mark.parametrize("mode", ["L", "1", "I", "F", "I;16", "P", "CMYK", "LA", "RGBA", "YCbCr", "HSV"])
def test_every_mode_shows_its_gray(mode):
    gray = np.array([[0, 255, 0], [255, 255, 0]], np.uint8)
    if mode == "I;16":
        image = Image.fromarray(gray.astype(np.uint16) * 257)
    else:
        image = Image.fromarray(gray) if mode == "L" else Image.fromarray(gray).convert("RGB").convert(mode)
        if mode in ("I", "F", "LA", "1"):
            image = Image.fromarray(gray).convert(mode)
    np.testing.assert_array_equal(open_image(image), np.repeat(gray[:, :, None], 3, axis=2))


def test_gray_arrays_and_bool_arrays():
    assert open_image(np.full((4, 5), 7, np.uint8)).tolist() == [[[7, 7, 7]] * 5] * 4
    assert open_image(np.array([[True, False]])).tolist() == [[[255] * 3, [0] * 3]]


def test_transparency_lies_on_white(tmp_path):
    see_through = np.zeros((2, 2, 4), np.uint8)
    see_through[0, 0] = (10, 20, 30, 255)
    see_through[1, 1] = (0, 0, 0, 51)
    wanted = [[[10, 20, 30], [255] * 3], [[255] * 3, [204] * 3]]
    Image.fromarray(see_through).save(tmp_path / "a.png")
    for form in (see_through, see_through / 255.0, tmp_path / "a.png"):
        assert open_image(form).tolist() == wanted
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "L").convert("P")
    palette.putpalette([200, 0, 0, 0, 200, 0])
    palette.save(tmp_path / "p.png", transparency=0)
    assert open_image(tmp_path / "p.png").tolist() == [[[255, 255, 255], [0, 200, 0]]]


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn a quarter clockwise to view
    Image.fromarray(COLOURS).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(open_image(tmp_path / "a.png"), np.rot90(COLOURS, -1))


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif"])
def test_of_an_animated_image_the_first_is_read_and_a_warning_says_so(name, tmp_path):
    frames = [Image.new("RGB", (6, 4), colour) for colour in ("red", "blue", "lime")]
    frames[0].save(
        tmp_path / name, save_all=True, append_images=frames[1:], **{"lossless": True} if "webp" in name else {}
    )
    with pytest.warns(UserWarning, match=rf"{name} is animated or has several pages: the first is read"):
        opened = open_image(tmp_path / name)
    np.testing.assert_array_equal(opened, np.full((4, 6, 3), (255, 0, 0)))
    frames[0].save(tmp_path / name)
    open_image(tmp_path / name)  # one frame is no animation: no warning


def _file(folder, name, content):
    (folder / name).write_bytes(content)
    return folder / name


def _jpeg():
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(file, "JPEG")
    return file.getvalue()


def _huge_png():
    """A valid header of an image of 20000 x 20000 pixels in a file of a few bytes."""
    file = io.BytesIO()
    Image.new("1", (1, 1)).save(file, "PNG")
    content = bytearray(file.getvalue())
    content[16:24] = (20000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(bytes(content[12:29])).to_bytes(4, "big")
    return bytes(content)


BAD = {
    "missing file": (lambda d: d / "none.png", FileNotFoundError, "image: there is no file"),
    "folder": (lambda d: d, ValueError, "is a folder"),
    "text file": (lambda d: _file(d, "a.png", b"not an image"), ValueError, "must be an image file"),
    "empty file": (lambda d: _file(d, "a.png", b""), ValueError, r"\(0 bytes\)"),
    "truncated": (lambda d: _file(d, "a.jpg", _jpeg()[:900]), ValueError, "truncated or damaged"),
    "bomb": (lambda d: _file(d, "a.png", _huge_png()), ValueError, "at most 100,000,000 pixels"),
    "number": (lambda d: 3, TypeError, "image must be a path, a PIL image, or .*; got int"),
    "none": (lambda d: None, TypeError, "got NoneType"),
    "bytes": (lambda d: b"abc", TypeError, "got bytes"),
    "list": (lambda d: [[0, 1]], TypeError, "got list"),
    "rank 1": (lambda d: np.zeros(3, np.uint8), ValueError, r"shape \(3,\)"),
    "batch": (lambda d: np.zeros((1, 4, 4, 3), np.uint8), ValueError, "one at a time"),
    "channels first": (lambda d: np.zeros((3, 8, 8), np.uint8), ValueError, r"transpose\(1, 2, 0\)"),
    "one channel": (lambda d: np.zeros((8, 8, 1), np.uint8), ValueError, r"image\[:, :, 0\]"),
    "five channels": (lambda d: np.zeros((8, 8, 5), np.uint8), ValueError, r"shape \(8, 8, 5\)"),
    "zero size": (lambda d: np.zeros((0, 4, 3), np.uint8), ValueError, "height 0 and width 4"),
    "int64": (lambda d: np.zeros((4, 4, 3), np.int64), TypeError, "got dtype int64"),
    "complex": (lambda d: np.zeros((4, 4), complex), TypeError, "complex"),
    "float 0..255": (lambda d: np.full((4, 4), 255.0), ValueError, "255 to 255"),
    "negative": (lambda d: np.full((4, 4), -1.0), ValueError, "from 0 to 1"),
    "nan": (lambda d: np.full((4, 4), np.nan), ValueError, "from 0 to 1; got nan"),
    "huge array": (lambda d: np.broadcast_to(np.uint8(0), (20000, 20000)), ValueError, "pixels"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_image_is_refused(name, tmp_path):
    make, kind, message = BAD[name]
    with pytest.raises(kind, match=message):
        open_image(make(tmp_path))


def test_the_limit_is_below_pillows():
    assert Image.MAX_IMAGE_PIXELS is None or MAX_PIXELS < 2 * Image.MAX_IMAGE_PIXELS
