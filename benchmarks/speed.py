"""The speed of the base models beside their peers, and beside the limit of the machine; times, and peaks of memory.

    python benchmarks/speed.py [--only NAME ...] [--rounds 3] [--peer PYTHON]

Each side of a row is a process of its own. The processes of a row take turns, in an order that is drawn for each round;
compared are the medians. The limit of a row is the time that the work which its answer needs would take at the rate of
the machine's own large matrix products, measured in the same run. What answers thousands of questions does a part of
them, and its time is scaled up by the work. All sides of a row have the same random weights, and their scores are
compared. Each side trains as it would by itself: both have the fused AdamW, ours keeps its process's memory and scores
words only where there are labels.

Peers: `transformers` 5 in PyTorch; ONNX Runtime, with the models of `transformers` exported in float32, and with its
dynamic int8 (the extra `peers`); and in Keras `transformers` 4.49, the last version with TensorFlow, in another
environment, whose interpreter is PYTHON. What is not installed is left out. The results go to
benchmarks/results/speed.json, under the name of the processor; those of other processors and rows stay.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import machine
import numpy as np
from rows import Row, apart, groups, ratio, rows, share
from sides import ENVIRONMENT
from workers import Measured, Worker, WorkerError, measure_workers

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "speed.json"
PEERS = {"transformers": "`transformers`", "onnx": "ONNX Runtime"}


def measure(
    names: list[str], rounds: int, folder: Path, peer: str | None, rates: dict[str, dict[str, float]]
) -> dict[str, dict[str, Any]]:
    """Measure rows together, those of a group; their sides that are alike run once.

    Args:
        names: of the rows.
        rounds: how often each side runs.
        folder: where the models are.
        peer: the interpreter of the environment with transformers 4.49.
        rates: of the machine's large products.
    """
    table = rows()
    processes: dict[str, Worker] = {}
    for side in {json.dumps(s.job): s for name in names for s in table[name].sides.values()}.values():
        job = json.dumps(side.job)
        try:
            if (worker := _start(side.job, folder, peer)) is not None:
                processes[job] = worker
        except WorkerError as error:
            print(f"{job}: {error}", file=sys.stderr, flush=True)
    found = measure_workers(processes, rounds)
    return {name: _row(table[name], found, folder, rates) for name in names}


def _start(job: dict[str, Any], folder: Path, peer: str | None) -> Worker | None:
    """The process of a side; None if what it needs is not installed."""
    python, environment = sys.executable, dict(ENVIRONMENT.get(job["job"], {}))
    if job["job"] == "keras" and job["who"] == "transformers":
        if not peer:
            return None
        python = peer
        environment["TF_USE_LEGACY_KERAS"] = "1"
    elif importlib.util.find_spec({"onnx": "onnxruntime", "ours": "lxmert"}.get(job["who"], job["who"])) is None:
        return None
    given = job | {"folder": str(folder), "scores": str(_scores(job, folder))}
    return Worker([python, str(HERE / "sides.py"), json.dumps(given)], environment)


def _scores(job: dict[str, Any], folder: Path) -> Path:
    """Where a side writes its scores."""
    return folder / f"scores-{'-'.join(str(value) for value in job.values())}.npy"


def _row(row: Row, found: dict[str, Measured], folder: Path, rates: dict[str, dict[str, float]]) -> dict[str, Any]:
    """What a row has in the file of results."""
    known = {who: side for who, side in row.sides.items() if json.dumps(side.job) in found}
    measured = {who: found[json.dumps(side.job)] for who, side in known.items()}
    result: dict[str, Any] = {
        "values": {who: measured[who].value / side.part for who, side in known.items()},
        "peaks": {who: measured[who].peak for who in known},
    }
    if row.flops is not None and row.dtype in rates:
        result |= {"flops": row.flops(), "gflops": machine.best(rates, row.dtype)}
    scores = {who: _scores(side.job, folder) for who, side in known.items()}
    scores = {who: np.load(path) for who, path in scores.items() if path.exists()}
    for who in set(scores) - {"ours"} if "ours" in scores else ():
        largest, same = apart(scores["ours"], scores[who])
        result.setdefault("agreement", {})[who] = {"largest difference": largest, "same answers": same}
        if row.apart is not None and not largest < row.apart:
            result["differs"] = who
    result["asked"] = row.asked
    return result


def line(row: Row, result: dict[str, Any]) -> str:
    """A row as it is printed: times, and what is asked of it beside what was measured."""
    values, unit = result["values"], row.unit
    parts = [f"{who} {value:.4g} {unit} ({result['peaks'][who]:,.0f} MB)" for who, value in values.items()]
    for what, least in row.asked.items():
        got = share(result) if what == "share" else ratio(result, what)
        name = "share of the limit" if what == "share" else f"times {PEERS[what]}"
        reached = "not measured" if got is None else f"measured {got:.2f}{'' if got >= least else ', MISSED'}"
        parts.append(f"{name}: asked {least:.2f}, {reached}")
    return f"{row.title}: " + "; ".join(parts)


def _code() -> str:
    """The commit that is measured."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=HERE, stdout=subprocess.PIPE, text=True, check=False
    )
    return done.stdout.strip()


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}


def main() -> None:
    """Measure, print, write."""
    table = rows()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", choices=table, help=f"some of {', '.join(table)}; others stay"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often each side runs (default: 3)")
    parser.add_argument("--peer", metavar="PYTHON", help="interpreter of an environment with transformers 4.49")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the results go")
    parser.add_argument("--models", type=Path, help="keep models and exports here for the next run")
    arguments = parser.parse_args()
    different = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.models or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        processor = machine.processor()
        rates = machine.products()
        print(f"{machine.key(processor)}: {json.dumps(rates)}", flush=True)
        for names in groups(arguments.only or list(table)):
            found = measure(names, arguments.rounds, folder.resolve(), arguments.peer, rates)
            results = _read(arguments.output)
            mine = results.setdefault(machine.key(processor), {"rows": {}})
            mine |= {"processor": processor, "gflops": rates}
            for name in names:
                mine["rows"][name] = found[name] | {"code": _code(), "date": str(date.today())}
            arguments.output.parent.mkdir(exist_ok=True)
            arguments.output.write_text(json.dumps(results, indent=1) + "\n")
            for name in names:
                print(line(table[name], found[name]), flush=True)
            different += [name for name in names if "differs" in found[name]]
    if different:
        raise SystemExit(f"the scores of ours and a peer differ in {', '.join(different)}: see {arguments.output}")


if __name__ == "__main__":
    main()
