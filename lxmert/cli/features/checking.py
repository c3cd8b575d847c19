"""`lxmert features check`: damage of stores."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from lxmert.cli.options import json_text, plain_json, progress_bar

if TYPE_CHECKING:
    from lxmert.data.features.check import CheckReport

_LISTED = 20  # damaged images listed without --all


def add_parser(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the arguments."""
    check = actions.add_parser(
        "check",
        help="read stores from end to end, and name every damaged image",
        description="Read stores from end to end. The exit status is 1 if anything is damaged.",
    )
    check.add_argument("folders", nargs="+", metavar="FOLDER", help="stores")
    check.add_argument("--all", action="store_true", help="list every damaged image")
    check.add_argument("--json", action="store_true", help="print JSON, with every damaged image")


def run(arguments: argparse.Namespace) -> int:
    """Check; the exit status is 1 if anything is damaged."""
    from lxmert.data.features import check_regions

    with progress_bar("checking", arguments.json) as progress:
        report = check_regions(arguments.folders, progress)
    if arguments.json:
        print(json_text({"good": report.good, **plain_json(report)}))
    else:
        _print_check(report, len(arguments.folders), None if arguments.all else _LISTED)
    return 0 if report.good else 1


def _print_check(report: CheckReport, folders: int, most: int | None) -> None:
    from lxmert.utils.messages import escaped, first_few, shown

    for finding in report.damage[:most]:
        where = "" if finding.image is None else f"{finding.folder}, image {shown(finding.image)}: "
        print(escaped(where + finding.what))
    if most is not None and len(report.damage) > most:
        print(f"and {len(report.damage) - most:,} more (--all)")
    if report.repeated:
        print(
            f"{len(report.repeated):,} images are in several of the folders; the first folder's are used: "
            f"{first_few(report.repeated)}"
        )
    images = len({(finding.folder, finding.image) for finding in report.damage if finding.image is not None})
    unusable = len({finding.folder for finding in report.damage if finding.image is None})
    found = [f"{images:,} damaged"] if images else []
    found += [f"{unusable:,} of {folders:,} folders not usable"] if unusable else []
    print(f"{report.images:,} images, {report.regions:,} regions: {', '.join(found) or 'no damage'}")
