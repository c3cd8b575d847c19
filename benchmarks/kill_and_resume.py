"""Training that is killed at random moments and resumed: is anything lost, and does it end as if nothing had happened?

    python benchmarks/kill_and_resume.py [--kills 20] [--backends pt tf] [--seed 0]

`lxmert train pretrain` runs on a few drawn scenes, with dropout, accumulation and a checkpoint after every step, and is
killed (SIGKILL) at a random one of the next 16 steps, some milliseconds after it; then `--resume`, killed again, until
it is through; then the next run, until there were so many kills. Of each run everything is compared to the last bit
with one that nobody killed: the lines of the log, the weights and scores of the best and the last checkpoint, and the
state of the optimizer.

The results go to benchmarks/results/kill_and_resume.json: for each backend, how often a run was killed, in how many of
these cases while a checkpoint was being written, how often it was resumed, how many runs it took, and what differed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from lxmert.data.synthetic.scenes.generate import FEWEST_IMAGES, make_scenes
from lxmert.utils.atomic_files import write_text
from lxmert.weights.formats.safetensors import SafetensorsFile

RESULTS = Path(__file__).parent / "results" / "kill_and_resume.json"
ROOT = Path(__file__).parents[1]

_NEXT = 16  # steps within which a process is killed, of 48
_STEP = 0.06  # seconds: a step and a checkpoint take less, so a process is killed in any part of them

SETTINGS: dict[str, Any] = dict(
    train=["pretrain/questions_train.json", "pretrain/captions_train.json"],
    valid=["pretrain/questions_valid.json"],
    features=["regions"],
    answers="pretrain/all_ans.json",
    vocabulary="vocab.txt",
    max_examples=64,
    batch_size=4,
    epochs=3,
    gradient_accumulation_steps=2,
    learning_rate=1e-3,
    text_length=16,
    save_every=1,
    log_every=1,
    device="cpu",
    model_config=dict(
        hidden_size=24,
        num_attention_heads=3,
        intermediate_size=31,
        l_layers=1,
        x_layers=1,
        r_layers=1,
        max_position_embeddings=24,
        num_object_labels=4,
        num_attr_labels=6,
        initializer_range=0.05,
    ),
)


def main() -> int:
    """Kill, resume, compare, print and write the results. The status is 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20, help="how often a run of each backend is killed (default: 20)")
    parser.add_argument("--backends", nargs="+", choices=("pt", "tf"), default=["pt", "tf"])
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the results go")
    arguments = parser.parse_args()
    results = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        scenes = Path(folder, "scenes")
        make_scenes(scenes, FEWEST_IMAGES, progress=False)
        (scenes / "run.json").write_text(json.dumps(SETTINGS))
        for backend in arguments.backends:
            results[backend] = measure(backend, scenes, Path(folder), arguments.kills, random.Random(arguments.seed))
            print(f"{backend}: {json.dumps(results[backend])}", flush=True)
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    write_text(arguments.output, json.dumps(results, indent=2) + "\n")
    print(f"wrote {arguments.output}")
    return int(any(results[backend]["differing"] for backend in arguments.backends))


def measure(backend: str, scenes: Path, folder: Path, kills: int, chance: random.Random) -> dict[str, Any]:
    """What came of so many kills of one backend."""
    whole = folder / f"{backend}-whole"
    process = start(backend, scenes, whole, resume=False)
    if process.wait() != 0:
        raise SystemExit(f"the run that nobody killed failed with status {process.returncode}")
    expected = left_by(whole)
    counts = {"killed": 0, "killed_while_writing": 0, "resumed": 0, "runs": 0, "differing": 0}
    while counts["killed"] < kills:
        output = folder / f"{backend}-{counts['runs']}"
        counts["runs"] += 1
        finished = False
        while not finished:
            resume = (output / "last" / "training.json").exists() or (output / "last" / ".lxmert-complete").exists()
            counts["resumed"] += resume
            process = start(backend, scenes, output, resume)
            if counts["killed"] < kills:
                finished = not kill(process, output, chance)
                counts["killed"] += not finished
                counts["killed_while_writing"] += bool(not finished and list(output.glob("*/.*")))
            else:
                finished = process.wait() == 0
            if finished and process.returncode != 0:
                raise SystemExit(f"a run of {backend} failed with status {process.returncode}; see above")
        left = left_by(output)
        differing = [name for name in {**expected, **left} if left.get(name) != expected.get(name)]
        counts["differing"] += bool(differing)
        if differing:
            print(f"{output.name} differs in {', '.join(differing[:5])}", flush=True)
        shutil.rmtree(output)
    return counts


def start(backend: str, scenes: Path, output: Path, resume: bool) -> subprocess.Popen[bytes]:
    """`lxmert train pretrain` in a process of its own."""
    command = [sys.executable, "-c", "import sys; from lxmert.cli import main; sys.exit(main())", "train", "pretrain"]
    command += [
        "--config",
        str(scenes / "run.json"),
        "--output",
        str(output),
        "--backend",
        backend,
        "--quiet",
        *(["--resume"] if resume else []),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)


def kill(process: subprocess.Popen[bytes], output: Path, chance: random.Random) -> bool:
    """Kill a process at a random one of the next steps; False if it was through before."""
    log, state = output / "logs" / "log.jsonl", output / "last" / "training.json"
    done = json.loads(state.read_text())["step"] if state.exists() else 0
    old = log.stat().st_ino if log.exists() else None
    wanted = chance.randint(done + 1, done + _NEXT)  # behind the last one: it is let go
    after = chance.uniform(0, _STEP)
    while process.poll() is None:
        # A run that goes on first cuts its log, which makes a new file of it.
        if log.exists() and log.stat().st_ino != old and last_step(log) >= wanted:
            time.sleep(after)
            process.send_signal(signal.SIGKILL)
            break
        time.sleep(0.001)
    return process.wait() == -signal.SIGKILL


def last_step(log: Path) -> int:
    """The step of the last line of a log that is whole, 0 where there is none."""
    steps = [json.loads(line)["step"] for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
    return steps[-1] if steps else 0


def left_by(output: Path) -> dict[str, Any]:
    """Everything that a run leaves and that has to be the same."""
    left: dict[str, Any] = {"log": (output / "logs" / "log.jsonl").read_text()}
    for folder, names in (("last", ("model", "optimizer")), ("best", ("model",))):
        for name in names:
            file = SafetensorsFile(output / folder / f"{name}.safetensors")
            for key in file.shapes:
                left[f"{folder}/{name}/{key}"] = np.asarray(file.read(key)).tobytes()
            file.close()
        state = json.loads((output / folder / "training.json").read_text())
        left[f"{folder}/training.json"] = {key: value for key, value in state.items() if key != "settings"}
        left[folder] = sorted(path.name for path in (output / folder).iterdir() if not path.name.endswith(".tmp"))
    return left


if __name__ == "__main__":
    sys.exit(main())
