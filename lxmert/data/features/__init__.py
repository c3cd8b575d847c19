"""Region features on disk: one store for any number of images, with random access, shared by all processes.

A store is a folder of plain .npy files (see `layout`). `RegionWriter` writes one, `import_regions` makes one from
feature files, `write_features` one of arrays, `open_regions` reads one or several, `check_regions` looks for damage.
NumPy only; pyarrow is imported when a file of its is read, and h5py in a process with limits.
"""

from typing import TYPE_CHECKING

from lxmert.utils.lazy_names import lazy_names

if TYPE_CHECKING:
    from .check import check_regions
    from .import_features import import_regions
    from .import_options import ImportOptions
    from .store import RegionStore, open_regions
    from .write_features import write_features
    from .writer import RegionWriter

__all__ = [
    "ImportOptions",
    "RegionStore",
    "RegionWriter",
    "check_regions",
    "import_regions",
    "open_regions",
    "write_features",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        f"{__name__}.check": ("check_regions",),
        f"{__name__}.import_features": ("import_regions",),
        f"{__name__}.import_options": ("ImportOptions",),
        f"{__name__}.store": ("RegionStore", "open_regions"),
        f"{__name__}.write_features": ("write_features",),
        f"{__name__}.writer": ("RegionWriter",),
    },
)
