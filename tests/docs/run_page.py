"""Runs the code blocks of pages, each by itself: `python -m tests.docs.run_page PAGE ...`.

A Python block gets a namespace of its own, a shell block its commands one after the other, and each a new folder with
the files of `pages.make_files`. Prints a line of JSON for every block that ran. Separate from the test, because the
blocks want processes of their own.
"""

import json
import os
import runpy
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from tests.docs.pages import ROOT, Block, blocks_of, make_files


def run_command(command: str) -> None:
    """Run a command of a shell block in this process."""
    words = shlex.split(command, comments=True)
    if words[0] == "lxmert":
        from lxmert.cli import main

        status = main(words[1:])
        assert status == 0, f"status {status}: {command}"
    else:
        assert words[0] == "python", f"neither lxmert nor python: {command}"
        sys.argv = words[1:]
        runpy.run_path(str(ROOT / words[1]), run_name="__main__")


def run(block: Block) -> None:
    """Run a block in the current folder."""
    if block.language == "sh":
        for command in block.commands:
            run_command(command)
    else:
        code = compile("\n" * block.line + block.text, block.page, "exec")
        exec(code, {"__name__": "__main__"})


def main(page: str) -> None:
    """Run all blocks of a page."""
    blocks = [block for block in blocks_of(page) if not block.not_run]
    with tempfile.TemporaryDirectory() as name:
        files = Path(name) / "files"
        make_files(files, "".join(block.text for block in blocks))
        for block in blocks:
            folder = Path(name) / f"line {block.line}"
            shutil.copytree(files, folder)
            os.chdir(folder)
            run(block)
            print("\n" + json.dumps({"page": page, "line": block.line}), flush=True)
        os.chdir(ROOT)


if __name__ == "__main__":
    for page in sys.argv[1:]:
        main(page)
