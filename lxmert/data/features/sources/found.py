"""What is at a path, as far as a glance at its content tells: what layouts are recognized by."""

from __future__ import annotations

import os
from collections import Counter
from functools import cached_property
from pathlib import Path

from lxmert.utils.foreign_files import first_bytes
from lxmert.utils.messages import first_few
from lxmert.utils.zip_files import ZipArchive

from .hdf5.file import Hdf5FeatureFile
from .text.records import Record, RecordFile

_MOST_NAMES = 1000  # of a folder or an archive that are looked at
_LMDB_MAGIC = b"\xde\xc0\xef\xbe"  # at byte 16 of data.mdb
# The first bytes of a file, its kind, and what it is called.
_STARTS = (
    (b"\x89HDF\r\n\x1a\n", "hdf5", "an HDF5 file"),
    (b"PK\x03\x04", "zip", "a ZIP"),
    (b"\x93NUMPY", "npy", "a .npy file"),
    (b"ARROW1", "arrow", "an Arrow file"),
    (b"\xff\xff\xff\xff", "arrow", "an Arrow stream"),
    (b"PAR1", "parquet", "a Parquet file"),
    (b"\x80", "pickle", "a pickle"),
    (b"\x89PNG", "image", "a PNG image"),
    (b"\xff\xd8\xff", "image", "a JPEG image"),
    (b"%PDF", "other", "a PDF"),
    (b"\xfd7zXZ", "other", "an .xz archive"),
    (b"BZh", "other", "a .bz2 archive"),
)
_CONTENTS = {
    "text files": (".txt", ".csv", ".tsv", ".md"),
    "JSON files": (".json", ".jsonl"),
    "images": (".jpg", ".jpeg", ".png", ".gif", ".webp"),
    ".npy files": (".npy",),
    ".npz files": (".npz",),
    "HDF5 files": (".h5", ".hdf5"),
    "pickles": (".pkl", ".pickle", ".pth", ".pt"),
}


class Found:
    """A file or folder.

    Attributes:
        path: of it.
        kind: "folder", "zip", "npz" (a ZIP of .npy files), "hdf5", "npy", "lmdb", "arrow", "parquet", "pickle",
            "image", "tar", "text", "empty" or "other".
    """

    def __init__(self, path: Path):
        self.path = path
        self._what = ""
        self.kind = self._find_kind()

    def _find_kind(self) -> str:
        if self.path.is_dir():
            return "lmdb" if (self.path / "data.mdb").is_file() else "folder"
        start = first_bytes(self.path, 512)
        if not start:
            return "empty"
        if start[16:20] == _LMDB_MAGIC:
            return "lmdb"
        for magic, kind, what in _STARTS:
            if start.startswith(magic):
                self._what = what
                if kind == "zip" and self.names and all(name.endswith(".npy") for name in self.names):
                    return "npz"
                return kind
        if start[257:262] == b"ustar":
            return "tar"
        return "text" if start.startswith(b"\x1f\x8b") or b"\0" not in start else "other"

    @cached_property
    def names(self) -> list[str]:
        """Some of the files of a folder or a ZIP, or of the names at the top of an HDF5 file."""
        if self.path.is_dir():
            return self._files()
        if self._what == "an HDF5 file":
            return self.hdf5.names[:_MOST_NAMES]
        return list(self.archive.members)[:_MOST_NAMES] if self._what == "a ZIP" else []

    @cached_property
    def archive(self) -> ZipArchive:
        """The open archive, of the kinds "zip" and "npz"."""
        return ZipArchive(self.path)

    @cached_property
    def hdf5(self) -> Hdf5FeatureFile:
        """The open file, of the kind "hdf5"."""
        return Hdf5FeatureFile(self.path)

    def _files(self) -> list[str]:
        names: list[str] = []
        for folder, folders, files in os.walk(self.path):
            folders.sort()
            names += [Path(folder, name).relative_to(self.path).as_posix() for name in sorted(files)]
            if len(names) >= _MOST_NAMES:
                break
        return names[:_MOST_NAMES]

    def holds(self, *suffixes: str) -> bool:
        """Whether some of the files have one of these suffixes."""
        return any(name.endswith(suffixes) for name in self.names)

    @cached_property
    def first_record(self) -> Record | None:
        """The first line of a text, or what a quoted cell makes one line of several; None for other files."""
        return RecordFile(self.path).first() if self.kind == "text" else None

    def describe(self) -> str:
        """What it is, in a few words, such as "a ZIP of text files"."""
        if self.kind == "lmdb":
            return "an LMDB folder" if self.path.is_dir() else "an LMDB file"
        if self.path.is_dir():
            return f"a folder of {self._contents()}" if self.names else "an empty folder"
        if self.kind in ("zip", "npz"):
            return f"a ZIP of {self._contents()}" if self.names else "an empty ZIP"
        if self.kind == "hdf5":
            return f"an HDF5 file that has {first_few(self.names) or 'nothing'} at its top"
        if self.kind == "text":
            return self._describe_text()
        return self._what or {"empty": "an empty file", "tar": "a tar archive"}.get(self.kind, "a file of binary data")

    def _describe_text(self) -> str:
        record = self.first_record
        cells = record.cells if record else []
        if len(cells) == 1 and cells[0].lstrip()[:1] in (b"{", b"["):
            return "a JSON file"
        columns = f"{len(cells)} columns, separated by tabs" if len(cells) > 1 else "1 column, as it has no tab"
        return f"a text file whose first line has {columns}"

    def _contents(self) -> str:
        """The kinds of files in it, the most frequent first."""
        kinds = {suffix: kind for kind, suffixes in _CONTENTS.items() for suffix in suffixes}
        suffixes = [Path(name).suffix.lower() for name in self.names]
        counted = Counter(kinds.get(suffix, f"{suffix} files" if suffix else "other files") for suffix in suffixes)
        return " and ".join(kind for kind, _ in counted.most_common(2))
