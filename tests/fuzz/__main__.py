"""Run the fuzzer from the command line; the exit status is 1 if a case failed."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from .cases import Plan
from .harness import fuzz
from .recipes import RecipePlan, make_recipes
from .sources import make_sources


def main() -> int:
    """Run."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=200_000, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="another one makes other damage (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the number of the first case (default: %(default)s)")
    parser.add_argument(
        "--kinds", nargs="+", metavar="KIND", help="beginnings of kinds, such as weights or picture/PNG"
    )
    parser.add_argument(
        "--doors", nargs="+", metavar="DOOR", choices=RecipePlan.doors, help=", ".join(RecipePlan.doors)
    )
    parser.add_argument(
        "--recipes",
        nargs="*",
        metavar="RECIPE",
        help="fixed cases instead: all, or these by the beginnings of their names",
    )
    parser.add_argument(
        "--once", action="store_true", help="each recipe at each door with one kind of file, not with all"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes at the same time (default: %(default)s)")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="folder for the files that failed")
    parser.add_argument("--list", action="store_true", help="list the kinds and their doors")
    given = parser.parse_args()
    if given.recipes is not None:
        plan: Plan | RecipePlan = RecipePlan(
            make_recipes(), given.recipes or None, given.kinds, given.doors, given.once
        )
        given.first, given.cases = 0, len(plan)
    else:
        plan = Plan(make_sources(), given.seed, given.kinds, given.doors)
    if given.list:
        for kind, source in plan.sources.items():
            print(f"{kind}: {', '.join(source.doors)}; {sum(map(len, source.files.values())):,} bytes")
        return 0
    report = fuzz(plan, given.cases, given.first, given.jobs, given.keep, lambda line: print(line, flush=True))
    print(report.table())
    print(f"{report.cases:,} cases, {len(report.failures):,} failed")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
