"""Names that file systems allow just so, links that lead nowhere or elsewhere, and more files than may be open."""

from __future__ import annotations

import json
from pathlib import Path

from lxmert.common.config import LxmertConfig
from tests.weights.weight_folders import make_folder

from ..sources import Files, Source, Special, read_files
from .recipe import FINE, READ, REFUSED, Recipe

_LENGTHS = (240, 243, 250, 255)
_WEIGHTS, _FEATURES = "weights/safetensors", "features/NumPy arrays in one .npz, padded"
_PLAIN = ("open", "inspect", "convert", "pt", "tf")


def recipes(sources: dict[str, Source], folder: Path) -> list[Recipe]:
    """As sources and as targets of `convert` and of `features import`."""
    return [*_long_names(sources), *_links(sources), *_hidden(sources), *_shards(folder), *_others(sources)]


def _long(count: int, ending: str) -> str:
    return "n" * (count - len(ending)) + ending


def _long_names(sources: dict[str, Source]) -> list[Recipe]:
    found = []
    weights, features = sources[_WEIGHTS], sources[_FEATURES]
    [features_name] = features.opened
    for count in _LENGTHS:
        name = _long(count, ".safetensors")
        files = {name: weights.files["model.safetensors"], "config.json": weights.files["config.json"]}
        source = weights._replace(files=files, opened=(name,), doors=_PLAIN)
        found.append(Recipe(f"name of {count} bytes", _WEIGHTS, source, READ))
        name = _long(count, ".npz")
        source = features._replace(files={name: features.files[features_name]}, opened=(name,))
        found.append(Recipe(f"name of {count} bytes", _FEATURES, source, READ))
        for ending in (".weights.h5", ".keras", ""):
            target = f"out/{_long(count, ending)}"
            found += _to(sources, f"target of {count} bytes", {}, target, READ)[: 1 if ending else 2]
    for count in (256, 300, 5000):
        for ending in (".weights.h5", ""):
            target = f"out/{_long(count, ending)}"
            found += _to(sources, f"target of {count} bytes", {}, target, REFUSED)[: 1 if ending else 2]
    return found


def _to(sources: dict[str, Source], name: str, more: Files, target: str, allowed: tuple[str, ...]) -> list[Recipe]:
    """Conversion and import to a target, with more files beside."""
    weights, features = sources[_WEIGHTS], sources[_FEATURES]
    return [
        Recipe(
            name,
            kind,
            source._replace(files={**source.files, **more}, doors=(door,), options=(*source.options, target)),
            allowed,
        )
        for kind, source, door in ((_WEIGHTS, weights, "convert to"), (_FEATURES, features, "import to"))
    ]


def _links(sources: dict[str, Source]) -> list[Recipe]:
    found = []
    goals = {
        "nothing": "nowhere/at/all",
        "itself": "",
        "a file of the system": "/proc/self/mem",
        "a device": "/dev/zero",
    }
    for recipe, goal in goals.items():
        for kind in (
            _WEIGHTS,
            "weights/weights.h5",
            "weights/torch zip",
            _FEATURES,
            "weights/folder",
            "weights/shards",
        ):
            source = sources[kind]
            name = next(iter(source.files))
            link = Special(goal or Path(name).name)
            doors = tuple(door for door in source.doors if door != "compare")
            changed = source._replace(files={**source.files, name: link}, doors=doors)
            allowed = REFUSED if kind != "weights/folder" else FINE
            found.append(Recipe(f"link to {recipe}", kind, changed, allowed))
        for target in ("out/new.weights.h5", "out/new.keras", "out/new"):
            link = Special(goal or Path(target).name)
            found += _to(sources, f"target is a link to {recipe}", {target: link}, target, FINE)
    return found


def _hidden(sources: dict[str, Source]) -> list[Recipe]:
    """What is called nearly like a work folder is not removed; where one is expected a link is refused."""
    found = []
    keep = {"victim/keep.txt": b"kept", "victim/features.npy": b"kept"}
    for name in (".new.my backup.tmp", ".new.123.tmp", ".new.partial.tmp", ".new.tmp", ".new.ABCDEFABCDEF.tmp"):
        found += _to(sources, "kept beside the target", {f"out/{name}/keep.txt": b"kept"}, "out/new", READ)
        found += _to(sources, "kept beside the target", {f"out/{name}": b"kept"}, "out/new", READ)
    for name in (".new.partial", ".new.writing", ".new.0123456789ab.tmp", "new/.lxmert-complete"):
        link = {f"out/{name}": Special("../" * (1 + name.count("/")) + "victim"), **keep}
        found += _to(sources, f"link {name.split('/')[-1]}", link, "out/new", FINE)
    return found


def _shards(folder: Path) -> list[Recipe]:
    """Three hundred files of one tensor each, more than may be open."""
    from safetensors.numpy import load_file, save_file

    config = LxmertConfig(
        vocab_size=11,
        hidden_size=6,
        num_attention_heads=3,
        intermediate_size=5,
        max_position_embeddings=4,
        num_qa_labels=4,
        l_layers=5,
        x_layers=4,
        r_layers=4,
        visual_feat_dim=3,
        num_object_labels=2,
    )
    made = make_folder(folder / "many", "LxmertForQuestionAnswering", config)
    tensors = load_file(made / "model.safetensors")
    (made / "model.safetensors").unlink()
    places = {}
    for number, (name, values) in enumerate(tensors.items()):
        places[name] = f"model-{number:05}.safetensors"
        save_file({name: values}, made / places[name])
    assert len(places) >= 300
    (made / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    doors = ("open with few files", "inspect with few files", "convert with few files", "open", "pt", "tf")
    source = Source(read_files(made), doors, (), ("LxmertForQuestionAnswering",))
    return [Recipe(f"{len(places)} shards", "weights/folder", source, READ)]


def _others(sources: dict[str, Source]) -> list[Recipe]:
    weights = sources["weights/safetensors"]
    content = weights.files["model.safetensors"]
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    odd = {"é ☃ \u202e \x1b[2J": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}, "__metadata__": {"☃": "é"}}
    text = json.dumps({**odd, **header}, ensure_ascii=False).encode()
    files = {**weights.files, "model.safetensors": len(text).to_bytes(8, "little") + text + content[8 + size :]}
    doors = ("inspect in ASCII", "inspect", "open")
    found = [Recipe("letters that the terminal lacks", _WEIGHTS, weights._replace(files=files, doors=doors), FINE)]
    store = sources["store/float32"]
    for name in store.files:
        if name.endswith(".npy"):
            cut = store._replace(doors=("cut store",), options=(Path(name).name,))
            found.append(Recipe(f"{Path(name).name} cut while it is used", "store/float32", cut, FINE))
    return found
