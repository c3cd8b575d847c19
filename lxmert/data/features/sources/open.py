"""Open feature files: the table of layouts says which source reads what."""

from __future__ import annotations

from pathlib import Path

from lxmert.utils.foreign_files import InvalidFileError

from .arrays.layouts import ARRAY_LAYOUTS
from .base import DamagedImage, Source, SourceOptions
from .found import Found
from .layouts import check_options, unknown_layout
from .text.layouts import TEXT_LAYOUTS

# The first that recognizes a source reads it.
LAYOUTS = (*TEXT_LAYOUTS, *ARRAY_LAYOUTS)


def open_source(path: str | Path, options: SourceOptions | None = None) -> Source:
    """Open a file or folder of features.

    Raises:
        FileNotFoundError: it does not exist.
        ValueError: an unknown layout, or a damaged file; the message says what to do.
    """
    path, options = Path(path), options or SourceOptions()
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; pass a file or a folder of features.")
    if not path.is_file() and not path.is_dir():  # reading a pipe would wait, perhaps without end
        raise ValueError(f"{path} is a device, a pipe or a socket; pass a file or a folder of features.")
    found = Found(path)
    for layout in LAYOUTS:
        if found.kind in layout.kinds and layout.recognize(found, options):
            check_options(layout, options, path)
            try:
                return layout.open(found, options)
            except DamagedImage as error:  # of one that had to be looked at, which does not say whose image it is
                raise InvalidFileError(f"{path} is damaged: {error}") from None
    raise unknown_layout(found, LAYOUTS)
