"""`lxmert features`: import region features into a store, check a store for damage, and describe one."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from .options import json_text, plain_json, progress_bar, table

if TYPE_CHECKING:
    from lxmert.data.features.check import CheckReport

SUMMARY = "import region features into a store for training; check a store; describe a store"

_LISTED = 20  # damaged images listed without --all


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_import(actions)

    check = actions.add_parser(
        "check",
        help="read stores from end to end, and name every damaged image",
        description="Read stores from end to end. The exit status is 1 if anything is damaged.",
    )
    check.add_argument("folders", nargs="+", metavar="FOLDER", help="stores")
    check.add_argument("--all", action="store_true", help="list every damaged image")
    check.add_argument("--json", action="store_true", help="print JSON, with every damaged image")

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


def _add_import(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = actions.add_parser(
        "import",
        help="make a store from published features; if interrupted, the same command continues",
        description="Make a store from published features. If it is interrupted, the same command continues.",
        formatter_class=_LayoutsAtTheEnd,
    )
    parser.add_argument(
        "sources",
        nargs="+",
        metavar="SOURCE",
        help="files and folders; the content shows the layout, one of those below",
    )
    parser.add_argument("out", metavar="OUT", help="the folder of the store, made by this command")
    parser.add_argument(
        "--dtype",
        choices=("float32", "float16"),
        default="float32",
        help="dtype of the features: float32 keeps every number exactly; float16 takes half the disk and rounds each "
        "number, by up to 2^-11 (0.05%%) of it (default: %(default)s)",
    )
    parser.add_argument(
        "--ids",
        metavar="FILE",
        help="ids of an HDF5 file or of arrays that have none: a JSON object of ids and rows, or a pickle of the same, "
        "which may leave out rows; or an id for every row, as a JSON list, a .npy file, or text with one id per line",
    )
    parser.add_argument(
        "--sizes",
        metavar="FILE",
        help="sizes of the images, for arrays that have boxes in pixels and no sizes: a JSON object of ids and "
        "[height, width], or annotations of COCO",
    )
    parser.add_argument(
        "--boxes",
        choices=("xyxy", "xywh"),
        help="the layout of boxes in arrays: two corners, or a corner, width and height (default: corners; of GQA's "
        "files inferred)",
    )
    parser.add_argument(
        "--columns",
        metavar="NAMES",
        help="the columns of a TSV, such as image_id,image_h,image_w,num_boxes,boxes,features; objects_id, "
        "objects_conf, attrs_id and attrs_conf are read too, and _ is a column that is not (default: inferred)",
    )
    parser.add_argument(
        "--boxes-from",
        metavar="FILE",
        help="a TSV with the boxes of features that have none: the key of an image, and JSON with rect, in the same "
        "order (default: label.tsv and hw.tsv next to feature.tsv)",
    )
    parser.add_argument(
        "--names",
        metavar="PATTERN",
        help="the images' names in the store, such as COCO_val2014_{id:012} (default: their ids)",
    )
    parser.add_argument("--rename", metavar="FILE", help="a JSON object of ids and the images' names in the store")
    parser.add_argument("--skip-damaged", action="store_true", help="skip damaged images, and list them")
    parser.add_argument("--clip-boxes", action="store_true", help="clip boxes at the border of their image")
    parser.add_argument("--restart", action="store_true", help="start over, without what an interrupted import read")
    parser.add_argument("--json", action="store_true", help="print JSON")


class _LayoutsAtTheEnd(argparse.HelpFormatter):
    """Adds the table of layouts, which is read only when the help is printed."""

    def format_help(self) -> str:
        from lxmert.data.features.sources.layouts import describe_layouts
        from lxmert.data.features.sources.open import LAYOUTS

        text = super().format_help()
        # argparse also formats the line of usage alone, for errors.
        return f"{text}\nlayouts that are read:\n{describe_layouts(LAYOUTS)}\n" if "options:" in text else text


def run(arguments: argparse.Namespace) -> int:
    """Run the action; the exit status is 1 if a check finds damage."""
    return {"import": _import, "check": _check, "info": _info}[arguments.action](arguments)


def _import(arguments: argparse.Namespace) -> int:
    from lxmert.data.features import ImportOptions, import_regions
    from lxmert.utils.messages import escaped

    options = ImportOptions(
        dtype=arguments.dtype,
        ids=arguments.ids,
        boxes=arguments.boxes,
        sizes=arguments.sizes,
        columns=arguments.columns,
        boxes_from=arguments.boxes_from,
        names=arguments.names,
        rename=_read_names(arguments.rename) if arguments.rename else {},
        skip_damaged=arguments.skip_damaged,
        clip_boxes=arguments.clip_boxes,
    )
    with progress_bar("importing", arguments.json) as progress:
        report = import_regions(arguments.sources, arguments.out, options, restart=arguments.restart, progress=progress)
    if arguments.json:
        print(json_text(report))
        return 0
    for skipped in report.skipped:
        print(escaped(f"skipped: {skipped}"))
    resumed = f", {report.resumed:,} of them by an earlier run" if report.resumed else ""
    excluded = f"; {len(report.skipped):,} damaged images were skipped" if report.skipped else ""
    if report.rows_without_id:
        excluded += f"; {report.rows_without_id:,} rows without an id were skipped"
    print(escaped(f"{report.folder}: {report.images:,} images, {report.regions:,} regions{resumed}{excluded}"))
    return 0


def _read_names(path: str) -> dict[str, str]:
    from lxmert.utils.json_files import parse_json

    with open(path, "rb") as file:
        names = parse_json(file.read(), path)
    for name, value in names.items():
        if not isinstance(value, str):
            raise ValueError(f"{path} must hold names as strings; that of {name!r} is {value!r}.")
    return names


def _check(arguments: argparse.Namespace) -> int:
    from lxmert.data.features import check_regions

    with progress_bar("checking", arguments.json) as progress:
        report = check_regions(arguments.folders, progress)
    if arguments.json:
        print(json_text({"good": report.good, **plain_json(report)}))
    else:
        _print_check(report, len(arguments.folders), None if arguments.all else _LISTED)
    return 0 if report.good else 1


def _print_check(report: CheckReport, folders: int, most: int | None) -> None:
    from lxmert.utils.messages import escaped, first_few

    for finding in report.damage[:most]:
        where = "" if finding.image is None else f"{finding.folder}, image {finding.image!r}: "
        print(escaped(where + finding.what))
    if most is not None and len(report.damage) > most:
        print(f"and {len(report.damage) - most:,} more (--all)")
    if report.repeated:
        print(
            f"{len(report.repeated):,} images are in several of the folders; the first folder's are used: "
            f"{first_few(report.repeated)}"
        )
    images = len({(finding.folder, finding.image) for finding in report.damage if finding.image is not None})
    unusable = len({finding.folder for finding in report.damage if finding.image is None})
    found = [f"{images:,} damaged"] if images else []
    found += [f"{unusable:,} of {folders:,} folders not usable"] if unusable else []
    print(f"{report.images:,} images, {report.regions:,} regions: {', '.join(found) or 'no damage'}")


def _info(arguments: argparse.Namespace) -> int:
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
    rows = [(name.replace("_", " "), _shown(value)) for name, value in facts.items()]
    print(escaped(table(("store", escaped(str(arguments.folder))), rows, left=2), lines=True))
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


def _shown(value: object) -> str:
    from lxmert.utils.messages import first_few

    if isinstance(value, list):
        return first_few(map(str, value)) or "none"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)
