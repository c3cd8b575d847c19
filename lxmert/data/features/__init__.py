"""Region features on disk: one store for any number of images, read by random access and shared by all processes.

A store is a folder of plain .npy files (`layout` says which). `RegionWriter` makes one, `import_regions` makes one of
the files in which features are published, `open_regions` reads one or several, `check_regions` looks for damage.
NumPy only; h5py is imported where an HDF5 file is read. Names resolve on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lxmert.data.features.checking import check_regions
    from lxmert.data.features.importing import import_regions
    from lxmert.data.features.store import RegionStore, open_regions
    from lxmert.data.features.writer import RegionWriter

_HOME = {
    "RegionStore": "store",
    "RegionWriter": "writer",
    "check_regions": "checking",
    "import_regions": "importing",
    "open_regions": "store",
}

__all__ = ["RegionStore", "RegionWriter", "check_regions", "import_regions", "open_regions"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}.")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value  # the next look-up does not come here again
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
