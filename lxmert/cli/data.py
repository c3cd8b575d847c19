"""`lxmert data`: make data sets without a download, in every format that is read; and tables of answers."""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

SUMMARY = "make a data set (synthetic scenes or easy-VQA) in every format that is read, or a table of answers"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of each."""
    sets = parser.add_subparsers(dest="data", metavar="DATA", required=True)
    scenes = sets.add_parser(
        "scenes",
        help="synthetic images of three to six shapes",
        description="Draw images of three to six shapes, and write captions, statements and questions of four kinds: "
        "attribute, relation, counting, comparison.",
    )
    easy = sets.add_parser(
        "easy-vqa",
        help="the images and questions of the package easy-vqa",
        description="Write the images and questions of the package easy-vqa, with captions and statements made from "
        "them. A tenth of its training images is for validation.",
    )
    _add_answers(
        sets.add_parser(
            "answers",
            help="the table of answers of training questions",
            description="Collect the answers that a model is to choose from: those that are the best answer to some "
            "training questions, the most frequent first.",
        )
    )
    for each in (scenes, easy):
        each.add_argument("output", metavar="FOLDER", help="a new or empty folder for the data set")
        each.add_argument("--seed", type=int, default=0, help="equal seeds give equal files (default: 0)")
        each.add_argument(
            "--dtype",
            choices=("float32", "float16"),
            default="float32",
            help="dtype of the features; float16 takes half the size (default: float32)",
        )
        each.add_argument("--quiet", action="store_true", help="print nothing but errors")
    scenes.add_argument("--images", type=int, default=10_000, help="the number of images (default: 10000)")
    scenes.add_argument("--size", type=int, default=128, help="width and height in pixels (default: 128)")
    scenes.add_argument("--keep-images", action="store_true", help="write the images too, as PNG files")
    scenes.add_argument(
        "--processes", type=int, help="processes that draw; the files do not depend on it (default: one per CPU)"
    )
    easy.add_argument(
        "--max-images", type=int, metavar="IMAGES", help="use at most this many images of each split, for a quick try"
    )
    easy.add_argument(
        "--variants",
        type=int,
        default=0,
        metavar="N",
        help="add N changed versions of each training image: other sizes, places, shades, backgrounds, more shapes "
        "(default: 0)",
    )


def _add_answers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("train", nargs="+", metavar="TRAIN", help="files of questions with answers, in any layout")
    parser.add_argument("--output", metavar="FILE", required=True, help="the table: a JSON list")
    parser.add_argument(
        "--min-count",
        type=int,
        metavar="N",
        help="leave out answers that are the best one of fewer questions (default: 9 as in the original where there "
        "are 100,000 questions or more, otherwise 1)",
    )
    parser.add_argument("--task", choices=("vqa", "gqa"), default="vqa", help="what the questions are (default: vqa)")
    parser.add_argument("--quiet", action="store_true", help="print nothing but errors")


def _make_answers(arguments: argparse.Namespace) -> int:
    from lxmert.data.datasets import make_answer_table, read_gqa, read_vqa, write_answer_table
    from lxmert.utils.messages import escaped
    from lxmert.utils.paths import check_path

    check_path("--output", arguments.output)
    if arguments.min_count is not None and arguments.min_count < 1:
        raise ValueError(f"--min-count must be 1 or more; got {arguments.min_count}.")
    questions = (read_vqa if arguments.task == "vqa" else read_gqa)(arguments.train)
    table = make_answer_table(questions, arguments.min_count)
    write_answer_table(arguments.output, table.answers)
    if not arguments.quiet:
        print(escaped(f"wrote {arguments.output}: {table}"))
    return 0


def run(arguments: argparse.Namespace) -> int:
    """Make the data set, and print its counts and the scores of the baselines; or make a table of answers."""
    if arguments.data == "answers":
        return _make_answers(arguments)
    progress = not arguments.quiet
    start = time.perf_counter()
    if arguments.data == "scenes":
        from lxmert.data.synthetic.scenes.generate import make_scenes

        processes = _cpus() if arguments.processes is None else arguments.processes
        summary = make_scenes(
            arguments.output,
            arguments.images,
            arguments.seed,
            arguments.size,
            arguments.keep_images,
            arguments.dtype,
            processes,
            progress,
        )
    else:
        from lxmert.data.synthetic.easy_vqa_export import write_easy_vqa

        summary = write_easy_vqa(
            arguments.output, arguments.seed, arguments.dtype, arguments.max_images, arguments.variants, progress
        )
    if not arguments.quiet:
        _print_summary(summary, arguments.output, time.perf_counter() - start)
    return 0


def _cpus() -> int:
    try:
        return len(os.sched_getaffinity(0))  # those that this process may use
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def _print_summary(summary: dict[str, Any], folder: str, seconds: float) -> None:
    from lxmert.utils.messages import escaped

    columns = ("images", "questions", "statements", "captions")
    print("".join(f"{name:>12}" for name in ("", *columns)))
    for split, counts in summary["splits"].items():
        print(f"{split:>12}" + "".join(f"{counts[name]:>12,}" for name in columns))
    print("\nCorrect answers to test questions, knowing only")
    kinds = sorted(kind for kind in summary["baselines"]["question only"] if kind != "all")
    print(f"{'':17}" + "".join(f"{kind:>12}" for kind in (*kinds, "all")))
    for name, rates in summary["baselines"].items():
        print(f"{'the ' + name:17}" + "".join(f"{rates[kind]:>12.1%}" for kind in (*kinds, "all")))
    print()
    print(escaped(f"wrote {folder} in {seconds:.0f} s"))
