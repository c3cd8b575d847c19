"""The sides of the rows of `speed.py`, each in a process of its own: `python benchmarks/sides.py JSON`.

The JSON names one of the functions below and its arguments: {"job": "forward", "who": "ours", ...}.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from clock import peak
from inputs import (
    ANSWERS,
    IMAGES,
    QUESTIONS,
    REGIONS,
    inputs,
    labels,
    model_inputs,
    sentences,
    tensors,
)
from prepare import CLASSES, PART_OF_IMAGES, config, ready
from workers import process_peak, serve, timed

PART_OF_QUESTIONS = QUESTIONS * PART_OF_IMAGES // IMAGES
SIDE = 32  # how many questions `transformers` answers together
PART_ONE_BY_ONE = 6 * SIDE  # of the questions, for `transformers`
SENTENCES, PART_OF_SENTENCES = 100, 10  # of 100 sentences with 100 images; the time is scaled up
PAIRS = 64  # how many pairs `transformers` scores together
FEW = 20  # calls of one question before anything is measured: what is done at the first calls is done by then


class Job(NamedTuple):
    """What `serve` takes, and the scores by which the sides of a row are compared."""

    run: Callable[[], Any]
    measure: Callable[[], list[float]] | None = None
    peak: Callable[[], float] = process_peak


def forward(who: str, model: str, dtype: str, batch: int, folder: Path, scores: str) -> Job:
    """Answer a batch of questions: ours, `transformers`, or its export in ONNX Runtime."""
    given = model_inputs(model, batch)
    if who == "onnx":
        import onnx_peer

        run = onnx_peer.session(ready(f"onnx-{model}-{dtype}", folder), given)
        answer = run
    else:
        import torch

        package = import_module("lxmert.pt" if who == "ours" else "transformers")
        network = _load(getattr(package, CLASSES[model]), model, dtype, folder).eval()
        tensors_of = tensors(given, torch.bfloat16 if dtype == "bfloat16" else torch.float32)

        def run() -> Any:
            with torch.inference_mode():
                return network(**tensors_of)

        def answer() -> np.ndarray:
            output = run()
            return (output.question_answering_score if model == "lxmert" else output.logits).float().numpy()

    np.save(scores, answer())
    return _of_batch(run, batch)


def keras(who: str, dtype: str, batch: int, folder: Path, scores: str) -> Job:
    """Answer a batch of questions as a graph of TensorFlow; that of `transformers` 4.49 has no answer head."""
    import tensorflow as tf

    given = {n: tf.constant(x, tf.int32 if x.dtype.kind == "i" else None) for n, x in inputs(batch).items()}
    if who == "transformers":
        from transformers import LxmertConfig, TFLxmertModel

        network = TFLxmertModel(LxmertConfig())
    else:
        from lxmert.tf import TFLxmertForQuestionAnswering

        if dtype == "int8" and not hasattr(TFLxmertForQuestionAnswering, "is_quantized"):
            raise SystemExit("The Keras models do not compute in int8.")
        network = _load(TFLxmertForQuestionAnswering, "lxmert", dtype, folder)
    graph = tf.function(lambda given: tf.nest.flatten(network(given, training=False))[0])
    found = graph(given).numpy()
    if who == "ours":
        np.save(scores, found.astype(np.float32))
    return _of_batch(lambda: graph(given).numpy(), batch)


def _load(model_class: Any, model: str, dtype: str, folder: Path) -> Any:
    """A model in a dtype; that with int8 weights from a folder that has them, as ONNX Runtime has its own."""
    if dtype == "int8":
        return model_class.from_pretrained(ready(f"{model}-int8", folder))
    return model_class.from_pretrained(ready(model, folder), dtype=dtype)


def _of_batch(run: Callable[[], Any], batch: int) -> Job:
    """One question is answered several times in each turn, as in a process that does nothing else."""
    for _ in range(FEW if batch == 1 else 2):
        run()
    return Job(run, timed(run, 15 if batch == 1 else 1))


def training(who: str, name: str, batch: int, autocast: bool, folder: Path, scores: str) -> Job:
    """A training step: forward, backward, clipping, AdamW."""
    import torch

    from lxmert.training.pt.optimizers import make_optimizer
    from lxmert.utils.malloc import keep_memory

    if who == "ours":
        keep_memory()  # as `lxmert train` does
    torch.manual_seed(0)
    package = import_module("lxmert.pt" if who == "ours" else "transformers")
    kind = "visual_bert" if name.startswith("VisualBert") else "lxmert"
    settings = config(kind)
    if who != "ours":
        settings = getattr(package, type(settings).__name__)(**settings.to_dict())
    model = getattr(package, name)(settings).train()
    given = tensors(model_inputs(kind, batch)) | labels(name, batch)
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

    return Job(step)


def answering(who: str, dtype: str, folder: Path, scores: str) -> Job:
    """Answer a part of 5,400 questions about 1,000 images; `transformers` a smaller one, in batches padded to 20."""
    import torch

    store, tokenizer = _store(folder)
    texts = sentences(PART_OF_QUESTIONS)
    names = [f"image{number * PART_OF_IMAGES // PART_OF_QUESTIONS:05d}" for number in range(PART_OF_QUESTIONS)]
    if who == "ours":
        from lxmert.inference.bulk import answer_questions
        from lxmert.pt import LxmertForQuestionAnswering
        from lxmert.utils.malloc import keep_memory

        keep_memory()
        model = _load(LxmertForQuestionAnswering, "lxmert", dtype, folder)
        asked, table = list(zip(names, texts, strict=True)), [str(number) for number in range(ANSWERS)]

        def answers(count: int) -> list[int]:
            return [int(each.answer) for each in answer_questions(model, tokenizer, asked[:count], store, table)]
    else:
        from transformers import LxmertForQuestionAnswering as Theirs

        theirs = Theirs.from_pretrained(ready("lxmert", folder)).eval()

        def answers(count: int) -> list[int]:
            found = []
            for start in range(0, count, SIDE):
                end = min(start + SIDE, count)
                text = tokenizer(texts[start:end], padding="max_length", max_length=20, return_tensors="pt")
                with torch.inference_mode():
                    out = theirs(**text, **_regions(store, names[start:end]))
                found += out.question_answering_score.argmax(1).tolist()
            return found

    np.save(scores, np.eye(ANSWERS, dtype=np.float32)[answers(SIDE)])
    count = PART_OF_QUESTIONS if who == "ours" else PART_ONE_BY_ONE
    return Job(lambda: answers(SIDE), timed(lambda: answers(count)))


def matching(who: str, folder: Path, scores: str) -> Job:
    """Hold a part of 100 sentences against 100 images; `transformers` a smaller part of the pairs."""
    import torch

    store, tokenizer = _store(folder)
    texts, names = sentences(SENTENCES), [f"image{number:05d}" for number in range(100)]
    if who == "ours":
        from lxmert.inference.bulk import match
        from lxmert.pt import LxmertForPreTraining
        from lxmert.utils.malloc import keep_memory

        keep_memory()
        model = LxmertForPreTraining.from_pretrained(ready("pretraining", folder))
        np.save(scores, match(model, tokenizer, texts[:1], names[:PAIRS], store)[0, :, None])
        return Job(lambda: None, timed(lambda: match(model, tokenizer, texts[:PART_OF_SENTENCES], names, store)))

    from transformers import LxmertForPreTraining as Theirs

    theirs = Theirs.from_pretrained(ready("pretraining", folder)).eval()

    def pairs() -> np.ndarray:
        text = tokenizer([texts[0]] * PAIRS, padding=True, return_tensors="pt")
        with torch.inference_mode():
            out = theirs(**text, **_regions(store, names[:PAIRS]))
        return out.cross_relationship_score.softmax(-1)[:, 1:].numpy()

    np.save(scores, pairs())
    return Job(pairs)


def _store(folder: Path) -> tuple[Any, Any]:
    from lxmert.common.tokenizer import LxmertTokenizer
    from lxmert.data.features import open_regions

    made = ready("store", folder)
    return open_regions(made / "regions"), LxmertTokenizer(str(made / "vocab.txt"))


def _regions(store: Any, names: list[str]) -> dict[str, Any]:
    batch = store.batch(store.places(names), REGIONS)
    return tensors({n: x for n, x in batch.items() if n != "visual_attention_mask"})


def first_answer(who: str, folder: Path, scores: str) -> Job:
    """From the start of Python to the first answer of a model on the disk."""
    made = ready("lxmert", folder)
    given = Path(scores).with_suffix(".npz")
    np.savez(given, **inputs(1))
    code = (
        f"import torch, numpy as np; from {'lxmert.pt' if who == 'ours' else 'transformers'} import "
        "LxmertForQuestionAnswering as M\n"
        f"given = {{n: torch.from_numpy(x) for n, x in np.load({str(given)!r}).items()}}\n"
        f"model = M.from_pretrained({str(made)!r})\n"
        "with torch.inference_mode(): model(**given).question_answering_score.argmax().item()\n"
        "import os; os._exit(0)"
    )

    def run() -> None:
        subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.DEVNULL)

    def child_peak() -> float:
        return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024

    return Job(run, peak=child_peak)


def activations(who: str, folder: Path, scores: str) -> Job:
    """The megabytes that a training step of 32 questions has more at its peak than weights and gradients take."""
    import torch

    package = import_module("lxmert.pt" if who == "ours" else "transformers")
    settings = import_module("lxmert" if who == "ours" else "transformers").LxmertConfig()
    torch.manual_seed(0)
    model = package.LxmertForQuestionAnswering(settings).train()
    given = tensors(inputs(32)) | labels("LxmertForQuestionAnswering", 32)

    def step() -> None:
        model(**given).loss.backward()

    # A step of one question: the gradients are there now.
    return Job(lambda: model(**tensors(inputs(1)), labels=torch.tensor([1])).loss.backward(), lambda: [peak(step)])


JOBS: dict[str, Callable[..., Job]] = {
    each.__name__: each for each in (forward, keras, training, answering, matching, first_answer, activations)
}
# glibc gives back freed memory at once, so that the peak counts memory in use only.
ENVIRONMENT = {"activations": {"MALLOC_MMAP_THRESHOLD_": "65536"}}


def main() -> None:
    """Make the job that the command line names, and serve it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    arguments = json.loads(sys.argv[1])
    job = JOBS[arguments.pop("job")](**arguments | {"folder": Path(arguments["folder"])})
    serve(job.run, job.measure, job.peak)


if __name__ == "__main__":
    main()
