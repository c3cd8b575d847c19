"""Short trainings with an engine, the same code for one process and for several.

`torchrun -m tests.training.engine_runs STRATEGY FOLDER` makes them all and writes what came out into the folder.
"""

import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.distributed.tensor import DTensor

from lxmert.pt import (
    LxmertForPreTraining,
    LxmertForQuestionAnswering,
    LxmertForVisualReasoning,
    VisualBertForPreTraining,
)
from lxmert.training.pt.engine import Engine, make_engine, shutdown_distributed
from lxmert.training.pt.optimizers import make_optimizer
from lxmert.training.pt.unused_parameters import freeze_unused_parameters
from tests.pt.tensors import tensors
from tests.small import LABELS as ANSWERS
from tests.small import WORDS, answer_scores, small_config, small_inputs, small_labels

ROWS, STEPS = 4, 3


class Run(NamedTuple):
    """A class and how it is trained."""

    kind: Any
    optimizer: str = "adamw"
    losses: tuple[str, ...] | None = None  # of pre-training; None for all
    parts: int = 1  # of a step
    checkpointing: bool = False
    broken: bool = False  # stopped after half of the steps, and gone on with anew
    layers: int = 1  # of each kind


RUNS = {
    "questions": Run(LxmertForQuestionAnswering),
    "questions, accumulated": Run(LxmertForQuestionAnswering, parts=2),
    "questions, broken off": Run(LxmertForQuestionAnswering, broken=True),
    "pre-training": Run(LxmertForPreTraining, "bert_adam"),
    "pre-training, all together": Run(
        LxmertForPreTraining, "bert_adam", parts=2, checkpointing=True, broken=True, layers=2
    ),
    "words and match": Run(LxmertForPreTraining, losses=("words", "match")),
    "features": Run(LxmertForPreTraining, losses=("features",), parts=2),
    "reasoning": Run(LxmertForVisualReasoning, checkpointing=True),
    "VisualBERT": Run(VisualBertForPreTraining, "bert_adam"),
}
LABELS = {"labels": "words", "matched_label": "match", "ans": "answers"}
OBJECTS = {"obj": "objects", "attr": "attributes", "feat": "features"}


def batch_of(run: Run, seed: int) -> dict[str, Any]:
    """The inputs and labels of a step. Every row has equally many labels: so parts of equal size count alike."""
    draw = np.random.default_rng(seed)
    name = run.kind.__name__
    given = small_inputs(name, ROWS, seed=seed)
    if run.kind is LxmertForQuestionAnswering:
        return given | {"labels": answer_scores(ROWS, seed)}
    labels = small_labels(name, ROWS, seed=seed)
    if run.kind is LxmertForVisualReasoning:
        return given | labels
    labels["labels"] = draw.integers(0, WORDS, labels["labels"].shape)
    if run.kind is VisualBertForPreTraining:
        return given | labels
    labels["ans"] = draw.integers(0, ANSWERS, ROWS)
    if run.losses is not None:
        labels = {key: value for key, value in labels.items() if key == "obj_labels" or LABELS[key] in run.losses}
        objects = {key: value for key, value in labels.pop("obj_labels").items() if OBJECTS[key] in run.losses}
        labels |= {"obj_labels": objects} if objects else {}
    return given | labels


def rows_of(tree: Any, rows: slice, dtype: torch.dtype) -> Any:
    """Some rows of a batch as tensors, fractions in a dtype."""
    if isinstance(tree, dict):
        return {name: rows_of(value, rows, dtype) for name, value in tree.items()}
    if isinstance(tree, tuple):
        return tuple(rows_of(value, rows, dtype) for value in tree)
    taken = tensors(tree[rows])
    return taken.to(dtype) if taken.is_floating_point() else taken


def new_model(run: Run, seed: int) -> Any:
    """A model with drawn weights; large ones, so that a mistake shows."""
    torch.manual_seed(seed)
    fields = ("num_hidden_layers",) if run.kind is VisualBertForPreTraining else ("l_layers", "r_layers", "x_layers")
    config = small_config(run.kind.__name__, **dict.fromkeys(fields, run.layers))
    model = run.kind(config.replace(initializer_range=0.2)).double().train()
    if run.checkpointing:
        model.gradient_checkpointing_enable()
    freeze_unused_parameters(model, run.losses)
    return model


def prepared(engine: Engine, run: Run, seed: int, weights: dict[str, torch.Tensor] | None = None) -> tuple[Any, Any]:
    # Every process draws other weights: those of the main one count.
    model = new_model(run, seed + engine.rank)
    if weights is not None:
        model.load_state_dict(weights)
    return engine.prepare(model, lambda model: make_optimizer(model, run.optimizer, 0.002, 0.01))


def trained(engine: Engine, run: Run, module: Any, optimizer: Any, steps: range) -> np.ndarray:
    """Make some steps. Returns the loss and the norm of the gradients of each."""
    told, size = [], ROWS // run.parts // engine.world
    for step in steps:
        batch, loss = batch_of(run, step), 0.0
        for part in range(run.parts):
            first = (part * engine.world + engine.rank) * size
            given = rows_of(batch, slice(first, first + size), torch.float64)
            with engine.accumulating(module, last=part == run.parts - 1):
                with engine.autocast():
                    own = module(**given).loss / run.parts
                engine.backward(own)
            loss += float(own.detach())
        norm = float(engine.clip(module, optimizer, 1.0))
        optimizer.step()
        optimizer.zero_grad()
        told.append([float(engine.sum(np.array(loss))) / engine.world, norm])
    return np.array(told)


def evaluated(engine: Engine, run: Run, module: Any) -> np.ndarray:
    """What the model scores first, of every row of a batch."""
    size = ROWS // engine.world
    given = rows_of(batch_of(run, 99), slice(engine.rank * size, (engine.rank + 1) * size), torch.float64)
    module.eval()
    with torch.no_grad():
        scores = module(**given)[1]
    module.train()
    return engine.gather(scores.numpy())


def outcome(engine: Engine, run: Run) -> dict[str, Any]:
    """Train, and tell losses, norms, scores, weights and the optimizer's state; empty for all but the main process."""
    module, optimizer = prepared(engine, run, 0)
    if run.broken:
        told = trained(engine, run, module, optimizer, range(STEPS // 2))
        evaluated(engine, run, module)  # so that FSDP2's root is whole when its parts are asked for
        weights, state = engine.weights(module), engine.optimizer_state(module, optimizer)
        kept = [weights, state]
        if engine.world > 1:
            torch.distributed.broadcast_object_list(kept, 0)
        module, optimizer = prepared(engine, run, 7, kept[0])
        evaluated(engine, run, module)
        engine.load_optimizer_state(module, optimizer, kept[1])
        told = np.concatenate([told, trained(engine, run, module, optimizer, range(STEPS // 2, STEPS))])
    else:
        told = trained(engine, run, module, optimizer, range(STEPS))
    scores = evaluated(engine, run, module)
    weights, state = engine.weights(module), engine.optimizer_state(module, optimizer)
    if not engine.is_main:
        assert not weights
        assert not state
        return {}
    return {
        "told": told,
        "scores": scores,
        **{f"weights/{name}": tensor.numpy() for name, tensor in weights.items()},
        **{f"state/{name}": np.asarray(values) for name, values in state.items()},
    }


def held(engine: Engine) -> dict[str, np.ndarray]:
    """How much of the numbers of a model this process holds, and how much of those that are the optimizer's."""
    module, optimizer = prepared(engine, RUNS["pre-training"], 0)
    trained(engine, RUNS["pre-training"], module, optimizer, range(1))
    whole = sum(tensor.numel() for tensor in module.parameters())
    states = [entry["exp_avg"] for entry in optimizer.state.values()]
    parts = [sum(_own(tensor).numel() for tensor in tensors) for tensors in (module.parameters(), states)]
    return {"held": np.array(parts) / whole}


def _own(tensor: torch.Tensor) -> torch.Tensor:
    """What lies in this process of a tensor."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def between(engine: Engine) -> dict[str, np.ndarray]:
    """What passes between the processes, in all the forms that it may have."""
    rank = engine.rank
    engine.barrier()
    return {
        "sum": engine.sum(np.array([[1.5, rank], [2.0**40, -1.0]])),
        "sum of counts": engine.sum(np.array([rank + 1, 2**40])),
        "rows": engine.gather(np.arange((rank + 1) * 3, dtype=np.float32).reshape(-1, 3)),
        "none of some": engine.gather(np.full(rank, 7)),
        "truths": engine.gather(np.array([rank == 0, True])),
        "none": engine.gather(np.zeros((0, 4), np.float16)),
    }


def in_bfloat16(strategy: str) -> dict[str, np.ndarray]:
    """One step under autocast: what it computes in, and what it keeps."""
    engine, run = make_engine(strategy, "bfloat16", "cpu"), RUNS["pre-training"]
    module, optimizer = prepared(engine, run, 0)
    size = ROWS // engine.world
    given = rows_of(batch_of(run, 0), slice(engine.rank * size, (engine.rank + 1) * size), torch.float32)
    with engine.autocast():
        output = module(**given)
    engine.backward(output.loss)
    norm = engine.clip(module, optimizer, None)
    optimizer.step()
    kinds = {tensor.dtype for tensor in engine.weights(module).values()}
    found = [output.prediction_logits.dtype == torch.bfloat16, output.loss.dtype == torch.float32]
    return {"found": np.array([*found, not engine.is_main or kinds == {torch.float32}, np.isfinite(float(norm))])}


def refused(engine: Engine) -> dict[str, np.ndarray]:
    """The messages of what is refused."""
    told = {}
    run = Run(LxmertForPreTraining)
    module, optimizer = engine.prepare(
        new_model(run, 0), lambda model: torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 0.1)
    )
    half = slice(engine.rank, engine.rank + 1)
    given = rows_of(batch_of(run._replace(losses=("words", "match")), 0), half, torch.float64)
    engine.backward(module(**given).loss)
    try:
        engine.clip(module, optimizer, 1.0)
    except RuntimeError as error:
        told["no gradient"] = str(error)
    if engine.world > 1:
        try:
            make_engine("single", "float64", "cpu")
        except ValueError as error:
            told["single"] = str(error)
    return {name: np.array(text) for name, text in told.items()}


def everything(strategy: str) -> dict[str, dict[str, Any]]:
    """What came out of every run, and of the rest."""
    engine = make_engine(strategy, "float64", "cpu")
    results = {name: outcome(engine, run) for name, run in RUNS.items()}
    results |= {
        "between": between(engine),
        "refused": refused(engine),
        "bfloat16": in_bfloat16(strategy),
        "held": held(engine),
    }
    return results if engine.is_main else {}


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    for case, arrays in everything(sys.argv[1]).items():
        np.savez(Path(sys.argv[2]) / f"{case}.npz", **arrays)
    shutdown_distributed()
