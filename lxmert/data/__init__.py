"""The road from an image to the model's visual inputs, and the easy-VQA data set; NumPy only, no framework.

Names resolve on first use, so that importing this package costs nothing and needs none of the libraries of the
extra ``lxmert[data]`` (pillow, scipy, easy-vqa); a function that needs one of them says so when it is called.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lxmert.data.synthetic.batches import batches
    from lxmert.data.synthetic.easy_vqa import EasyVqa, load
    from lxmert.vision.images import open_image
    from lxmert.vision.regions import RegionBatch, image_regions, stack_regions

_HOME = {
    "EasyVqa": "lxmert.data.synthetic.easy_vqa",
    "RegionBatch": "lxmert.vision.regions",
    "batches": "lxmert.data.synthetic.batches",
    "load": "lxmert.data.synthetic.easy_vqa",
    "open_image": "lxmert.vision.images",
    "image_regions": "lxmert.vision.regions",
    "stack_regions": "lxmert.vision.regions",
}

__all__ = ["EasyVqa", "RegionBatch", "batches", "image_regions", "load", "open_image", "stack_regions"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}.")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value  # the next look-up does not come here again
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
