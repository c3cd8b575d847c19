"""Rows of the table: NumPy, HDF5, LMDB, Arrow."""

import base64
import json
import pickle

import h5py
import lmdb
import numpy as np
import pyarrow
import pyarrow.parquet

from .. import region_files
from . import EXPECTED, IMAGES, Case

FEATURES, BOXES, NORMALIZED = (EXPECTED[name] for name in ("features", "boxes", "normalized"))
IDS = np.arange(3)
SIZES = np.array([[300, 320]] * 3)
OBJECTS = np.array([3, 1, 2, 0])
CONFIDENCE = np.array([0.5, 0.25, 1, 0], np.float32)
FRACTIONS = {"size": (1, 1), "tolerance": (0.0, 0.0)}  # no sizes: the boxes come out exactly
LABELS = {"object_ids": OBJECTS, "object_confidence": CONFIDENCE}


def npz_folder(folder):
    for one in IMAGES:
        np.savez(folder / f"{one.name}.npz", features=one.features, boxes=one.boxes, height=300, width=320)
    return folder


def npz_fractions(folder):
    for one, boxes in zip(IMAGES, NORMALIZED, strict=True):
        np.savez(folder / f"{one.name}.npz", x=one.features, normalized_boxes=boxes, image_h=300, image_w=320)
    return folder


def packed_npz(folder):
    arrays = {"roi_features": FEATURES, "bbox": BOXES, "heights": [300] * 3, "widths": [320] * 3}
    np.savez_compressed(folder / "a.npz", img_id=np.array(["0", "1", "2"]), **arrays)
    return folder / "a.npz"


def padded_npz(folder):
    """Six regions in every row, of which four are the image's."""
    room = ((0, 0), (0, 2), (0, 0))
    arrays = {"features": np.pad(FEATURES, room), "boxes": np.pad(BOXES, room), "num_boxes": [4] * 3}
    np.savez(folder / "a.npz", ids=IDS, sizes=SIZES, **arrays)
    return folder / "a.npz"


def corner_and_size(folder):
    boxes = np.concatenate([BOXES[..., :2], BOXES[..., 2:] - BOXES[..., :2]], axis=-1)
    np.savez(folder / "a.npz", ids=IDS, sizes=SIZES, features=FEATURES, boxes=boxes)
    return folder / "a.npz"


def npy_folder(folder):
    np.save(folder / "features.npy", FEATURES)
    np.save(folder / "boxes.npy", BOXES)
    np.save(folder / "sizes.npy", SIZES[:1])  # one size for all
    (folder / "ids.txt").write_text("0\n1\n2\n")
    return folder


def write_sizes(folder):
    path = folder / "sizes.json"
    path.write_text(json.dumps({"images": [{"id": i, "height": 300, "width": 320} for i in range(3)]}))
    return path


def hdf5(folder, **arrays):
    with h5py.File(folder / "a.h5", "w") as file:
        for name, values in arrays.items():
            file[name] = values
    return folder / "a.h5"


def xnm(folder):
    turned = {"features": FEATURES.transpose(0, 2, 1), "boxes": BOXES.transpose(0, 2, 1)}
    return hdf5(folder, ids=IDS, widths=[320] * 3, heights=[300] * 3, **turned)


def write_index(folder):
    path = folder / "imgid2idx.pkl"
    path.write_bytes(pickle.dumps({i: i for i in range(3)}, protocol=0))  # as Python 2 wrote it
    return path


def text(values, dtype=np.float32):
    return base64.b64encode(np.ascontiguousarray(values, dtype))


def write_lmdb(path, images, subdir=True):
    environment = lmdb.open(str(path), subdir=subdir, map_size=2**22)
    with environment.begin(write=True) as transaction:
        for name, image in images.items():
            transaction.put(name.encode(), pickle.dumps(image))
        transaction.put(b"keys", pickle.dumps([name.encode() for name in images]))
    environment.close()
    return path


def volta(folder):
    """Arrays in base64, as volta keeps the cells of a TSV."""
    images = {
        one.name: {
            "img_id": one.name, "img_h": "300", "img_w": "320", "num_boxes": "4",
            "objects_id": text(OBJECTS, np.int64), "objects_conf": text(CONFIDENCE),
            "boxes": text(one.boxes), "features": text(one.features),
        }
        for one in IMAGES
    }  # fmt: skip
    return write_lmdb(folder / "a.lmdb", images)


def mmf_lmdb(folder):
    scores = np.zeros((4, 5), np.float32)
    scores[np.arange(4), OBJECTS + 1] = 0.75  # the background is in front
    images = {
        one.name: {
            "feature_path": one.name, "features": one.features, "bbox": one.boxes, "num_boxes": 4, "objects": OBJECTS,
            "image_height": 300, "image_width": 320, "cls_prob": scores,
        }
        for one in IMAGES
    }  # fmt: skip
    return write_lmdb(folder / "a.lmdb", images, subdir=False)


def arrow_table(boxes=NORMALIZED, **columns):
    rows = {"roi_features": FEATURES, "boxes": boxes}
    kind = pyarrow.list_(pyarrow.list_(pyarrow.float32()))
    arrays = {name: pyarrow.array(values.tolist(), kind) for name, values in rows.items()}
    return pyarrow.table({"img_id": ["0", "1", "2"], **arrays, **columns})


def arrow_file(folder):
    table = arrow_table(BOXES, sizes=SIZES.tolist(), obj_ids=[OBJECTS] * 3, obj_probs=[CONFIDENCE] * 3)
    with pyarrow.OSFile(str(folder / "a.arrow"), "wb") as file, pyarrow.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table, 2)
    return folder / "a.arrow"


def parquet_folder(folder):
    pyarrow.parquet.write_table(arrow_table().slice(0, 2), folder / "0.parquet", row_group_size=1)
    pyarrow.parquet.write_table(arrow_table().slice(2), folder / "1.parquet")
    return folder


def saved_data_set(folder):
    """A folder of `save_to_disk` with two files in the format of streams."""
    names = ["data-00000-of-00002.arrow", "data-00001-of-00002.arrow"]
    for name, part in zip(names, (arrow_table().slice(0, 1), arrow_table().slice(1)), strict=True):
        with pyarrow.OSFile(str(folder / name), "wb") as file, pyarrow.ipc.new_stream(file, part.schema) as writer:
            writer.write_table(part, 1)
    (folder / "dataset_info.json").write_text("{}")
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    return folder


ARRAY_CASES = [
    Case("NumPy arrays in one .npz, boxes as fractions", "own_arrays.npz", **FRACTIONS),
    Case("NumPy arrays in one .npz, packed", packed_npz),
    Case("NumPy arrays in one .npz, padded", padded_npz),
    Case("NumPy arrays in one .npz, a corner and a size", corner_and_size, {"boxes": "xywh"}),
    Case("NumPy arrays in a folder", npy_folder),
    Case("NumPy files", npz_folder),
    Case("NumPy files, boxes as fractions", npz_fractions),
    Case("mmf", "mmf"),
    Case("ViLBERT", "vilbert"),
    Case("UNITER", "uniter", names=[f"nlvr2_{i}" for i in range(3)], size=(1, 1), tolerance=(1e-3, 1e-3)),
    Case("HDF5 with a group per image", lambda folder: region_files.write_groups(folder / "a.h5", IMAGES)),
    Case("HDF5 of XNM", xnm),
    Case(
        "HDF5 of VisDial",
        lambda folder: hdf5(folder, image_id=["0", "1", "2"], features=FEATURES, boxes=BOXES),
        {"sizes": write_sizes},
    ),
    Case(
        "HDF5 of hengyuan-hu, with its index",
        lambda folder: region_files.write_rows(folder / "a.hdf5", IMAGES),
        {"ids": write_index},
    ),
    Case("LMDB of volta", volta, labels=LABELS),
    Case(
        "LMDB of mmf, one file",
        mmf_lmdb,
        labels={"object_ids": OBJECTS, "object_confidence": np.full(4, 0.75, np.float32)},
    ),
    Case("Arrow", arrow_file, labels=LABELS),
    Case("Parquet", parquet_folder, **FRACTIONS),
    Case("Hugging Face data set", saved_data_set, **FRACTIONS),
]
