"""`lxmert features`: make a store of region features, of published ones or of photographs; check and describe stores.

Each action is a module of this package.
"""

from __future__ import annotations

import argparse

from . import checking, describing, extracting, importing

SUMMARY = "make a store of region features, of published ones or of photographs; check a store; describe a store"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for action in (importing, extracting, checking, describing):
        action.add_parser(actions)


def run(arguments: argparse.Namespace) -> int:
    """Run the action; the exit status is 1 if a check finds damage."""
    actions = {"import": importing, "extract": extracting, "check": checking, "info": describing}
    return actions[arguments.action].run(arguments)
