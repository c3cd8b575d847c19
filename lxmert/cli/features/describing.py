"""`lxmert features info`: what a store holds, and a drawing of an image's boxes."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from lxmert.cli.options import json_text, table

from .reporting import print_skipped


def add_parser(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the arguments."""
    info = actions.add_parser(
        "info",
        help="describe a store, or draw the boxes of an image",
        description="Describe a store, or draw the boxes of an image.",
    )
    info.add_argument("folder", metavar="FOLDER", help="a store")
    info.add_argument(
        "--draw",
        nargs=2,
        metavar=("ID", "OUT"),
        help="draw the boxes of this image into a .png or .jpg file, with their numbers and labels",
    )
    info.add_argument("--image", metavar="FILE", help="the photograph to draw the boxes on (default: white)")
    info.add_argument("--objects", metavar="FILE", help="the names of objects to draw, in the order of their ids")
    info.add_argument("--attributes", metavar="FILE", help="the same of attributes")
    info.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Describe or draw."""
    from pathlib import Path

    from lxmert.data.features import open_regions
    from lxmert.utils.messages import escaped

    for option in ("image", "objects", "attributes"):
        if getattr(arguments, option) and not arguments.draw:
            raise ValueError(f"--{option} is for the drawing of --draw ID OUT; pass --draw too.")
    if arguments.draw:
        return _draw(arguments)
    facts = open_regions(arguments.folder).facts(0)
    facts["bytes"] = sum(file.stat().st_size for file in Path(arguments.folder).iterdir() if file.is_file())
    if arguments.json:
        print(json_text(facts))
        return 0
    skipped = facts.get("skipped", ())
    if skipped:
        facts["skipped"] = len(skipped)
    rows = [(name.replace("_", " "), _shown(value)) for name, value in _flat(facts)]
    print(escaped(table(("store", escaped(str(arguments.folder))), rows, left=2), lines=True))
    print_skipped(skipped, "--json")
    return 0


def _draw(arguments: argparse.Namespace) -> int:
    from lxmert.data.features import open_regions
    from lxmert.data.features.drawing import draw_regions
    from lxmert.data.features.label_names import label_names
    from lxmert.utils.messages import escaped

    name, out = arguments.draw
    store = open_regions(arguments.folder)
    objects = label_names(arguments.objects, "objects", store.largest_object_id + 1)
    attributes = label_names(arguments.attributes, "attributes", store.largest_attribute_id + 1)
    count = draw_regions(store, name, out, arguments.image, objects, attributes)
    if arguments.json:
        print(json_text({"image": name, "boxes": count, "drawing": out}))
    else:
        print(escaped(f"{out}: {count} boxes of {name}"))
    return 0


def _flat(facts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The facts one by one: those of the detector as "detector profile", say."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            yield from _flat({f"{name} {inner}": part for inner, part in value.items()})
        else:
            yield name, value


def _shown(value: object) -> str:
    from lxmert.utils.messages import first_few

    if isinstance(value, list):
        return first_few(map(str, value)) or "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
