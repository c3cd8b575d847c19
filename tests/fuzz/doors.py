"""The doors that files come through: for each a function that does what a user's command or call does."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .sources import Source

Door = Callable[["Visit"], None]


class Visit:
    """What a door is given.

    Attributes:
        folder: of the case's files.
        source: what they were before the damage.
        undamaged: the folder of the same files without damage.
        variant: a number that chooses between the ways of a door.
        error: what the door raised, "" before.
    """

    def __init__(self, folder: Path, source: Source, undamaged: Path, variant: int):
        self.folder, self.source, self.undamaged, self.variant = folder, source, undamaged, variant
        self.error = ""

    def paths(self, folder: Path | None = None) -> list[Path]:
        """What is opened."""
        folder = folder or self.folder
        return [folder / name for name in self.source.opened] or [folder]

    def arguments(self) -> list[str]:
        """Options of a command, with whole paths."""
        return [str(self.folder / text[1:]) if text.startswith("@") else text for text in self.source.options]


def command(visit: Visit, *arguments: str | Path) -> int:
    """A command of `lxmert` in this process; what a user can cause is raised instead of printed.

    One case of twenty goes through all of it. The others share one parser: to make it takes longer than they do.
    """
    cli = importlib.import_module("lxmert.cli")
    given = [str(argument) for argument in arguments]
    errors, cli.USER_ERRORS = cli.USER_ERRORS, ()
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            if visit.variant % 20 == 1:
                return int(cli.main(given))
            parsed = _parser(given[0]).parse_args(given[1:])
            return int(parsed.run(parsed))
    finally:
        cli.USER_ERRORS = errors


@cache
def _parser(command: str) -> Any:
    module = importlib.import_module(f"lxmert.cli.{command}")
    parser = importlib.import_module("lxmert.cli.parser").Parser(prog=command)
    module.add_arguments(parser)
    parser.set_defaults(run=module.run)
    return parser


# Weights


def read_all(visit: Visit) -> None:
    """Open, fit to the model, and read all that is there."""
    from lxmert.weights.formats import open_weights
    from lxmert.weights.load import match_parameters
    from lxmert.weights.open import open_checkpoint

    [path] = visit.paths()
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


def inspect(visit: Visit) -> None:
    """`lxmert inspect`."""
    [path] = visit.paths()
    command(visit, "inspect", path, *(("--json",) if visit.variant % 2 else ("--all",)))


def compare(visit: Visit) -> None:
    """`lxmert compare` with the same file without damage."""
    [path], [other] = visit.paths(), visit.paths(visit.undamaged)
    command(visit, "compare", *((path, other) if visit.variant % 2 else (other, path)))


def convert(visit: Visit) -> None:
    """`lxmert convert` to one of the formats that are written."""
    [path] = visit.paths()
    kinds = ("new", "new.weights.h5", "new.keras", "new.h5")
    kind = kinds[visit.variant // 3 % (4 if visit.source.options[0] == "LxmertModel" else 3)]  # others have no .h5
    command(visit, "convert", path, visit.folder / "out" / kind, "--quiet")


def from_pretrained(backend: str) -> Door:
    """`from_pretrained` of a backend."""

    def load(visit: Visit) -> None:
        [path] = visit.paths()
        _model_class(backend, visit).from_pretrained(path)

    return load


def load_weights(visit: Visit) -> None:
    """`load_weights` of Keras."""
    [path] = visit.paths()
    _keras_model(visit.source.options[0], visit.undamaged / visit.source.opened[0]).load_weights(path)


@cache
def _keras_model(name: str, path: Path) -> Any:
    return importlib.import_module("lxmert.tf").__dict__[f"TF{name}"].from_pretrained(path)


def _model_class(backend: str, visit: Visit) -> Any:
    name = visit.source.options[0]
    module = importlib.import_module(f"lxmert.{backend}")
    return getattr(module, f"TF{name}" if backend == "tf" else name)


# Features


def import_features(visit: Visit) -> None:
    """`lxmert features import`, then `check`."""
    target = visit.folder / "out" / "store"
    more = ("--skip-damaged",) if visit.variant % 3 == 0 else ()
    command(visit, "features", "import", *visit.paths(), target, *visit.arguments(), *more)
    if command(visit, "features", "check", target):
        raise AssertionError("what was imported is damaged")


def check_features(visit: Visit) -> None:
    """`lxmert features check`; damage that it lists counts as refused."""
    [path] = visit.paths()
    if command(visit, "features", "check", path, *(("--json",) if visit.variant % 2 else ())):
        raise ValueError(f"{path} is damaged, as it says itself")


def read_store(visit: Visit) -> None:
    """Open a store, and read all of it."""
    from lxmert.data.features import open_regions

    [path] = visit.paths()
    store = open_regions(path)
    names = store.names
    store.sizes(range(len(names)))
    for start in range(0, len(names), 2):
        store.batch(range(start, min(start + 2, len(names))), labels=True)
    assert store.places(names).tolist() == list(range(len(names)))


# Pictures and texts


def open_picture(visit: Visit) -> None:
    """`open_image`."""
    from lxmert.vision.images import open_image

    [path] = visit.paths()
    pixels = open_image(path)
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3


def ask(visit: Visit) -> None:
    """A question about a picture, in PyTorch."""
    [path] = visit.paths()
    answerer()(answerer().find_regions([path]), ["what color is the circle?"])


@cache
def answerer() -> Any:
    """The answerer of the included checkpoint."""
    from lxmert import VisualQuestionAnswering

    return VisualQuestionAnswering.from_pretrained("easy-vqa", backend="pt")


def read_config(visit: Visit) -> None:
    """A configuration, also as its text."""
    from lxmert.common.config import config_from_pretrained

    [path] = visit.paths()
    config = config_from_pretrained(path)
    repr(config), config.to_dict(), config.to_diff_dict()


def read_tokenizer(visit: Visit) -> None:
    """A tokenizer, which tokenizes a text and decodes the ids."""
    from lxmert.common.tokenizer import LxmertTokenizer

    [path] = visit.paths()
    tokenizer = LxmertTokenizer.from_pretrained(path)
    encoded = tokenizer(["want a lowest, b?", "unwanted [MASK]"], truncation=True, max_length=16)
    tokenizer.decode(encoded["input_ids"][0])
    tokenizer.get_vocab()


def read_data_set(visit: Visit) -> None:
    """One of the readers of data sets."""
    import lxmert.data.datasets as datasets

    examples = getattr(datasets, visit.source.options[0])(visit.paths())
    assert len(examples)


def read_results(visit: Visit) -> None:
    """A file of results."""
    from lxmert.data.metrics import read_flickr30k_results, read_vcr_results
    from lxmert.data.metrics.result_reader import read_result_file

    [path], task = visit.paths(), visit.source.options[0]
    if task == "vcr":
        read_vcr_results([path])
    elif task == "flickr30k":
        read_flickr30k_results(path)
    else:
        read_result_file(task, path)


def read_list(visit: Visit) -> None:
    """A table of answers, names of objects, metadata of a picture, or settings."""
    from lxmert.data.datasets.vcr_metadata import read_vcr_metadata
    from lxmert.data.features.label_names import read_label_names
    from lxmert.training.settings import read_settings
    from lxmert.weights.answer_vocabulary import read_answer_vocabulary

    readers: dict[str, Callable[[Path], Any]] = {
        "answers": read_answer_vocabulary,
        "labels": read_label_names,
        "metadata": read_vcr_metadata,
        "settings": read_settings,
    }
    [path] = visit.paths()
    readers[visit.source.options[0]](path)


DOORS: dict[str, Door] = {
    "open": read_all,
    "inspect": inspect,
    "compare": compare,
    "convert": convert,
    "pt": from_pretrained("pt"),
    "tf": from_pretrained("tf"),
    "keras": load_weights,
    "import": import_features,
    "check": check_features,
    "store": read_store,
    "picture": open_picture,
    "ask": ask,
    "config": read_config,
    "tokenizer": read_tokenizer,
    "dataset": read_data_set,
    "results": read_results,
    "list": read_list,
}
BACKENDS = {"pt": "pt", "ask": "pt", "ask many": "pt", "ask blanks": "pt", "tf": "tf", "keras": "tf"}
"""The doors that need a framework: a worker with that framework takes them."""


def backend_of(door: str) -> str:
    """The framework that a door needs; "" without."""
    return BACKENDS.get(door, "")


def prepare(backend: str) -> None:
    """Import a framework, once for all cases."""
    if backend:
        importlib.import_module(f"lxmert.{backend}")
    elif sys.modules.keys() & {"torch", "tensorflow"}:
        raise AssertionError("a framework was imported where none is needed")


def doors_of(source: Source, wanted: Sequence[str] | None) -> list[str]:
    """The doors of a source among those that are wanted."""
    return [door for door in source.doors if wanted is None or door in wanted]
