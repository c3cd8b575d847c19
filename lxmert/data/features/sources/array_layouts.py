"""The layouts of arrays: NumPy and HDF5 files."""

from __future__ import annotations

from .found import Found
from .hdf5_file import Hdf5FeatureFile
from .hdf5_gqa import GqaObjects
from .hdf5_groups import Hdf5Groups
from .hdf5_rows import Hdf5Rows
from .layouts import Layout
from .numpy import NumpyFiles


def _is_groups(found: Found) -> bool:
    file = Hdf5FeatureFile(found.path)
    try:
        return bool(found.names) and file.is_group(found.names[0])
    finally:
        file.close()


ARRAY_LAYOUTS = (
    Layout(
        "NumPy files",
        "a folder of ID.npz with features, boxes, height and width, or of ID.npy with ID_boxes.npy and ID_size.npy "
        "(height, width); or one ID.npz",
        "features/ regions",
        ("folder", "npz"),
        lambda found, options: found.kind == "npz" or found.holds(".npz", ".npy"),
        lambda found, options: NumpyFiles(found.path),
    ),
    Layout(
        "HDF5 of bottom-up-attention",
        "image_features, image_bb and spatial_features with a row per image, and maybe pos_boxes "
        "(hengyuan-hu's train36.hdf5)",
        "train36.hdf5 regions --ids train36_imgid2idx.json",
        ("hdf5",),
        lambda found, options: {"image_features", "image_bb"} <= set(found.names),
        lambda found, options: Hdf5Rows(Hdf5FeatureFile(found.path), options),
    ),
    Layout(
        "HDF5 of GQA",
        "gqa_objects_*.h5 with features and bboxes, next to gqa_objects_info.json",
        "gqa_objects_0.h5 gqa_objects_1.h5 regions",
        ("hdf5",),
        lambda found, options: {"features", "bboxes"} <= set(found.names),
        lambda found, options: GqaObjects(Hdf5FeatureFile(found.path), options),
    ),
    Layout(
        "HDF5 with a group per image",
        "features, boxes, img_w and img_h in a group for each image (volta, X-LXMERT)",
        "coco_boxes36.h5 regions",
        ("hdf5",),
        lambda found, options: _is_groups(found),
        lambda found, options: Hdf5Groups(Hdf5FeatureFile(found.path)),
    ),
)
