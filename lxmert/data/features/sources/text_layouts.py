"""The layouts of text: a line, or a JSON file, for every image."""

from __future__ import annotations

from .layouts import Layout
from .tsv import Tsv, has_columns

TEXT_LAYOUTS = (
    Layout(
        "TSV of LXMERT",
        "10 columns: img_id, img_h, img_w, objects_id, objects_conf, attrs_id, attrs_conf, num_boxes, boxes, features "
        "in base64",
        "train2014_obj36.tsv regions",
        ("text",),
        lambda found, options: has_columns(found, 10),
        lambda found, options: Tsv(found.path),
    ),
    Layout(
        "TSV of bottom-up-attention",
        "6 columns: image_id, image_w, image_h, num_boxes, boxes, features in base64",
        "trainval_resnet101_faster_rcnn_genome_36.tsv regions",
        ("text",),
        lambda found, options: has_columns(found, 6),
        lambda found, options: Tsv(found.path),
    ),
)
