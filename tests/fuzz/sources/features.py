"""Region features in every layout that is imported, and stores of regions."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from lxmert.data.features import RegionWriter
from tests.data.layouts import DATA, IMAGES, Case
from tests.data.layouts.array_cases import ARRAY_CASES
from tests.data.layouts.test_layouts import write
from tests.data.layouts.text_cases import TEXT_CASES
from tests.data.region_files import add as add_image
from tests.data.region_files import image

from . import Source, read_files
from .weights import add_attributes


def sources(folder: Path) -> dict[str, Source]:
    """By the layout."""
    found = {f"features/{case.name}": _source(folder, case) for case in (*TEXT_CASES, *ARRAY_CASES)}
    for name, libver in (("HDF5 of GQA", None), ("HDF5 of GQA, newer", "latest")):
        found[f"features/{name}"] = _gqa(libver)
    found["features/HDF5 rows, chunks"] = _chunked()
    for dtype in ("float32", "float16"):
        place = folder / f"store {dtype}"
        with RegionWriter(place, dtype) as writer:
            for number in range(5):
                add_image(writer, image(number))
        files = {f"store/{name}": content for name, content in read_files(place).items()}
        found[f"store/{dtype}"] = Source(files, ("check", "store"), ("store",))
    return found


def _source(folder: Path, case: Case) -> Source:
    place = folder / case.name.replace("/", "_")
    place.mkdir()
    if isinstance(case.source, str):
        golden = DATA / case.source
        given: Any = place / golden.name
        if golden.is_dir():
            shutil.copytree(golden, given)
        else:
            shutil.copy(golden, given)
        case = Case(case.name, lambda _: given, case.options)
    paths, options = write(case, place)
    arguments: list[str] = []
    for key, value in options.items():
        value = Path(value) if isinstance(value, (str, Path)) and Path(value).is_absolute() else value
        if isinstance(value, Path) and not value.is_relative_to(place):
            shutil.copy(value, place / value.name)
            value = place / value.name
        text = f"@{value.relative_to(place)}" if isinstance(value, Path) else value
        arguments += [f"--{key.replace('_', '-')}", text if isinstance(text, str) else ",".join(text)]
    files = read_files(place)
    files.pop("lock.mdb", None)
    opened = tuple(str(path.relative_to(place)) for path in paths)
    first = next((name for name in files if name in opened or name.startswith(f"{opened[0]}/")), next(iter(files)))
    return Source({first: files[first], **files}, ("import",), opened, tuple(arguments))


def _gqa(libver: str | None) -> Source:
    """Two files with the rows of all images, and the file that says whose they are."""
    info = {
        one.name: {"file": 0, "idx": i, "width": 320, "height": 300, "objectsNum": 4} for i, one in enumerate(IMAGES)
    }
    content = io.BytesIO()
    with h5py.File(content, "w", libver=libver) as file:
        for name, values in (("features", [one.features for one in IMAGES]), ("bboxes", [one.boxes for one in IMAGES])):
            padded = np.zeros((3, 6, np.shape(values)[-1]), np.float32)
            padded[:, :4] = values
            file[name] = padded
    files = {"gqa_objects_0.h5": content.getvalue(), "gqa_objects_info.json": json.dumps(info).encode()}
    return Source(files, ("import",), ("gqa_objects_0.h5",))


def _chunked() -> Source:
    """Arrays with a row for each image, compressed in several chunks."""
    content = io.BytesIO()
    with h5py.File(content, "w", libver="latest") as file:
        for name, values in (
            ("features", np.array([one.features for one in IMAGES])),
            ("boxes", np.array([one.boxes for one in IMAGES])),
            ("heights", np.full(3, 300)),
            ("widths", np.full(3, 320)),
        ):
            file.create_dataset(name, data=values, chunks=(1, *values.shape[1:]), compression="gzip")
        file["ids"] = np.array(["0", "1", "2"], h5py.string_dtype())
        add_attributes(file)
    return Source({"a.h5": content.getvalue()}, ("import",), ("a.h5",))
