"""Real photographs, those that scikit-image and scikit-learn carry, and files of every kind made of one of them."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image


def _folder(package, *parts):
    (place,) = find_spec(package).submodule_search_locations  # without importing it
    return Path(place).joinpath(*parts)


CHINA = _folder("sklearn", "datasets", "images", "china.jpg")  # 427 high, 640 wide
FLOWER = _folder("sklearn", "datasets", "images", "flower.jpg")
CAT = _folder("skimage", "data", "chelsea.png")  # 300 high, 451 wide
CAMERA = _folder("skimage", "data", "camera.png")  # gray
ROCKET = _folder("skimage", "data", "rocket.jpg")


def make_kinds(folder):
    """Files of every kind made of CHINA, by what they are."""
    with Image.open(CHINA) as opened:
        photo = opened.convert("RGB")
    turned = Image.Exif()
    turned[0x0112] = 6  # to be turned by 90 degrees to be shown
    alpha = photo.convert("RGBA")
    alpha.putalpha(Image.linear_gradient("L").resize(photo.size))
    deep = np.asarray(photo.convert("L")).astype(np.uint16) * 257
    made = {
        "exif.jpg": (photo, {"exif": turned, "quality": 95}),
        "cmyk.jpg": (photo.convert("CMYK"), {}),
        "gray.png": (photo.convert("L"), {}),
        "alpha.png": (alpha, {}),
        "deep.png": (Image.fromarray(deep), {}),
        "palette.gif": (photo.quantize(64), {}),
    }
    for name, (image, options) in made.items():
        image.save(folder / name, **options)
    return {name: folder / name for name in made}
