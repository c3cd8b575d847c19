"""Rows of the table: TSV and JSON."""

import base64
import gzip
import json
import zipfile

from .. import region_files
from ..region_files import text
from . import IMAGES, Case

WIDTH_FIRST = {"columns": "image_id,image_w,image_h,num_boxes,boxes,features"}
HEIGHT_FIRST = {"columns": ["image_id", "image_h", "image_w", "num_boxes", "boxes", "features"]}
OBJECTS, SURE = [3, 1, 4, 1], [0.5, 0.25, 0.125, 1.0]
LABELS = {"object_ids": OBJECTS, "object_confidence": SURE, "attribute_ids": OBJECTS, "attribute_confidence": SURE}


def cells(one):
    """The cells of an image by the name of their column."""
    labels = {"objects_id": text(OBJECTS, "<i8"), "attrs_id": text(OBJECTS, "<i8")}
    labels |= {"objects_conf": text(SURE, "<f4"), "attrs_conf": text(SURE, "<f4"), "classes": text([0.5] * 40, "<f4")}
    numbers = {"image_id": one.name, "image_h": "300", "image_w": "320", "num_boxes": "4"}
    return {**numbers, **labels, "boxes": text(one.boxes, "<f4"), "features": text(one.features, "<f4")}


def tsv(columns, name="a.tsv", end="\n", header="", encode=str.encode):
    """A function that writes a TSV of these columns."""

    def write(folder):
        rows = ["\t".join(cells(one)[column] for column in columns.split(",")) for one in IMAGES]
        (folder / name).write_bytes(encode(header + "".join(row + end for row in rows)))
        return folder / name

    return write


def wrapped(quote, end):
    """As base64.encodestring breaks lines, with more features, so that there are several."""

    def write(folder):
        with (folder / "a.tsv").open("w", newline="") as file:
            for one in IMAGES:
                arrays = [base64.encodebytes(values.tobytes()).decode() for values in (one.boxes, one.features)]
                row = [one.name, "320", "300", "4", *(f"{quote}{array}{quote}" for array in arrays)]
                file.write("\t".join(row) + end)
        return folder / "a.tsv"

    return write


def bottom_up(folder):
    return region_files.write_tsv(folder / "a.tsv", IMAGES, region_files.bottom_up_line)


def escaped_breaks(folder):
    arrays = [[repr(base64.encodebytes(values.tobytes())) for values in (one.boxes, one.features)] for one in IMAGES]
    rows = ["\t".join([one.name, "320", "300", "4", *more]) for one, more in zip(IMAGES, arrays, strict=True)]
    (folder / "a.tsv").write_text("\n".join(rows))
    return folder / "a.tsv"


def oscar(features_as_json, sizes):
    """feature.tsv, label.tsv next to it, and where the sizes are."""

    def write(folder):
        lines = {"feature": [], "label": [], "hw": []}
        for one in IMAGES:
            encoded = text(one.features, "<f4")
            features = json.dumps({"num_boxes": 4, "features": encoded}) if features_as_json else f"4\t{encoded}"
            rects = [{"class": "dog", "conf": 0.9, "rect": box.tolist()} for box in one.boxes]
            label = rects if sizes != "label" else {"image_h": 300, "image_w": 320, "objects": rects}
            lines["feature"].append(f"{one.name}\t{features}\n")
            lines["label"].append(f"{one.name}\t{json.dumps(label)}\n")
            if sizes == "sizes.json":
                (folder / sizes).write_text(json.dumps({one.name: [300, 320] for one in IMAGES}))
            lines["hw"].append(f'{one.name}\t[{{"height": 300, "width": 320}}]\n')
        for name, rows in lines.items():
            if name != "hw" or sizes == "hw":
                (folder / f"train.{name}.tsv").write_text("".join(rows))
        return folder / "train.feature.tsv"

    return write


def vl_bert(pack):
    def write(folder):
        for one in IMAGES:
            known = cells(one)
            values = {"image_h": 300, "image_w": 320, "num_boxes": 4} | {k: known[k] for k in ("boxes", "features")}
            (folder / f"{one.name}.json").write_text(json.dumps({**values, "classes": known["classes"]}))
        if not pack:
            return folder
        with zipfile.ZipFile(folder / "a.zip", "w") as archive:
            for one in reversed(IMAGES):
                archive.write(folder / f"{one.name}.json", f"frcnn/{one.name}.json")
        return folder / "a.zip"

    return write


def packed(rows):
    return gzip.compress(rows.encode())


LXMERT = "image_id,image_h,image_w,objects_id,objects_conf,attrs_id,attrs_conf,num_boxes,boxes,features"
VL_BERT = "image_id,image_w,image_h,num_boxes,boxes,features"
VL_BERT_10 = f"{VL_BERT},objects_id,objects_conf,attrs_id,attrs_conf"
OWN = "features,image_w,boxes,classes,image_h,image_id"
HEADER = "img_id\twidth\timg_height\tnum_bbox\tbbox\tfeature\n"
TEXT_CASES = [
    Case("TSV of LXMERT", tsv(LXMERT), labels=LABELS),
    Case("TSV, width first", bottom_up, WIDTH_FIRST),
    Case("TSV, height first", "six_columns_height_first.tsv", HEIGHT_FIRST),
    Case("TSV, bytes as text", "six_columns_bytes_as_text.tsv", WIDTH_FIRST),
    Case("TSV, header and quotes", "six_columns_header_and_quotes.tsv"),
    Case("TSV, gzip", "six_columns.tsv.gz", WIDTH_FIRST),
    Case("TSV, gzip by content", tsv(LXMERT, encode=packed), labels=LABELS),
    Case("TSV, header, gzip", tsv(VL_BERT, header=VL_BERT.replace(",", "\t") + "\n", encode=packed)),
    Case("TSV, other spellings", tsv(VL_BERT, header=HEADER, end="\r\n")),
    Case("TSV, any order", tsv(OWN), {"columns": OWN}),
    Case("TSV, BOM", tsv(LXMERT, encode=lambda rows: rows.encode("utf-8-sig")), labels=LABELS),
    Case("TSV, broken lines in quotes", wrapped('"', "\n"), WIDTH_FIRST),
    Case("TSV, broken lines", wrapped("", "\n"), WIDTH_FIRST),
    Case("TSV, broken lines of Windows", wrapped('"', "\r\n"), WIDTH_FIRST),
    Case("TSV, escaped breaks", escaped_breaks, WIDTH_FIRST),
    Case("VL-BERT, 7 columns", tsv(f"{VL_BERT},classes"), {"columns": f"{VL_BERT},classes"}),
    Case("VL-BERT, 8 columns", tsv(f"{VL_BERT},classes,classes"), {"columns": f"{VL_BERT},classes,attrs"}),
    Case("VL-BERT, 10 columns", tsv(VL_BERT_10), {"columns": VL_BERT_10}, labels=LABELS),
    Case("VL-BERT, 14 columns", tsv(f"image_id,image_h,image_w,num_boxes,{LXMERT}"), labels=LABELS),
    Case("VL-BERT, folder", vl_bert(False)),
    Case("VL-BERT, ZIP", vl_bert(True)),
    Case("VinVL", "vinvl.tsv"),
    Case("VinVL, boxes elsewhere", "vinvl_features.tsv", {"boxes_from": "vinvl.tsv"}),
    Case("Oscar, sizes in label.tsv", oscar(True, "label")),
    Case("Oscar, sizes in hw.tsv", oscar(False, "hw")),
    Case("Oscar, sizes of --sizes", oscar(True, "sizes.json"), {"sizes": lambda folder: folder / "sizes.json"}),
]
