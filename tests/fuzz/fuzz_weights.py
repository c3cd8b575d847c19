"""Damaged weight files by the thousand: each is opened, fitted to its model and read, or refused in our own words.

    python tests/fuzz/fuzz_weights.py --cases 100000 --seed 0

A worker process takes one case after the other, with little memory. A case fails if the worker dies, is stuck, runs out
of memory, or ends in an error that is not ours: one that does not name the file. What failed is kept in a folder, and
the same seed and number make the same case again (`--first 1234 --cases 1`).

Separate from the tests that pytest finds: `test_fuzz.py` runs a few of these cases.
"""

from __future__ import annotations

import argparse
import io
import json
import mmap
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[2]))

import h5py
import torch

from lxmert.common.config import LxmertConfig, VisualBertConfig
from lxmert.weights.convert import convert
from lxmert.weights.formats import open_weights
from lxmert.weights.load import match_parameters
from lxmert.weights.naming.key_mapping import HUGGING_FACE, ORIGINAL_VISUAL_BERT
from lxmert.weights.open import open_checkpoint
from tests.weights.weight_folders import make_folder, tensors_of

MEMORY = 768 * 2**20  # what a case may take beside what the process has
SECONDS = 20.0  # how long it may take

Files = dict[str, bytes]  # by name; the first is opened
Mutation = Callable[[random.Random, bytes], bytes]


class Case(NamedTuple):
    """One damaged set of files."""

    kind: str
    files: Files


# Valid files to begin with


def sources(folder: Path) -> dict[str, Files]:
    """A small model in every format that is read, by the kind of file."""
    sizes: dict[str, Any] = dict(
        vocab_size=11, hidden_size=6, num_attention_heads=3, intermediate_size=5, max_position_embeddings=4
    )
    lxmert = LxmertConfig(
        **sizes, num_qa_labels=4, l_layers=1, x_layers=1, r_layers=1, visual_feat_dim=3, num_object_labels=2
    )
    visual_bert = VisualBertConfig(**sizes, num_hidden_layers=1, visual_embedding_dim=3)
    found: dict[str, Files] = {}
    whole = make_folder(folder / "whole", "LxmertForQuestionAnswering", lxmert)
    config = (whole / "config.json").read_bytes()
    found["safetensors"] = {"model.safetensors": (whole / "model.safetensors").read_bytes(), "config.json": config}
    convert(whole, folder / "parts", max_shard_size=4000)
    parts = sorted((folder / "parts").iterdir(), key=lambda item: item.suffix != ".json" or item.name == "config.json")
    found["shards"] = {item.name: item.read_bytes() for item in parts}
    convert(whole, folder / "w.weights.h5")
    found["weights.h5"] = {"w.weights.h5": (folder / "w.weights.h5").read_bytes()}
    packed = folder / "packed.weights.h5"
    _pack(folder / "w.weights.h5", packed)
    found["packed.h5"] = {"packed.weights.h5": packed.read_bytes()}
    convert(whole, folder / "w.keras")
    found["keras"] = {"w.keras": (folder / "w.keras").read_bytes()}
    with zipfile.ZipFile(folder / "w.keras") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    found["packed.keras"] = {"w.keras": _zipped(members, zipfile.ZIP_DEFLATED)}
    backbone = make_folder(folder / "backbone", "LxmertModel", lxmert)
    convert(backbone, folder / "w.h5")
    found["tf_model.h5"] = {"tf_model.h5": (folder / "w.h5").read_bytes()}
    tensors = {
        name: torch.from_numpy(x)
        for name, x in tensors_of("LxmertForQuestionAnswering", lxmert, mapping=HUGGING_FACE).items()
    }
    found["torch zip"] = {"pytorch_model.bin": _saved(tensors, True), "config.json": config}
    found["torch old"] = {"pytorch_model.bin": _saved(tensors, False), "config.json": config}
    theirs = tensors_of("VisualBertForPreTraining", visual_bert, "float16", mapping=ORIGINAL_VISUAL_BERT)
    halves = {name: torch.from_numpy(x) for name, x in theirs.items()}
    visual_config = json.dumps(visual_bert.to_dict()).encode()
    found["th"] = {"best.th": _saved({"state_dict": halves, "epoch": 3}, False), "config.json": visual_config}
    return found


def _pack(source: Path, target: Path) -> None:
    """The same HDF5 file with its data sets compressed, in groups of the newer layout."""
    with h5py.File(source) as old, h5py.File(target, "w", libver="latest") as new:
        new.attrs.update(old.attrs)

        def copy(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                new.create_dataset(name, data=item[()], compression="gzip", shuffle=True)

        old.visititems(copy)


def _saved(value: Any, new: bool) -> bytes:
    content = io.BytesIO()
    torch.save(value, content, _use_new_zipfile_serialization=new)
    return content.getvalue()


def _zipped(members: Files, compression: int = zipfile.ZIP_STORED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


# Damage

_NUMBERS = (0, 1, -1, 2, 7, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63)


def damaged(draw: random.Random, content: bytes) -> bytes:
    """Bytes with a few changes at random places."""
    data = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 3, 8))):
        data = _changed(draw, data)
    return bytes(data)


def _changed(draw: random.Random, data: bytearray) -> bytearray:
    size = len(data)
    if not size:
        return bytearray(draw.randbytes(3))
    # What describes the file is mostly at its beginning or its end.
    reach = draw.choice((64, 600, 4000, size))
    at = draw.randrange(min(reach, size)) if draw.random() < 0.75 else size - 1 - draw.randrange(min(reach, size))
    length = draw.choice((1, 2, 4, 8, 16, 64, 500))
    match draw.randrange(9):
        case 0 | 1:
            data[at] ^= 1 << draw.randrange(8)
        case 2:
            data[at] = draw.randrange(256)
        case 3 | 4:  # a number of one to eight bytes
            wide = draw.choice((1, 2, 4, 8))
            number = draw.choice((*_NUMBERS, size, size - 1)) % 256**wide
            data[at : at + wide] = number.to_bytes(wide, draw.choice(("little", "big")))
        case 5:
            data[at:at] = draw.randbytes(length)
        case 6:
            del data[at : at + length]
        case 7:
            if draw.random() < 0.3:
                del data[at:]
            else:
                data[at : at + length] = draw.randbytes(length)
        case 8:  # one part where another one is
            other = draw.randrange(size)
            first, second = data[at : at + length], data[other : other + length]
            data[at : at + len(first)], data[other : other + len(second)] = second, first
    return data


def damaged_json(draw: random.Random, content: bytes) -> bytes:
    """JSON with other numbers, names and nesting; now and then no JSON any more."""
    values = json.loads(content)
    for _ in range(draw.choice((1, 1, 2, 4))):
        places = list(_places(values))
        holder, key = draw.choice(places)
        value = holder[key]
        match draw.randrange(9):
            case 0 | 1 | 2:
                holder[key] = _other_value(draw, value)
            case 3:
                del holder[key]
            case 4:
                if isinstance(holder, dict):
                    holder[_other_text(draw, key)] = holder.pop(key)
            case 5:
                holder[key] = [value]
            case 6:
                other_holder, other_key = draw.choice(places)
                if not (isinstance(value, (dict, list)) or isinstance(other_holder[other_key], (dict, list))):
                    holder[key], other_holder[other_key] = other_holder[other_key], value
            case 7:
                other_holder, other_key = draw.choice(places)
                if not isinstance(value, (dict, list)):
                    holder[key] = json.loads(json.dumps(other_holder[other_key]))
            case 8:
                if isinstance(holder, dict):
                    holder[draw.choice(("__metadata__", "extra", "pruned_heads", "architectures", "model_type"))] = (
                        _other_value(draw, value)
                    )
        if not list(_places(values)):
            break
    text = json.dumps(values)
    if draw.random() < 0.1:  # a key twice
        at = text.find(",", draw.randrange(len(text)))
        text = text[:at] + text[text.rfind(",", 0, at) : at] + text[at:] if at > 0 else text
    if draw.random() < 0.03:
        text = text[:-1] + ', "deep": ' + "[" * 5000 + "]" * 5000 + "}"
    return damaged(draw, text.encode()) if draw.random() < 0.1 else text.encode()


def _places(values: Any) -> Any:
    keys = list(values) if isinstance(values, dict) else range(len(values)) if isinstance(values, list) else ()
    for key in keys:
        yield values, key
        yield from _places(values[key])


def _other_value(draw: random.Random, value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and draw.random() < 0.8:
        return draw.choice((*_NUMBERS, value + 1, value - 1, 2 * value, -value, 10**30))
    if isinstance(value, str) and draw.random() < 0.7:
        return _other_text(draw, value)
    return draw.choice((None, True, False, 0, 1.5, float("nan"), float("inf"), "", [], {}, "x", [1, 2], {"0": [0]}))


def _other_text(draw: random.Random, text: str) -> str:
    at = draw.randrange(len(text) + 1)
    return draw.choice(
        (
            text[:at] + text[at + 1 :],
            text[:at] + draw.choice("a.0/\\:\0é\ud800") + text[at:],
            text[::-1],
            "../" + text,
            "/" + text,
            "module." + text,
            text + "." + text,
            "",
            "F8_E4M3",
            "BF16",
            "I64",
            "float64",
            "lxmert",
            "visual_bert",
        )
    )


def damaged_safetensors(draw: random.Random, content: bytes) -> bytes:
    """A header with other contents, of the right length but now and then."""
    size = int.from_bytes(content[:8], "little")
    header = damaged_json(draw, content[8 : 8 + size])
    if draw.random() < 0.8 and not header.startswith(b"{"):
        header = content[8 : 8 + size]
    length = len(header) if draw.random() < 0.9 else draw.choice((*_NUMBERS, len(header) + 1)) % 2**64
    return length.to_bytes(8, "little") + header + content[8 + size :]


def damaged_archive(draw: random.Random, content: bytes) -> bytes:
    """A zip archive whose members are damaged, and which is itself whole."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
        stored = all(info.compress_type == zipfile.ZIP_STORED for info in archive.infolist())
    names = list(members)
    name = draw.choice([name for name in names if name.endswith((".pkl", ".h5", "config.json"))])
    change = damaged_json if name.endswith(".json") and draw.random() < 0.7 else damaged
    if name.endswith(".pkl") and draw.random() < 0.6:
        change = damaged_pickle
    members[name] = change(draw, members[name])
    match draw.randrange(12):
        case 0:
            members.pop(draw.choice(names))
        case 1:
            moved = draw.choice(names)
            members["../" + moved if draw.random() < 0.5 else moved.upper()] = members.pop(moved, b"")
    return _zipped(members, zipfile.ZIP_STORED if stored else draw.choice((zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)))


def damaged_pickle(draw: random.Random, content: bytes) -> bytes:
    """Single words of the program replaced by others, and its numbers by others."""
    data = bytearray(content)
    end = min(len(data), 12000)
    for _ in range(draw.choice((1, 1, 2, 3))):
        at = draw.randrange(end)
        match draw.randrange(4):
            case 0:
                data[at] = draw.choice(
                    b"(.0125FGIJKLMNPQRSTUVXabcdghijlopqrstu}]e)\x80\x81\x85\x86\x87\x88\x89\x8a\x8c\x8e\x93\x95"
                )
            case 1:  # the number behind a word for numbers
                word = draw.choice((b"K", b"M", b"J", b"h", b"X"))
                at = data.find(word, at)
                if at >= 0:
                    wide = {b"K": 1, b"M": 2, b"J": 4, b"h": 1, b"X": 4}[word]
                    data[at + 1 : at + 1 + wide] = (draw.choice(_NUMBERS) % 256**wide).to_bytes(wide, "little")
            case 2:
                data[at:at] = draw.choice(
                    (b"K\x00", b"h\x05", b"(", b"t", b"}", b"N", b"0", b"2", b"Q", b"R", b"b", b"s")
                )
            case 3:
                other = draw.randrange(end)
                data[at], data[other] = data[other], data[at]
    return bytes(data)


# Besides `damaged`, what each kind's files may suffer; by the name of the file.
def make_case(found: dict[str, Files], kinds: list[str], seed: int, number: int) -> Case:
    """The case of a seed and a number."""
    draw = random.Random(f"{seed} {number}")
    kind = kinds[number % len(kinds)]
    files = dict(found[kind])
    names = list(files)
    name = names[0] if draw.random() < 0.75 else draw.choice(names)
    content = files[name]
    ways: list[Mutation] = [damaged]
    if name.endswith(".json"):
        ways = [damaged_json, damaged_json, damaged]
    elif name.endswith(".safetensors"):
        ways = [damaged_safetensors, damaged_safetensors, damaged]
    elif content.startswith(b"PK"):
        ways = [damaged_archive, damaged]
    elif content.startswith(b"\x80"):
        ways = [damaged_pickle, damaged]
    files[name] = draw.choice(ways)(draw, content)
    if draw.random() < 0.02:
        files.pop(draw.choice(names))
    return Case(kind, files)


# Running


def read_all(path: Path) -> None:
    """What every user of a file does with it: open it, fit it to its model, and read all that it holds."""
    with open_checkpoint(path) as checkpoint:
        taken, _ = match_parameters(checkpoint, checkpoint.architecture, pooler=checkpoint.pooler)
        with checkpoint.arrays(taken) as arrays:
            for parameter, values in arrays:
                assert values.shape == parameter.shape
    file = open_weights(path)
    try:
        for name, shape in file.shapes.items():
            assert file.read(name).shape == shape
    finally:
        file.close()


def verdict(folder: Path, case: Case) -> str:
    """What becomes of a case: "read", "refused", or what is wrong."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in case.files.items():
        (folder / name).write_bytes(content)
    paths = [folder / name for name in case.files]
    single = len(case.files) <= 2 and paths and paths[0].exists()
    path = paths[0] if single else folder
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read_all(path)
    except BaseException as error:
        text = str(error)
        if isinstance(error, TypeError):  # of a config's values
            ours = f"the configuration of {folder}" in text
        else:  # MemoryError is neither, nor are KeyError, struct.error and their like
            ours = isinstance(error, (ValueError, OSError)) and (
                str(folder) in text or any(path.name in text for path in paths)
            )
        return "refused" if ours else f"foreign error\n{traceback.format_exc()}"
    return "read"


def _work(found: dict[str, Files], kinds: list[str], seed: int, first: int, last: int, board: mmap.mmap) -> None:
    """Run cases in a process of its own; `board` tells the parent which one."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    home = Path(tempfile.mkdtemp(prefix="fuzz."))
    results = open(_results(board), "a", encoding="utf-8", buffering=1)  # noqa: SIM115
    try:
        for number in range(first, last):
            board[:8] = number.to_bytes(8, "little")
            case = make_case(found, kinds, seed, number)
            results.write(json.dumps([number, case.kind, verdict(home / "case", case)]) + "\n")
        board[:8] = last.to_bytes(8, "little")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _results(board: mmap.mmap) -> str:
    return board[8:].rstrip(b"\0").decode()


def fuzz(
    cases: int,
    seed: int = 0,
    kinds: list[str] | None = None,
    first: int = 0,
    keep: Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> tuple[Counter[str], list[str]]:
    """Run cases; how many of each kind were read and refused, and a text for each failure.

    Args:
        cases: how many.
        seed: another one makes other cases.
        kinds: of files; all by default.
        first: the number of the first case.
        keep: a folder for the files of failures.
        progress: called now and then with a line.
    """
    counts: Counter[str] = Counter()
    failures: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        found = sources(Path(folder))
        for kind, files in found.items():
            if verdict(Path(folder) / "case", Case(kind, files)) != "read":
                raise AssertionError(
                    f"the undamaged {kind} is not read: {verdict(Path(folder) / 'case', Case(kind, files))}"
                )
        kinds = kinds or list(found)
        results = Path(folder) / "results"
        results.touch()
        board = mmap.mmap(-1, 4096)
        board[8 : 8 + len(str(results))] = str(results).encode()
        number, last, began, told = first, first + cases, time.monotonic(), time.monotonic()

        def note(number: int, kind: str, what: str) -> None:
            counts[f"{kind}: {what if what in ('read', 'refused') else 'failed'}"] += 1
            if what not in ("read", "refused"):
                failures.append(f"case {number} of seed {seed} ({kind}): {what}")
                if keep:
                    place = keep / f"{seed}-{number}"
                    place.mkdir(parents=True, exist_ok=True)
                    for name, content in make_case(found, kinds, seed, number).files.items():
                        (place / name).write_bytes(content)
                    (place / "what").write_text(failures[-1])
                if progress:
                    progress(failures[-1])

        with results.open(encoding="utf-8") as lines:
            while number < last:
                board[:8] = number.to_bytes(8, "little")
                context = multiprocessing.get_context("fork")
                worker = context.Process(target=_work, args=(found, kinds, seed, number, last, board), daemon=True)
                worker.start()
                seen, since, stuck = number, time.monotonic(), False
                while worker.is_alive():
                    worker.join(0.2)
                    at = int.from_bytes(board[:8], "little")
                    if at != seen:
                        seen, since = at, time.monotonic()
                    for line in lines:
                        note(*json.loads(line))
                    if time.monotonic() - since > SECONDS:
                        stuck = True
                        os.kill(worker.pid or 0, signal.SIGKILL)
                        worker.join()
                    if progress and time.monotonic() - told > 15:
                        told = time.monotonic()
                        done = seen - first
                        progress(f"{done} of {cases}, {done / (told - began):.0f} a second, {len(failures)} failed")
                for line in lines:
                    note(*json.loads(line))
                number = int.from_bytes(board[:8], "little")
                if number < last:
                    what = "stuck" if stuck else f"the process died ({worker.exitcode})"
                    note(number, kinds[number % len(kinds)], what)
                    number += 1
    return counts, failures


def main() -> int:
    """Run from the command line; the exit status is 1 if a case failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--kinds", nargs="*", help="kinds of files; all by default")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="folder for the files that failed")
    given = parser.parse_args()
    counts, failures = fuzz(
        given.cases, given.seed, given.kinds, given.first, given.keep, lambda line: print(line, flush=True)
    )
    for name in sorted(counts):
        print(f"{counts[name]:8d}  {name}")
    print(f"{sum(counts.values())} cases, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
