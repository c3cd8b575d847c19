"""The speed of the base model beside `transformers`: forward passes, training steps, bulk answering, matching, memory.

    python benchmarks/speed.py [--only NAME ...] [--rounds 5] [--peer PYTHON]

Every workload is a process of its own, in which we and the peer take turns, in an order that is drawn for each round;
the medians are compared. (Training steps and Keras have a process for each side. What answers thousands of questions
runs once in three rounds, for a minute or more.) Each side trains as it would by itself: both have the fused AdamW,
ours keeps its process's memory and scores words only where there are labels. Weights are random. The peer of PyTorch
is `transformers` 5 of this environment; that of Keras is `transformers` 4.49, the last version with TensorFlow, in
another one, whose interpreter is PYTHON (`pip install "transformers==4.49.0" "tensorflow-cpu==2.18.*"
"tf-keras==2.18.*"`); without it, and without `transformers` 5, only our own times are measured. The results go to
benchmarks/results/speed.json, with the measured speed of the CPU's matrix products.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from clock import in_turns, peak
from inputs import ANSWERS, IMAGES, QUESTIONS, REGIONS, inputs, labels, sentences, store_of, tensors, tokenizer_of
from workers import Worker, serve, time_workers

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "speed.json"

_PEER = "LXMERT_BENCHMARK_PEER"  # its interpreter, handed to the processes of the workloads


# PyTorch


def sides() -> tuple[str, ...]:
    """Whom PyTorch's workloads measure: us, and the peer if it is installed."""
    return ("ours", "theirs") if importlib.util.find_spec("transformers") else ("ours",)


def pair(name: str, dtype: str = "float32", **config: int) -> dict[str, Any]:
    """A model of ours, the base model by default, and the peer's with the same weights."""
    import torch

    import lxmert.pt
    from lxmert import LxmertConfig

    torch.manual_seed(0)
    found = {"ours": getattr(lxmert.pt, name)(LxmertConfig(**config))}
    if "theirs" in sides():
        import transformers

        with tempfile.TemporaryDirectory() as folder:
            found["ours"].save_pretrained(folder)
            found["theirs"] = getattr(transformers, name).from_pretrained(folder)
    return {who: model.to(getattr(torch, dtype)).eval() for who, model in found.items()}


def forward(batch: int, dtype: str, rounds: int) -> dict[str, float]:
    """Seconds of answering a batch of questions."""
    import torch

    models = pair("LxmertForQuestionAnswering", dtype)
    given = tensors(inputs(batch), getattr(torch, dtype))

    def job(model: Any) -> Callable[[], Any]:
        def run() -> Any:
            with torch.inference_mode():
                return model(**given)

        return run

    jobs = {who: job(model) for who, model in models.items()}
    if "theirs" in jobs:
        scores = [jobs[who]().question_answering_score.float() for who in ("ours", "theirs")]
        apart = float((scores[0] - scores[1]).abs().max())
        if not apart < (2e-4 if dtype == "float32" else 0.3):
            raise SystemExit(f"the two models differ by {apart}")
    return in_turns(jobs, rounds if batch > 1 else 6 * rounds, warm=2)


def training(name: str, batch: int, autocast: bool, rounds: int) -> dict[str, float]:
    """Seconds of a training step; each side in a process of its own, because ours has its process keep its memory."""
    return time_workers(
        {who: worker(sys.executable, "step", who, name, str(batch), str(autocast)) for who in sides()}, rounds
    )


def training_step(who: str, name: str, batch: int, autocast: bool) -> Callable[[], Any]:
    """A training step: forward, backward, clipping, AdamW."""
    import torch

    from lxmert.training.pt.optimizers import make_optimizer
    from lxmert.utils.malloc import keep_memory

    if who == "ours":
        keep_memory()  # as `lxmert train` does
    torch.manual_seed(0)
    package = import_module("lxmert.pt" if who == "ours" else "transformers")
    config = import_module("lxmert" if who == "ours" else "transformers").LxmertConfig()
    model = getattr(package, name)(config).train()
    given = tensors(inputs(batch)) | labels(name, batch)
    optimizer = (
        make_optimizer(model, "adamw", 1e-5)
        if who == "ours"
        else torch.optim.AdamW(model.parameters(), 1e-5, fused=True)  # as its Trainer has it
    )
    if who == "ours" and name == "LxmertForPreTraining":
        given["prediction_logits"] = False

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = model(**given).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


def answering(dtype: str, rounds: int) -> dict[str, float]:
    """Seconds of answering 5,400 questions about 1,000 images; the peer's from a part of them, padded to 20."""
    import torch

    from lxmert.inference.bulk import answer_questions
    from lxmert.utils.malloc import keep_memory

    keep_memory()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store, tokenizer = store_of(folder / "regions", IMAGES), tokenizer_of(folder)
        models = pair("LxmertForQuestionAnswering")
        ours, theirs = models["ours"].to(getattr(torch, dtype)), models.get("theirs")
        texts = sentences(QUESTIONS)
        names = [f"image{number * IMAGES // QUESTIONS:05d}" for number in range(QUESTIONS)]
        table = [str(number) for number in range(ANSWERS)]
        asked = list(zip(names, texts, strict=True))
        found: list[Any] = []
        part, size = 320, 32

        def bulk(some: list[tuple[str, str]]) -> None:
            found[:] = [int(each.answer) for each in answer_questions(ours, tokenizer, some, store, table)]

        def one_by_one() -> list[int]:
            answers = []
            for start in range(0, part, size):
                text = tokenizer(texts[start : start + size], padding="max_length", max_length=20, return_tensors="pt")
                regions = store.batch(store.places(names[start : start + size]), REGIONS)
                with torch.inference_mode():
                    out = theirs(**text, **tensors({n: x for n, x in regions.items() if n != "visual_attention_mask"}))
                answers += out.question_answering_score.argmax(1).tolist()
            return answers

        jobs: dict[str, Callable[[], Any]] = {"ours": lambda: bulk(asked)}
        agreement = {}
        if theirs is not None:
            bulk(asked[:part])
            agreement["same_answers"] = float(np.mean(np.array(found) == np.array(one_by_one())))
            jobs["theirs"] = one_by_one
        times = in_turns(jobs, max(1, rounds // 3), warm=0)
        if theirs is not None:
            times["theirs"] *= QUESTIONS / part
        return times | agreement


def matching(rounds: int) -> dict[str, float]:
    """Seconds of holding 100 sentences against 100 images; the peer's from a part of the pairs."""
    import torch

    from lxmert.inference.bulk import match
    from lxmert.utils.malloc import keep_memory

    keep_memory()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store, tokenizer = store_of(folder / "regions", 100), tokenizer_of(folder)
        models = pair("LxmertForPreTraining")
        theirs = models.get("theirs")
        texts, names = sentences(100), [f"image{number:05d}" for number in range(100)]
        part, size = 128, 64

        def pairs() -> None:
            for start in range(0, part, size):
                text = tokenizer([texts[(start + i) // 100] for i in range(size)], padding=True, return_tensors="pt")
                regions = store.batch(store.places([names[(start + i) % 100] for i in range(size)]), REGIONS)
                with torch.inference_mode():
                    theirs(**text, **tensors({n: x for n, x in regions.items() if n != "visual_attention_mask"}))

        jobs: dict[str, Callable[[], Any]] = {"ours": lambda: match(models["ours"], tokenizer, texts, names, store)} | (
            {} if theirs is None else {"theirs": pairs}
        )
        times = in_turns(jobs, max(1, rounds // 3), warm=0)
        if theirs is not None:
            times["theirs"] *= 10_000 / part
        return times


def first_answer(rounds: int) -> dict[str, float]:
    """Seconds from the start of Python to the first answer of a base model on the disk."""
    with tempfile.TemporaryDirectory() as folder:
        from lxmert import LxmertConfig
        from lxmert.pt import LxmertForQuestionAnswering

        LxmertForQuestionAnswering(LxmertConfig()).save_pretrained(folder)
        np.savez(Path(folder) / "inputs.npz", **inputs(1))
        code = (
            "import torch, numpy as np; from PACKAGE import LxmertForQuestionAnswering as M\n"
            f"given = {{n: torch.from_numpy(x) for n, x in np.load({folder + '/inputs.npz'!r}).items()}}\n"
            f"model = M.from_pretrained({folder!r})\n"
            "with torch.inference_mode(): model(**given).question_answering_score.argmax().item()\n"
            "import os; os._exit(0)"
        )
        packages = {"ours": "lxmert.pt", "theirs": "transformers"}

        def job(package: str) -> Callable[[], Any]:
            return lambda: subprocess.run(
                [sys.executable, "-c", code.replace("PACKAGE", package)], check=True, stderr=subprocess.DEVNULL
            )

        return in_turns({who: job(packages[who]) for who in sides()}, rounds)


def activations(rounds: int) -> dict[str, float]:
    """Megabytes that a training step of 32 questions has more at its peak than weights and gradients take."""
    found = {}
    for who in sides():
        done = subprocess.run(
            [sys.executable, __file__, "--memory", who],
            check=True,
            capture_output=True,
            text=True,
            # glibc gives back freed memory at once, so that the peak counts memory in use only.
            env=os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"},
        )
        found[who] = float(done.stdout.splitlines()[-1])
    return found


def peak_of_step(who: str) -> float:
    """The peak of one step of 32 questions beyond weights and gradients, in megabytes."""
    import torch

    if who == "ours":
        from lxmert import LxmertConfig
        from lxmert.pt import LxmertForQuestionAnswering
    else:
        from transformers import LxmertConfig, LxmertForQuestionAnswering
    torch.manual_seed(0)
    model = LxmertForQuestionAnswering(LxmertConfig()).train()
    given = tensors(inputs(32)) | labels("LxmertForQuestionAnswering", 32)
    model(**tensors(inputs(1)), labels=torch.tensor([1])).loss.backward()  # the gradients are there now
    return peak(lambda: model(**given).loss.backward())


def work(kind: str, *name: str) -> None:
    """Be a worker: run a job for every line that is read."""
    if kind == "step":
        who, model, batch, autocast = name
        serve(training_step(who, model, int(batch), autocast == "True"))
    else:
        serve(keras_graph(*name))


def worker(python: str, *name: str, **environment: str) -> Worker:
    """A process of this file that runs a job."""
    return Worker([python, __file__, "--worker", *name], environment)


# Keras: ours and the peer's TensorFlow do not go into one environment


def keras_graph(who: str, dtype: str) -> Callable[[], Any]:
    """A forward pass of 32 questions as a graph; the peer's has no answer head."""
    import tensorflow as tf

    given = {n: tf.constant(x, tf.int32 if x.dtype.kind == "i" else None) for n, x in inputs(32).items()}
    if who == "theirs":
        from transformers import LxmertConfig, TFLxmertModel

        model = TFLxmertModel(LxmertConfig())
    else:
        from lxmert import LxmertConfig
        from lxmert.tf import TFLxmertForQuestionAnswering

        model = TFLxmertForQuestionAnswering(LxmertConfig(), dtype=dtype)
    graph = tf.function(lambda given: tf.nest.flatten(model(given, training=False))[0])
    return lambda: graph(given).numpy()


def keras_forward(dtype: str, peer: str | None, rounds: int) -> dict[str, float]:
    """Seconds of answering a batch of 32 questions in Keras; the peer in float32."""
    workers = {"ours": worker(sys.executable, "keras", "ours", dtype)}
    if peer:
        workers["theirs"] = worker(peer, "keras", "theirs", "float32", TF_USE_LEGACY_KERAS="1")
    return time_workers(workers, rounds)


# The CPU


def products(rounds: int) -> dict[str, float]:
    """The rate of large matrix products by PyTorch and by oneDNN, in GFLOP/s."""
    import torch

    size = 2048
    found = {}
    for dtype in ("float32", "bfloat16"):
        a, b = (torch.randn(size, size).to(getattr(torch, dtype)) for _ in range(2))
        jobs: dict[str, Callable[[], Any]] = {
            "pytorch": lambda a=a, b=b: torch.nn.functional.linear(a, b),
            "onednn": lambda a=a, b=b: torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], ""),
        }
        with torch.inference_mode():
            times = in_turns(jobs, 3 * rounds, warm=3)
        found |= {f"{dtype}_{name}": 2 * size**3 / seconds / 1e9 for name, seconds in times.items()}
    return found


WORKLOADS: dict[str, tuple[str, float | None, Callable[[int], dict[str, float]]]] = {
    "forward-32-float32": ("QA forward, batch 32, float32", 1.3, lambda r: forward(32, "float32", r)),
    "forward-1-float32": ("QA forward, batch 1, float32", 1.5, lambda r: forward(1, "float32", r)),
    "forward-32-bfloat16": ("QA forward, batch 32, bfloat16", 1.8, lambda r: forward(32, "bfloat16", r)),
    "forward-1-bfloat16": ("QA forward, batch 1, bfloat16", None, lambda r: forward(1, "bfloat16", r)),
    "keras-forward-32-float32": (
        "Keras: QA forward, batch 32, float32",
        1.25,
        lambda r: keras_forward("float32", os.environ.get(_PEER), r),
    ),
    "keras-forward-32-bfloat16": (
        "Keras: QA forward, batch 32, bfloat16 (peer: float32)",
        3.5,
        lambda r: keras_forward("bfloat16", os.environ.get(_PEER), r),
    ),
    "answering-float32": ("5,400 questions about 1,000 images, float32", 2.2, lambda r: answering("float32", r)),
    "answering-bfloat16": (
        "5,400 questions about 1,000 images, bfloat16 (peer: float32)",
        10.0,
        lambda r: answering("bfloat16", r),
    ),
    "training-32-float32": (
        "QA training step, batch 32, float32",
        1.3,
        lambda r: training("LxmertForQuestionAnswering", 32, False, r),
    ),
    "training-32-bfloat16": (
        "QA training step, batch 32, bfloat16 autocast",
        1.6,
        lambda r: training("LxmertForQuestionAnswering", 32, True, r),
    ),
    "pretraining-8": (
        "pre-training step, batch 8, all losses, float32",
        1.6,
        lambda r: training("LxmertForPreTraining", 8, False, r),
    ),
    "pretraining-32": (
        "pre-training step, batch 32, all losses, float32",
        1.6,
        lambda r: training("LxmertForPreTraining", 32, False, r),
    ),
    "matching": ("100 sentences with 100 images, float32", 3.0, matching),
    "first-answer": ("`import` to the first answer", 1.5, first_answer),
    "activations": ("activation memory of a training step, batch 32", 2.0, activations),
}


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"some of {', '.join(WORKLOADS)}; others stay")
    parser.add_argument("--rounds", type=int, default=5, help="how often each job runs (default: 5)")
    parser.add_argument("--peer", metavar="PYTHON", help="interpreter of an environment with transformers 4.49")
    parser.add_argument("--worker", nargs="+", help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the results go")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        print(peak_of_step(arguments.memory))
        return
    if arguments.worker:
        work(*arguments.worker)
        return
    if arguments.peer:
        os.environ[_PEER] = arguments.peer
    if arguments.job:
        measure = products if arguments.job == "products" else WORKLOADS[arguments.job][2]
        print(json.dumps(measure(arguments.rounds)))
        return
    results = json.loads(arguments.output.read_text()) if arguments.output.exists() else {"workloads": {}}
    results |= {"processors": os.cpu_count(), "machine": platform.machine(), "processor": _processor()}
    results["gflops"] = _run("products", arguments.rounds)
    print(json.dumps(results["gflops"]))
    for name in arguments.only or WORKLOADS:
        found = _run(name, arguments.rounds)
        results["workloads"][name] = found
        title, asked, _ = WORKLOADS[name]
        ratio = f"{found['theirs'] / found['ours']:.2f} x" if "theirs" in found else "no peer"
        print(f"{title}: {found} {ratio}{f' (asked {asked})' if asked else ''}", flush=True)
        arguments.output.parent.mkdir(exist_ok=True)
        arguments.output.write_text(json.dumps(results, indent=1) + "\n")


def _run(name: str, rounds: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--job", name, "--rounds", str(rounds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _processor() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return names[0].partition(": ")[2] if names else platform.processor()


if __name__ == "__main__":
    main()
