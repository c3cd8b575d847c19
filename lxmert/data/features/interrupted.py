"""What a message says of a store that could not be finished: how much is kept, and how to go on."""

from __future__ import annotations

from pathlib import Path

from .partial_store import has_progress, partial_folder
from .writer import RegionWriter


def saved_images(writer: RegionWriter) -> str:
    """A sentence about the images that a later writer with `keep` would find."""
    return f"Images read so far: {writer.saved:,}, kept in {partial_folder(writer.folder)}."


def with_saved_images(error: OSError, writer: RegionWriter) -> OSError:
    """An error of the system, about the store and with what is kept of it; itself where nothing is."""
    if isinstance(error, FileExistsError) or not error.strerror or not has_progress(writer.folder):
        return error
    file = Path(str(error.filename or writer.folder))
    # A file of the store goes by its name, as the message begins with the store.
    which = "" if file == writer.folder else f": {file.name if file.parent == writer.folder else file}"
    text = f"{error.strerror}{which}. {saved_images(writer)} Run the same command again to continue"
    return type(error)(error.errno, text, str(writer.folder))
