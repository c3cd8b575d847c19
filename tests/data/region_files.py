"""Images with made-up regions, and the published kinds of files written of them."""

import base64
import json

import numpy as np

from lxmert.data.features.image_regions import ImageRegions

F = 10  # size of a feature


def image(number, regions=None, size=(48, 64), labels=True, features=F):
    """One image; the same for the same number."""
    draw = np.random.default_rng(number)
    count = 1 + number % 4 if regions is None else regions
    height, width = size
    corners = np.sort(draw.random((count, 2, 2)), axis=1).reshape(count, 4) * [width, height, width, height]
    described = {}
    if labels:
        described = {
            "object_ids": draw.integers(0, 1600, count),
            "object_confidence": draw.random(count, np.float32),
            "attribute_ids": draw.integers(0, 400, count),
            "attribute_confidence": draw.random(count, np.float32),
        }
    values = draw.standard_normal((count, features)).astype(np.float16).astype(np.float32)
    return ImageRegions(f"image_{number:03d}", values, corners.astype(np.float32), size, **described)


def add(writer, one):
    """Give an image to a writer as its users do."""
    writer.add(**vars(one))


def text(values, dtype):
    return base64.b64encode(np.ascontiguousarray(values, dtype)).decode()


def lxmert_line(one, **other):
    """A line of LXMERT's TSV; `other` replaces columns by their names."""
    columns = {
        "img_id": one.name,
        "img_h": str(one.size[0]),
        "img_w": str(one.size[1]),
        "objects_id": text(one.object_ids, "<i8"),
        "objects_conf": text(one.object_confidence, "<f4"),
        "attrs_id": text(one.attribute_ids, "<i8"),
        "attrs_conf": text(one.attribute_confidence, "<f4"),
        "num_boxes": str(len(one.features)),
        "boxes": text(one.boxes, "<f4"),
        "features": text(one.features, "<f4"),
    }
    return "\t".join({**columns, **other}.values()) + "\n"


def bottom_up_line(one, **other):
    """A line of the TSV of bottom-up-attention, with width before height."""
    columns = {
        "image_id": one.name,
        "image_w": str(one.size[1]),
        "image_h": str(one.size[0]),
        "num_boxes": str(len(one.features)),
        "boxes": text(one.boxes, "<f4"),
        "features": text(one.features, "<f4"),
    }
    return "\t".join({**columns, **other}.values()) + "\n"


def write_tsv(path, images, line=lxmert_line):
    path.write_text("".join(map(line, images)))
    return path


def write_rows(path, images, spans=False):
    """HDF5 with a row per image, or with all regions in one row."""
    import h5py

    boxes, features = [one.boxes for one in images], [one.features for one in images]
    spatial = []
    for one in images:
        height, width = one.size
        parts = one.boxes / np.array([width, height, width, height], np.float32)
        spatial.append(np.concatenate([parts, parts[:, 2:] - parts[:, :2]], axis=1))
    join = np.concatenate if spans else np.stack
    with h5py.File(path, "w") as file:
        file["image_features"], file["image_bb"], file["spatial_features"] = map(join, (features, boxes, spatial))
        if spans:
            ends = np.cumsum([len(one.boxes) for one in images])
            file["pos_boxes"] = np.stack([np.concatenate([[0], ends[:-1]]), ends], axis=1)
    return path


def write_groups(path, images, **options):
    """HDF5 with a group per image."""
    import h5py

    with h5py.File(path, "w") as file:
        for one in images:
            group = file.create_group(one.name)
            group.create_dataset("features", data=one.features, **options)
            group["boxes"], group["img_h"], group["img_w"] = one.boxes, one.size[0], one.size[1]
            if one.object_ids is not None:
                group["obj_id"], group["obj_conf"] = one.object_ids, one.object_confidence
                group["attr_id"], group["attr_conf"] = one.attribute_ids, one.attribute_confidence
    return path


def write_gqa(folder, images, boxes="xyxy", most=5):
    """GQA's files: two of them, padded, with the table beside them."""
    import h5py

    folder.mkdir(exist_ok=True)
    info = {}
    for number in (0, 1):
        own = images[number::2]
        features, corners = np.zeros((len(own), most, F), np.float32), np.zeros((len(own), most, 4), np.float32)
        for row, one in enumerate(own):
            count = len(one.boxes)
            features[row, :count], corners[row, :count] = one.features, one.boxes
            if boxes == "xywh":
                corners[row, :count, 2:] -= one.boxes[:, :2]
            height, width = one.size
            info[one.name] = {"file": number, "idx": row, "objectsNum": count, "height": height, "width": width}
        with h5py.File(folder / f"gqa_objects_{number}.h5", "w") as file:
            file["features"], file["bboxes"] = features, corners
    (folder / "gqa_objects_info.json").write_text(json.dumps(info))
    return [folder / "gqa_objects_0.h5", folder / "gqa_objects_1.h5"]
