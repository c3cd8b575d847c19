"""The layouts of arrays: NumPy, HDF5, LMDB, Arrow and Parquet files."""

from __future__ import annotations

from lxmert.data.features.sources.hdf5.gqa import GqaObjects
from lxmert.data.features.sources.hdf5.groups import Hdf5Groups
from lxmert.data.features.sources.hdf5.rows import Hdf5Rows
from lxmert.data.features.sources.hdf5.stack import open_hdf5_stack
from lxmert.data.features.sources.layouts import Layout
from lxmert.data.features.sources.pictures import spelled

from .arrow import ArrowFiles
from .lmdb_store import LmdbStore
from .numpy import NumpyFiles, holds_info, holds_many
from .stack import open_npy_stack, open_npz_stack

ARRAY_LAYOUTS = (
    Layout(
        "NumPy arrays in one .npz",
        "features [N, R, F], boxes [N, R, 4] and ids [N], with sizes [N, 2] (height, width) or heights and widths, or "
        "with normalized_boxes; and maybe num_boxes [N], object_ids [N, R], …",
        "train.npz regions",
        ("npz",),
        lambda found, options: holds_many(found.path),
        lambda found, options: open_npz_stack(found.path, options),
        options=("ids", "boxes", "sizes"),
    ),
    Layout(
        "NumPy arrays in a folder",
        "the same arrays in features.npy, boxes.npy, ids.npy (or ids.json, ids.txt), …",
        "train/ regions",
        ("folder",),
        lambda found, options: holds_many(found.path),
        lambda found, options: open_npy_stack(found.path, options),
        options=("ids", "boxes", "sizes"),
    ),
    Layout(
        "mmf",
        "ID.npy with ID_info.npy, a pickled dict of bbox, image_height, image_width, …",
        "features/ regions",
        ("folder",),
        lambda found, options: holds_info(found.names),
        lambda found, options: NumpyFiles(found.path, options),
        options=("boxes", "sizes"),
    ),
    Layout(
        "NumPy files, one an image",
        "ID.npz with features, boxes, height and width, or with norm_bb (UNITER); ID.npy with ID_boxes.npy and "
        "ID_size.npy (height, width); or ID.npy that holds a pickled dict of all of it (ViLBERT)",
        "features/ regions",
        ("folder", "npz", "npy"),
        lambda found, options: found.kind != "folder" or found.holds(".npz", ".npy"),
        lambda found, options: NumpyFiles(found.path, options),
        options=("boxes", "sizes"),
    ),
    Layout(
        "HDF5 of bottom-up-attention",
        "image_features, image_bb and spatial_features with a row per image, and maybe pos_boxes "
        "(hengyuan-hu's train36.hdf5)",
        "train36.hdf5 regions --ids train36_imgid2idx.pkl",
        ("hdf5",),
        lambda found, options: {"image_features", "image_bb", "spatial_features"} <= set(found.names),
        lambda found, options: Hdf5Rows(found.hdf5, options),
        options=("ids",),
    ),
    Layout(
        "HDF5 of GQA",
        "gqa_objects_*.h5 with features and bboxes, next to gqa_objects_info.json",
        "gqa_objects_0.h5 gqa_objects_1.h5 regions",
        ("hdf5",),
        lambda found, options: {"features", "bboxes"} <= set(found.names) and "ids" not in spelled(found.names),
        lambda found, options: GqaObjects(found.hdf5, options),
        options=("boxes",),
    ),
    Layout(
        "HDF5 with a row per image",
        "features, boxes and ids as above: of VisDial (image_id), of XNM (ids, widths, heights; regions last) and of "
        "your own",
        "features_faster_rcnn_x101_val.h5 regions --sizes sizes.json",
        ("hdf5",),
        lambda found, options: "features" in spelled(found.names),
        lambda found, options: open_hdf5_stack(found.hdf5, options),
        options=("ids", "boxes", "sizes"),
    ),
    Layout(
        "HDF5 with a group per image",
        "features, boxes, img_w and img_h in a group for each image (volta, X-LXMERT)",
        "coco_boxes36.h5 regions",
        ("hdf5",),
        lambda found, options: found.hdf5.begins_with_group,
        lambda found, options: Hdf5Groups(found.hdf5, options),
        options=("boxes", "sizes"),
    ),
    Layout(
        "LMDB",
        "a folder with data.mdb, or one file: a pickled dict of features, boxes, image_h, image_w, num_boxes, … for "
        "each image (ViLBERT, volta, mmf)",
        "coco_trainval.lmdb regions",
        ("lmdb",),
        lambda found, options: True,
        lambda found, options: LmdbStore(found.path, options),
        options=("boxes", "sizes"),
    ),
    Layout(
        "Arrow, Parquet and Hugging Face data sets",
        "files, a folder of them, or a folder of save_to_disk, with the columns img_id, roi_features, boxes or "
        "normalized_boxes, sizes, obj_ids, …",
        "train.arrow regions",
        ("arrow", "parquet", "folder"),
        lambda found, options: found.kind != "folder" or found.holds(".arrow", ".parquet"),
        lambda found, options: ArrowFiles(found.path, options),
        "datasets",
        options=("boxes", "sizes"),
    ),
)
