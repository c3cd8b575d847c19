"""A small model in every format of weights, and detectors as they are published."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch

from lxmert.common.config import LxmertConfig, VisualBertConfig
from lxmert.weights.convert import convert
from lxmert.weights.naming.key_mapping import HUGGING_FACE, ORIGINAL_VISUAL_BERT
from tests.weights.detector_files import VCR, port_folder, vcr_values
from tests.weights.weight_folders import make_folder, tensors_of

from ..damage.zip_archive import zipped
from . import Files, Source, read_files

_PLAIN = ("open", "inspect", "compare", "convert")
_BOTH = ("pt", "tf")
_QUESTIONS, _VISUAL = "LxmertForQuestionAnswering", "VisualBertForPreTraining"


def sources(folder: Path) -> dict[str, Source]:
    """By the kind of file."""
    sizes: dict[str, Any] = dict(
        vocab_size=11, hidden_size=6, num_attention_heads=3, intermediate_size=5, max_position_embeddings=4
    )
    lxmert = LxmertConfig(
        **sizes, num_qa_labels=4, l_layers=1, x_layers=1, r_layers=1, visual_feat_dim=3, num_object_labels=2
    )
    visual_bert = VisualBertConfig(**sizes, num_hidden_layers=1, visual_embedding_dim=3)
    whole = make_folder(folder / "whole", _QUESTIONS, lxmert)
    config = (whole / "config.json").read_bytes()
    found: dict[str, Source] = {}

    def add(
        kind: str,
        files: Files,
        model: str = _QUESTIONS,
        single: bool = True,
        more: tuple[str, ...] = (),
        odd: bool = False,
    ) -> None:
        opened = (next(iter(files)),) if single else ()
        found[f"weights/{kind}"] = Source(files, (*_PLAIN, *_BOTH, *more), opened, (model,), odd)

    add("safetensors", {"model.safetensors": (whole / "model.safetensors").read_bytes(), "config.json": config})
    add("folder", read_files(whole), single=False)
    convert(whole, folder / "parts", max_shard_size=4000)
    parts = read_files(folder / "parts")
    add("shards", dict(sorted(parts.items(), key=lambda item: "index" not in item[0])), single=False)
    convert(whole, folder / "w.weights.h5")
    own = (folder / "w.weights.h5").read_bytes()
    add("weights.h5", {"w.weights.h5": own}, more=("keras",))
    for name, options in (
        ("packed.h5", {"libver": "latest"}),
        ("old packed.h5", {}),
        ("chunks.h5", {"libver": "latest"}),
    ):
        content = _other_hdf5(folder / "w.weights.h5", name, **options)
        add(name, {"w.weights.h5": content}, more=("keras",))
    add("attributes.h5", {"w.weights.h5": _with_attributes(own)}, more=("keras",), odd=True)
    convert(whole, folder / "w.keras")
    archive = (folder / "w.keras").read_bytes()
    with zipfile.ZipFile(folder / "w.keras") as opened:
        members = {name: opened.read(name) for name in opened.namelist()}
    add("keras", {"w.keras": archive}, more=("keras",))
    add("packed.keras", {"w.keras": zipped(members, zipfile.ZIP_DEFLATED)}, more=("keras",))
    backbone = make_folder(folder / "backbone", "LxmertModel", lxmert)
    convert(backbone, folder / "w.h5")
    add("tf_model.h5", {"tf_model.h5": (folder / "w.h5").read_bytes()}, "LxmertModel")
    tensors = {k: torch.from_numpy(x) for k, x in tensors_of(_QUESTIONS, lxmert, mapping=HUGGING_FACE).items()}
    add("torch zip", {"pytorch_model.bin": _saved(tensors, True), "config.json": config})
    add("torch old", {"pytorch_model.bin": _saved(tensors, False), "config.json": config})
    theirs = tensors_of(_VISUAL, visual_bert, "float16", mapping=ORIGINAL_VISUAL_BERT)
    halves = {name: torch.from_numpy(x) for name, x in theirs.items()}
    visual_config = json.dumps(visual_bert.to_dict()).encode()
    for kind, new in (("th", False), ("th zip", True)):
        files = {"best.th": _saved({"state_dict": halves, "epoch": 3}, new), "config.json": visual_config}
        add(kind, files, _VISUAL)
    detector = read_files(port_folder(folder / "detector"))
    names = ("pytorch_model.bin", "config.yaml", "objects_vocab.txt", "attributes_vocab.txt")
    if len(detector["pytorch_model.bin"]) < 10**6:
        add("detector", {name: detector[name] for name in names}, "VisualGenomeDetector", single=False)
    arrays = {name: torch.from_numpy(np.asarray(x)) for name, x in vcr_values().items()}
    add(
        "VCR detector",
        {"pytorch_model.bin": _saved(arrays, True), "config.json": json.dumps(VCR.to_dict()).encode()},
        "VcrDetector",
    )
    plain = pickle.dumps({"model": tensors_of(_QUESTIONS, lxmert)}, protocol=2)
    add("array pickle", {"weights.pkl": plain, "config.json": config})
    return found


def _saved(value: Any, new: bool) -> bytes:
    content = io.BytesIO()
    torch.save(value, content, _use_new_zipfile_serialization=new)
    return content.getvalue()


def _other_hdf5(source: Path, kind: str, **options: Any) -> bytes:
    """The same weights compressed in one chunk, or in several, in groups of the newer or of the older layout."""
    content = io.BytesIO()
    with h5py.File(source) as old, h5py.File(content, "w", **options) as new:
        new.attrs.update(old.attrs)

        def copy(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                chunks = tuple(max(1, size // 2) for size in item.shape) if kind != "packed.h5" else None
                more = {"maxshape": (None, *item.shape[1:])} if kind == "chunks.h5" and item.ndim else {}
                new.create_dataset(name, data=item[()], chunks=chunks or None, compression="gzip", shuffle=True, **more)

        old.visititems(copy)
    return content.getvalue()


def _with_attributes(source: bytes) -> bytes:
    """The same weights with attributes of every type."""
    content = io.BytesIO(source)
    with h5py.File(content, "a") as file:
        add_attributes(file)
    return content.getvalue()


def add_attributes(file: h5py.File) -> None:
    """Attributes of every type."""
    pair = np.dtype([("a", "<i4"), ("b", "<f8", (2,)), ("c", h5py.string_dtype())])
    for name, value in {
        "text": "text",
        "texts": np.array([b"a", b"bc"]),
        "lines": np.array(["a", "bc"], h5py.string_dtype()),
        "pairs": np.array([(1, (0.5, 1), "x")] * 3, pair),
        "number": 3,
        "truth": True,
    }.items():
        file.attrs[name] = value
    file.attrs.create("ragged", np.array([np.arange(3), np.arange(2)], object), dtype=h5py.vlen_dtype(np.int32))
    file.attrs.create("kind", 1, dtype=h5py.enum_dtype({"a": 0, "b": 1}, basetype="i1"))
    file.attrs["reference"] = file.ref
