"""`lxmert features import`: published features into a store."""

from __future__ import annotations

import argparse

from lxmert.cli.options import json_text, progress_bar

from .reporting import print_skipped, summary


def add_parser(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the arguments."""
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
    """Import."""
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
        rename=read_names(arguments.rename) if arguments.rename else {},
        skip_damaged=arguments.skip_damaged,
        clip_boxes=arguments.clip_boxes,
    )
    with progress_bar("importing", arguments.json) as progress:
        report = import_regions(arguments.sources, arguments.out, options, restart=arguments.restart, progress=progress)
    if arguments.json:
        print(json_text(report))
        return 0
    print_skipped(report.skipped)
    without_id = f"; {report.rows_without_id:,} rows without an id were skipped" if report.rows_without_id else ""
    print(escaped(summary(report) + without_id))
    return 0


def read_names(path: str) -> dict[str, str]:
    """The names of images by their ids, a JSON object."""
    from lxmert.utils.json_files import parse_json
    from lxmert.utils.messages import shown

    with open(path, "rb") as file:
        names = parse_json(file.read(), path)
    for name, value in names.items():
        if not isinstance(value, str):
            raise ValueError(f"{path} must hold names as strings; that of {shown(name)} is {shown(value)}.")
    return names
