"""`lxmert features`: region features made into a store on disk, looked through for damage, and told about."""

from __future__ import annotations

import argparse
from typing import Any

from .options import json_text, progress_bar, table

SUMMARY = "make a store of region features that training reads from disk; check one; tell what is in one"

_SHOWN = 20  # images that a list shows without --all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    one = actions.add_parser(
        "import",
        help="make a store of published features; the same command goes on where it was stopped",
        description="Make a store of published features. When it is stopped, the same command goes on from there.",
        epilog="Columns of a TSV, without a header: img_id, img_h, img_w, objects_id, objects_conf, attrs_id, "
        "attrs_conf, num_boxes, boxes, features (LXMERT), or image_id, image_w, image_h, num_boxes, boxes, features "
        "(bottom-up-attention); the arrays in base64, ids as int64, everything else as float32.",
    )
    one.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="files and folders, told by content: TSV of LXMERT or of bottom-up-attention, HDF5, .npz and .npy",
    )
    one.add_argument("out", metavar="OUT", help="the folder of the store, made by this command")
    one.add_argument(
        "--dtype",
        choices=("float32", "float16"),
        default="float32",
        help="of the features: float32 keeps every number as it is; float16 takes half the disk and rounds each "
        "number, by up to 2^-11 (0.05%%) of it (default: %(default)s)",
    )
    one.add_argument(
        "--ids",
        metavar="FILE",
        help="ids of an HDF5 file that has none: a JSON object of ids and rows, which may leave rows out; or an id for "
        "every row, as a JSON list or as text with an id a line",
    )
    one.add_argument("--boxes", choices=("xyxy", "xywh"), help="how GQA's boxes are written (default: found out)")
    one.add_argument(
        "--names",
        metavar="PATTERN",
        help="what images are called, such as COCO_val2014_{id:012} (default: their ids)",
    )
    one.add_argument("--rename", metavar="FILE", help="a JSON object of ids and what their images are called")
    one.add_argument("--skip-damaged", action="store_true", help="leave damaged images out, and list them")
    one.add_argument("--clip-boxes", action="store_true", help="cut boxes that reach out of their images")
    one.add_argument("--restart", action="store_true", help="begin anew, without what a stopped import has read")
    one.add_argument("--json", action="store_true", help="print JSON")

    two = actions.add_parser(
        "check",
        help="read stores from end to end, and name every damaged image",
        description="Read stores from end to end. The exit status is 1 if anything is damaged.",
    )
    two.add_argument("folders", nargs="+", metavar="FOLDER", help="stores")
    two.add_argument("--all", action="store_true", help="list every damaged image")
    two.add_argument("--json", action="store_true", help="print JSON, with every damaged image")

    three = actions.add_parser("info", help="tell what is in a store", description="Tell what is in a store.")
    three.add_argument("folder", metavar="FOLDER", help="a store")
    three.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Do it; the exit status is 1 if a check finds damage."""
    return {"import": _import, "check": _check, "info": _info}[arguments.action](arguments)


def _import(arguments: argparse.Namespace) -> int:
    from lxmert.data.features import import_regions
    from lxmert.utils.json_files import parse_json
    from lxmert.utils.messages import escaped

    rename = None
    if arguments.rename:
        with open(arguments.rename, "rb") as file:
            rename = parse_json(file.read(), arguments.rename)
        for name, value in rename.items():
            if not isinstance(value, str):
                raise ValueError(f"{arguments.rename} must hold names as texts; that of {name!r} is {value!r}.")
    with progress_bar("importing", arguments.json) as progress:
        report = import_regions(
            arguments.sources,
            arguments.out,
            arguments.dtype,
            ids=arguments.ids,
            boxes=arguments.boxes,
            names=arguments.names,
            rename=rename,
            skip_damaged=arguments.skip_damaged,
            clip_boxes=arguments.clip_boxes,
            restart=arguments.restart,
            progress=progress,
        )
    if arguments.json:
        print(json_text(report))
        return 0
    for skipped in report.skipped:
        print(escaped(f"left out: {skipped}"))
    before = f", {report.resumed:,} of them by an earlier run" if report.resumed else ""
    left_out = f"; {len(report.skipped):,} damaged ones were left out" if report.skipped else ""
    if report.rows_without_id:
        left_out += f"; {report.rows_without_id:,} rows had no id and were left out"
    print(escaped(f"{report.folder}: {report.images:,} images, {report.regions:,} regions{before}{left_out}"))
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from lxmert.data.features import check_regions
    from lxmert.utils.messages import escaped, first_few

    with progress_bar("checking", arguments.json) as progress:
        report = check_regions(arguments.folders, progress)
    status = 0 if report.good else 1
    if arguments.json:
        from .options import plain_json

        print(json_text({"good": report.good, **plain_json(report)}))
        return status
    most = None if arguments.all else _SHOWN
    for finding in report.damage[:most]:
        place = finding.folder if finding.image is None else f"{finding.folder}, image {finding.image!r}"
        print(escaped(finding.what if finding.image is None else f"{place}: {finding.what}"))
    if most is not None and len(report.damage) > most:
        print(f"and {len(report.damage) - most:,} more (--all)")
    if report.repeated:
        print(
            f"in several of the folders, {len(report.repeated):,} images, of which the first folder's are taken: "
            f"{first_few(report.repeated)}"
        )
    damaged = len({(finding.folder, finding.image) for finding in report.damage if finding.image is not None})
    unread = len({finding.folder for finding in report.damage if finding.image is None})
    found = [f"{damaged:,} damaged"] if damaged else []
    found += [f"{unread:,} of {len(arguments.folders):,} folders not usable"] if unread else []
    print(f"{report.images:,} images, {report.regions:,} regions: {', '.join(found) or 'no damage'}")
    return status


def _info(arguments: argparse.Namespace) -> int:
    from pathlib import Path

    from lxmert.data.features import open_regions
    from lxmert.utils.messages import escaped

    store = open_regions(arguments.folder)
    facts: dict[str, Any] = store.facts(0)
    facts["bytes"] = sum(file.stat().st_size for file in Path(arguments.folder).iterdir() if file.is_file())
    if arguments.json:
        print(json_text(facts))
        return 0
    rows = [(name.replace("_", " "), _told(value)) for name, value in facts.items()]
    print(escaped(table(("store", escaped(str(arguments.folder))), rows, left=2), lines=True))
    return 0


def _told(value: Any) -> str:
    from lxmert.utils.messages import first_few

    if isinstance(value, list):
        return first_few(map(str, value)) or "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
