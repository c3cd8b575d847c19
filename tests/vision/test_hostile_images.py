"""Image files that claim far more than they hold end in one of our errors, which names the file, before they cost."""

import io
import os
import struct
import subprocess
import time
import tracemalloc
import zlib

import numpy as np
import pytest
from PIL import Image

from lxmert.utils.foreign_files import InvalidFileError
from lxmert.utils.held_memory import held_bytes
from lxmert.vision.avif import largest_frame
from lxmert.vision.image_files import FORMATS, MAX_PIXELS, max_decoded_size
from lxmert.vision.images import open_image
from lxmert.vision.shapes.regions import image_regions


def _chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _png(width, height, depth=8, colour=2, before=b"", after=b""):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    palette = _chunk(b"PLTE", bytes(768)) if colour == 3 else b""
    pixels = _chunk(b"IDAT", zlib.compress(bytes(min(2**16, width * height * 8))))
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + before + palette + pixels + after + _chunk(b"IEND", b"")


def _saved(format, size=(8, 8), mode="RGB", **options):
    file = io.BytesIO()
    Image.new(mode, size, 7 if len(mode) == 1 else (7,) * len(mode)).save(file, format, **options)
    return file.getvalue()


def _patched(content, place, new):
    return content[:place] + new + content[place + len(new) :]


def _jpeg(height, width, **options):
    content = _saved("JPEG", **options)
    place = next(content.index(marker) for marker in (b"\xff\xc0", b"\xff\xc2") if marker in content)
    return _patched(content, place + 5, struct.pack(">HH", height, width))


def _many_scans(count):
    content = _saved("JPEG", progressive=True)
    last, end = content.rindex(b"\xff\xda"), content.rindex(b"\xff\xd9")
    return content[:end] + content[last:end] * count + content[end:]


def _many_exif_segments(count):
    content, segment = _saved("JPEG"), b"\xff\xe1\x00\x12Exif\0\0" + bytes(10)
    return content[:2] + segment * count + content[2:]


def _text(number):
    return _chunk(b"iTXt", b"%d\0\1\0\0\0" % number + zlib.compress(b"a" * 2**19 + "\U0001f600".encode()))


def _tiff(*entries, content=b""):
    """A gray TIFF file of one directory; an entry is (tag, type, count, value), and values begin at byte 512."""
    usual = {256: (4, 1, 1), 257: (4, 1, 1), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 277: (3, 1, 1)}
    usual |= {273: (4, 1, 0), 278: (4, 1, 1), 279: (4, 1, 1)}
    usual |= {tag: rest for tag, *rest in entries}
    directory = b"".join(struct.pack("<HHII", tag, *rest) for tag, rest in sorted(usual.items()))
    header = b"II*\0" + struct.pack("<IH", 8, len(usual)) + directory + bytes(4)
    return header.ljust(512, b"\0") + content


def _bmp(width, height, compression, content=b"\0\0"):
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, compression, len(content), 0, 0, 256, 0)
    palette = bytes(value for level in range(256) for value in (level, 255 - level, level, 0))
    return b"BM" + struct.pack("<IHHI", 0, 0, 0, 54 + len(palette)) + header + palette + content


def _gif(width, height, frame=None, disposal=0):
    size, extent = struct.pack("<HH", width, height), struct.pack("<HHHH", 0, 0, *(frame or (width, height)))
    control = b"!\xf9\x04" + bytes([disposal << 2]) + bytes(4)
    return b"GIF89a" + size + b"\0\0\0" + control + b"," + extent + b"\0\x02\x02\x4c\x01\0;"


def _webp(width, height):
    bits = (width - 1) | (height - 1) << 14
    return (
        b"RIFF"
        + struct.pack("<I", 22)
        + b"WEBPVP8L"
        + struct.pack("<I", 9)
        + b"\x2f"
        + struct.pack("<I", bits)
        + bytes(5)
    )


def _avif(width, height):
    size = b"ispe" + bytes(4) + struct.pack(">II", 8, 8)
    return _saved("AVIF").replace(size, b"ispe" + bytes(4) + struct.pack(">II", width, height))


def _avif_of_frames(side):
    """One that declares 8 x 8 pixels, and whose decoder makes more."""
    declared = b"ispe" + bytes(4) + struct.pack(">II", side, side)
    content = _saved("AVIF", (side, side), speed=10, quality=1)
    assert declared in content
    return content.replace(declared, b"ispe" + bytes(4) + struct.pack(">II", 8, 8))


def _ico(inside):
    return b"\0\0\1\0\1\0" + struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(inside), 22) + inside


MEMORY, PIXELS, NO_IMAGE = (
    "a file of that size may take at most 245,000,000",
    "must have at most 100,000,000 pixels",
    "must be an image",
)
_EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"

HOSTILE = {
    # More pixels, or more memory, than a file of its size may have.
    "png in colour": (lambda: _png(9990, 9990), MEMORY),
    "png of gray": (lambda: _png(9990, 9990, 8, 0), MEMORY),
    "png of 16 bits": (lambda: _png(9990, 9990, 16, 0), MEMORY),
    "png of one bit": (lambda: _png(9990, 9990, 1, 0), MEMORY),
    "png of a palette": (lambda: _png(9990, 9990, 8, 3), MEMORY),
    "png with opacity": (lambda: _png(9990, 9990, 8, 6), MEMORY),
    "png above the limit": (lambda: _png(20000, 20000), PIXELS),
    "png of two billion columns": (lambda: _png(2**31 - 1, 1), PIXELS),
    "png of a long row": (lambda: _png(2_000_000, 1), "at most 1,000,000 pixels in a row"),
    "jpeg": (lambda: _jpeg(9990, 9990), MEMORY),
    "jpeg of gray": (lambda: _jpeg(9990, 9990, mode="L"), MEMORY),
    "jpeg of cmyk": (lambda: _jpeg(9990, 9990, mode="CMYK"), MEMORY),
    "jpeg above the limit": (lambda: _jpeg(65500, 65500), PIXELS),
    "webp": (lambda: _webp(16383, 6000), MEMORY),
    "webp above the limit": (lambda: _webp(16383, 16383), "pixels|cannot read"),
    "avif": (lambda: _avif(9990, 9990), MEMORY),
    "avif of larger frames": (lambda: _avif_of_frames(4000), MEMORY),
    "gif": (lambda: _gif(9990, 9990), MEMORY),
    "gif whose frame is larger": (lambda: _gif(1, 1, (9990, 9990)), MEMORY),
    "bmp": (lambda: _bmp(9990, 9990, 0), MEMORY),
    "bmp of run lengths": (lambda: _bmp(5000, 5000, 1), "4,000,000 pixels as run lengths"),
    "ppm": (lambda: b"P6 9990 9990 255\n", MEMORY),
    "ppm of floats": (lambda: b"Pf 9990 9990 1.0\n", MEMORY),
    "ppm of huge numbers": (lambda: b"P6 9999999999 9999999999 255\n", "pixels"),
    "tiff": (lambda: _tiff((256, 4, 1, 9990), (257, 4, 1, 9990)), MEMORY),
    "tiff of a large tile": (lambda: _tiff((259, 3, 1, 8), (322, 4, 1, 20000), (323, 4, 1, 20000)), MEMORY),
    # Parts that cost more than the image.
    "jpeg of many scans": (lambda: _many_scans(200), "at most 100 scans"),
    "jpeg of many EXIF segments": (lambda: _many_exif_segments(200), "at most 100 EXIF segments"),
    "png of large texts": (lambda: _png(4, 4, before=b"".join(map(_text, range(9)))), "5 international texts"),
    "png of large texts at its end": (
        lambda: _png(4, 4, after=b"".join(map(_text, range(9)))),
        "5 international texts",
    ),
    "png of many profiles": (lambda: _png(4, 4, before=_chunk(b"iCCP", b"a\0\0") * 20), "10 colour profiles"),
    "ppm of many comments": (lambda: b"P3 2000 2000 255\n" + b"#\n" * 30000, "too many comments"),
    "tiff of many strips": (
        lambda: _tiff((257, 4, 1, 60000), (273, 4, 60000, 512), content=struct.pack("<II", 512, 513) * 30000),
        "at most 50,000 strips",
    ),
    "tiff of unknown compression": (lambda: _tiff((259, 3, 1, 60000)), "cannot be read|cannot read"),
    # Formats that start a program, decode pixel by pixel, or hold another image.
    "eps": (lambda: _EPS, "looks like EPS, which is not read"),
    "icon of a large png": (lambda: _ico(_png(9990, 9990)), "looks like ICO, which is not read"),
    "blp": (lambda: b"BLP2" + bytes(160), "looks like BLP, which is not read"),
    "photoshop": (lambda: b"8BPS" + bytes(60), "looks like PSD, which is not read"),
    "jpeg 2000": (lambda: b"\xff\x4f\xff\x51" + bytes(60), "looks like JPEG2000, which is not read"),
    "heic": (lambda: b"\0\0\0\x18ftypheic" + bytes(60), "looks like HEIC, which is not read from files. Convert it"),
    "tga, which starts like a cursor": (lambda: _saved("TGA"), "Pillow cannot read"),
    "hdf5": (lambda: b"\x89HDF\r\n\x1a\n" + bytes(60), "looks like HDF5, which is not read"),
    # What decoders raise by themselves.
    "avif that is cut": (lambda: _saved("AVIF")[:-20], "a.png"),
    "avif of damaged data": (lambda: _saved("AVIF")[:-20] + b"\xff" * 20, "a.png"),
    "webp of damaged data": (lambda: _saved("WEBP", lossless=True)[:-8] + bytes(8), "a.png"),
    "qoi": (lambda: b"qoif" + struct.pack(">II", 9990, 9990) + b"\4\0", "looks like QOI, which is not read"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_image_is_refused_by_an_error_that_names_the_file(name, tmp_path):
    make, message = HOSTILE[name]
    path = tmp_path / "a.png"
    path.write_bytes(make())
    started = time.process_time()
    with pytest.raises(ValueError, match=message) as found:
        open_image(path)
    assert "a.png" in str(found.value)
    assert time.process_time() - started < 2


def test_an_eps_file_starts_no_program(tmp_path, monkeypatch):
    from PIL import EpsImagePlugin

    started = []
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", "gs")
    monkeypatch.setattr(subprocess, "check_call", started.append)
    (tmp_path / "a.png").write_bytes(_EPS)
    with pytest.raises(InvalidFileError):
        open_image(tmp_path / "a.png")
    assert not started
    Image.new("RGB", (4, 4), "red").save(tmp_path / "b.tga")
    with pytest.raises(InvalidFileError, match=r"Pillow cannot read|looks like"):
        open_image(tmp_path / "b.tga")
    with Image.open(tmp_path / "b.tga") as image:  # whatever its user opened
        assert (open_image(image) == (255, 0, 0)).all()


def test_large_photographs_fit_and_small_files_stay_small():
    pixels, large = 6016 * 4016, MAX_PIXELS
    assert pixels * 10 < max_decoded_size(0)  # JPEG of several scans
    assert large * 7 < max_decoded_size(1_500_000)
    assert large * 10 < max_decoded_size(1_800_000)
    assert large * 16 < max_decoded_size(2_400_000)
    assert max_decoded_size(1_000_000) < 250e6
    assert {"PNG", "JPEG", "WEBP", "AVIF"} < set(FORMATS)


@pytest.mark.parametrize("options", [{}, {"save_all": True}, {"subsampling": "4:4:4"}])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_the_frames_of_an_avif_file_are_found(mode, options):
    assert largest_frame(_saved("AVIF", (63, 41), mode, speed=10, **options)) == 63 * 41


def test_the_parts_of_an_avif_file_are_bounded():
    def located(items, parts, place, length):
        box = b"".join(
            struct.pack(">HHH", 0, 0, parts) + struct.pack(">II", place, length) * parts for _ in range(items)
        )
        box = struct.pack(">I4sIBBH", 16 + len(box), b"iloc", 0, 0x44, 0, items) + box
        return struct.pack(">I4sI", 12 + len(box), b"meta", 0) + box

    assert largest_frame(b"\x12\0" * 100) == 0  # no boxes
    with pytest.raises(ValueError, match="larger than the file"):
        largest_frame(located(items=2, parts=30, place=0, length=1000))
    units = b"\0\0\0\0free" + b"\x12\0" * 10_000
    with pytest.raises(ValueError, match="more than 100,000 parts"):
        largest_frame(located(items=11, parts=1, place=190, length=20_000) + units)


def test_no_room_is_made_for_what_a_file_does_not_have(tmp_path):
    content = bytearray(_png(4, 4))
    place = content.index(b"IDAT")
    content[place - 4 : place] = b"\xf0\0\0\0"
    (tmp_path / "a.png").write_bytes(content)
    tracemalloc.start()
    open_image(tmp_path / "a.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "I;16", "F", "CMYK"])
def test_a_conversion_takes_little_more_than_its_result(mode):
    image = Image.new("RGBA", (2000, 1500), (7, 7, 7, 100)).convert("L" if mode in ("I;16", "F") else mode)
    image = Image.fromarray(np.asarray(image).astype(np.uint16)) if mode == "I;16" else image.convert(mode)
    image.getexif()[0x0112] = 6
    tracemalloc.start()
    opened = open_image(image)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert opened.shape == (2000, 1500, 3)
    assert peak < 60e6


def test_the_orientation_of_every_tiff_file_is_applied(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (5, 7, 4), dtype=np.uint8)
    colours[..., 3] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    for options in ({}, {"compression": "tiff_lzw"}):  # the first is one that Pillow would map
        Image.fromarray(colours).save(tmp_path / "a.tif", exif=exif, **options)
        np.testing.assert_array_equal(open_image(tmp_path / "a.tif"), np.rot90(colours[..., :3], -1))


def test_very_wide_images_leave_little_behind(tmp_path):
    tracemalloc.start()
    for width in range(300_000, 300_003):
        image_regions(np.zeros((1, width, 3), np.uint8))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert held < 40e6
    assert held_bytes({"a": (np.zeros(10, np.uint8)[::5], [np.zeros(3, np.float32)])}) == 10 + 12


def test_a_pipe_is_no_image(tmp_path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("the system has no named pipes")
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(ValueError, match="is a pipe or a device"):
        open_image(tmp_path / "a.png")
