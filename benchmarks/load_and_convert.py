"""How long loading and converting the base pre-training model takes (912 MB), beside `transformers`.

    python benchmarks/load_and_convert.py [--peer PYTHON] [--rounds 5]

Every job is a process of its own, from its start to its end, so imports count. We and the peer take turns, so that a
busy minute of the machine meets both, and the files of both stay in memory; the medians are compared. PYTHON is the
interpreter of another environment with `transformers` 4.49, TensorFlow and tf-keras, the last version with TensorFlow
(`pip install "transformers==4.49.0" "tensorflow-cpu==2.18.*" "tf-keras==2.18.*" torch`); without it the jobs of that
version are left out. `transformers` 5 is taken from this environment. The results go to
benchmarks/results/load_and_convert.json.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tqdm import tqdm

from lxmert.utils.atomic_files import write_text

RESULTS = Path(__file__).parent / "results" / "load_and_convert.json"

_READY = "import {module}; from {package} import {name}; {name}.from_pretrained({source!r}{options}); {leave}"
_LEAVE = "import os; os._exit(0)"  # ready: taking the interpreter down again does not count
_THEIRS = (
    "from transformers import {name}; {name}.from_pretrained({source!r}{options}).save_pretrained({target!r}{how})"
)

_TO_PICKLE = (
    "import torch, safetensors.torch; torch.save(safetensors.torch.load_file({!r} + '/model.safetensors'), {!r})"
)
_READ_OURS = (
    "from lxmert.weights.formats import open_weights; file = open_weights({!r}); "
    "any(file.read(name) is None for name in file.shapes)"
)
_READ_TORCH = (
    "import torch; tensors = torch.load({!r}, mmap=True, weights_only=True); "
    "any(x.clone() is None for x in tensors.values())"
)


def main() -> None:
    """Make the model, run the jobs, print a table and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", metavar="PYTHON", help="interpreter of an environment with transformers 4.49")
    parser.add_argument("--rounds", type=int, default=5, help="how often each job runs (default: 5)")
    parser.add_argument(
        "--only", metavar="TEXT", default="", help="only jobs that have TEXT in their names; others stay"
    )
    parser.add_argument("--folder", help="where the files are made (default: a temporary folder)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the results go")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        results = measure(Path(folder), arguments.peer, arguments.rounds, arguments.only)
    if arguments.only and arguments.output.is_file():
        new = {row["job"]: row for row in results["jobs"]}
        old = json.loads(arguments.output.read_text())["jobs"]
        results["jobs"] = [new.pop(row["job"], row) for row in old] + list(new.values())
    for row in results["jobs"]:
        print(sentence(row))
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    write_text(arguments.output, json.dumps(results, indent=2) + "\n")
    print(f"wrote {arguments.output}")


def measure(folder: Path, peer: str | None, rounds: int, only: str = "") -> dict:
    """Run every job once and then `rounds` times, we and the peer in turns.

    Returns:
        For every job its name, and for us and for the peer the medians of seconds and of peak memory in MB.
    """
    source = str(folder / "pytorch")
    print("making the model ...", flush=True)
    make = "from lxmert import LxmertConfig, LxmertForPreTraining as M; M(LxmertConfig()).save_pretrained({!r})"
    subprocess.run([sys.executable, "-c", make.format(source)], check=True)
    subprocess.run(
        [sys.executable, "-m", "lxmert", "convert", source, str(folder / "tf"), "--to", "tf_model.h5"], check=True
    )
    subprocess.run([sys.executable, "-c", _TO_PICKLE.format(source, str(folder / "pytorch_model.bin"))], check=True)
    found = [(name, sides) for name, sides in jobs(folder, peer) if only in name]
    runs: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for name, sides in tqdm(found, desc="jobs"):
        for number in range(rounds + 1):
            for side, command in sides.items():
                target = folder / "target"
                shutil.rmtree(target, ignore_errors=True)
                target.mkdir()
                os.sync()  # what the last job wrote must not slow this one down
                figures = _run(command)
                if number:  # the first time warms the disk
                    runs.setdefault((name, side), []).append(figures)
    medians = {
        key: {
            "seconds": round(statistics.median(seconds for seconds, _ in values), 2),
            "peak_mb": round(statistics.median(peak for _, peak in values)),
            "all_seconds": [round(seconds, 2) for seconds, _ in values],
        }
        for key, values in runs.items()
    }
    size = (folder / "pytorch" / "model.safetensors").stat().st_size
    return {
        "file_mb": round(size / 1e6),
        "rounds": rounds,
        "cores": os.cpu_count(),
        "jobs": [{"job": name} | {side: medians[name, side] for side in sides} for name, sides in found],
    }


def jobs(folder: Path, peer: str | None):
    """Each job's name, and its commands: ours, and the peer's if there is one."""
    source, tf, target = str(folder / "pytorch"), str(folder / "tf"), str(folder / "target")

    def ours(code: str) -> list[str]:
        return [sys.executable, "-c", code]

    def convert(source: str, target: str, *options: str) -> list[str]:
        return [sys.executable, "-m", "lxmert", "convert", source, target, "--quiet", *options]

    def theirs(code: str) -> dict[str, list[str]]:
        return {"transformers 4.49": [peer, "-c", code]} if peer else {}

    to_tf = _THEIRS.format(
        name="TFLxmertForPreTraining", source=source, options=", from_pt=True", target=target, how=""
    )
    to_pt = _THEIRS.format(name="LxmertForPreTraining", source=tf, options=", from_tf=True", target=target, how="")
    yield "safetensors to tf_model.h5", {"lxmert": convert(source, target, "--to", "tf_model.h5"), **theirs(to_tf)}
    yield "safetensors to .weights.h5", {"lxmert": convert(source, f"{target}/a.weights.h5"), **theirs(to_tf)}
    yield "tf_model.h5 to safetensors", {"lxmert": convert(tf, target), **theirs(to_pt)}
    ready = dict(source=source, options="", leave=_LEAVE)
    sides = {"lxmert": ours(_READY.format(module="torch", package="lxmert", name="LxmertForPreTraining", **ready))}
    if importlib.util.find_spec("transformers"):
        code = _READY.format(module="torch", package="transformers", name="LxmertForPreTraining", **ready)
        sides["transformers 5"] = ours(code)
    yield "PyTorch: process start to a ready model", sides
    name = "TFLxmertForPreTraining"
    code = _READY.format(module="tensorflow", package="lxmert", name=name, **ready)
    at_449 = _READY.format(
        module="tensorflow", package="transformers", name=name, source=source, options=", from_pt=True", leave=_LEAVE
    )
    yield "Keras: process start to a ready model", {"lxmert": ours(code), **theirs(at_449)}
    place = str(folder / "pytorch_model.bin")
    sides = {"lxmert": ours(_READ_OURS.format(place)), "torch.load": ours(_READ_TORCH.format(place))}
    yield "reading all of pytorch_model.bin", sides
    yield "importing TensorFlow and Keras alone", {"lxmert": ours(f"import tensorflow, keras; {_LEAVE}")}


def _run(command: list[str]) -> tuple[float, float]:
    """Seconds and peak memory (MB) of a process."""
    start = time.perf_counter()
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={
            **os.environ,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "TF_USE_LEGACY_KERAS": "1" if "from_pt" in command[-1] else "0",
        },
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"this failed with status {process.returncode}: {' '.join(command)}")
    return seconds, usage.ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def sentence(row: dict) -> str:
    """One job's medians, and how many times faster it is than the peer."""
    ours = row["lxmert"]
    text = f"{row['job']}: {ours['seconds']:.2f} s, {ours['peak_mb']} MB"
    for side, theirs in row.items():
        if side not in ("job", "lxmert"):
            ratio = theirs["seconds"] / ours["seconds"]
            text += f"; {side} {theirs['seconds']:.2f} s, {theirs['peak_mb']} MB: {ratio:.1f} times faster"
    return text


if __name__ == "__main__":
    main()
