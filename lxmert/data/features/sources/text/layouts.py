"""The layouts of text: a line, or a JSON file, for every image."""

from __future__ import annotations

from collections.abc import Callable

from lxmert.data.features.sources.base import Source, SourceOptions
from lxmert.data.features.sources.found import Found
from lxmert.data.features.sources.layouts import Layout

from .json_files import JsonFiles, holds_features
from .tsv import JsonTsv, Tsv, is_json_tsv, is_tsv


def _has(*counts: int) -> Callable[[Found, SourceOptions], bool]:
    """What recognizes a TSV by the number of its columns, without a header line and without names from the user."""

    def recognize(found: Found, options: SourceOptions) -> bool:
        record = found.first_record
        return bool(record and options.columns is None and len(record.cells) in counts and is_tsv(found, options))

    return recognize


def _tsv(found: Found, options: SourceOptions) -> Source:
    return Tsv(found.path, options)


TEXT_LAYOUTS = (
    Layout(
        "TSV of LXMERT",
        "10 columns: img_id, img_h, img_w, objects_id, objects_conf, attrs_id, attrs_conf, num_boxes, boxes, features; "
        "arrays in base64, maybe as b'...', ids int64, others float32",
        "train2014_obj36.tsv regions",
        ("text",),
        _has(10),
        _tsv,
        options=("columns", "sizes", "boxes_from"),
    ),
    Layout(
        "TSV of bottom-up-attention",
        "6 columns: image_id, image_w, image_h, num_boxes, boxes, features; height may come before width, which "
        "--columns states where the boxes do not show it",
        "trainval_36.tsv regions --columns image_id,image_w,image_h,num_boxes,boxes,features",
        ("text",),
        _has(6),
        _tsv,
        options=("columns", "sizes", "boxes_from"),
    ),
    Layout(
        "TSV of VL-BERT",
        "these 6 columns and classes, attributes, or the four of labels behind them; or 10 columns as those of LXMERT "
        "behind the id, picture, label and text of hateful memes",
        "features.tsv regions",
        ("text",),
        _has(7, 8, 13, 14),
        _tsv,
        options=("columns", "sizes", "boxes_from"),
    ),
    Layout(
        "TSV of VinVL and Oscar",
        "a key and JSON: objects with rect and feature, image_h and image_w; or feature.tsv with num_boxes and "
        "features (as JSON or as columns), label.tsv with rect, and hw.tsv with height and width",
        "feature.tsv regions --boxes-from label.tsv",
        ("text",),
        lambda found, options: options.columns is None and (is_json_tsv(found) or _has(3)(found, options)),
        lambda found, options: (JsonTsv if is_json_tsv(found) else Tsv)(found.path, options),
        options=("columns", "sizes", "boxes_from"),
    ),
    Layout(
        "TSV of your own",
        "any columns of these names, with a header line or --columns; quotes as in CSV, a BOM, gzip, and line breaks "
        "in base64 are read in every TSV",
        "own.tsv.gz regions --columns image_id,image_h,image_w,boxes,features",
        ("text",),
        is_tsv,
        _tsv,
        options=("columns", "sizes", "boxes_from"),
    ),
    Layout(
        "JSON of VL-BERT",
        "a folder or a ZIP of ID.json with image_h, image_w, num_boxes, and boxes and features in base64",
        "trainval_resnet101_faster_rcnn_genome.zip regions",
        ("folder", "zip"),
        lambda found, options: holds_features(found),
        lambda found, options: JsonFiles(found.path, found.archive if found.kind == "zip" else None),
    ),
)
