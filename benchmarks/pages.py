"""Tables within pages, between two comments that say what made them."""

from __future__ import annotations

import re
from pathlib import Path

BEGIN, END = "<!-- {}: made by benchmarks/{}.py -->", "<!-- {}: end -->"


def put(page: Path, name: str, made: str, script: str) -> None:
    """Write another table of this name into a page.

    Raises:
        SystemExit: the page has no place for it.
    """
    begin, end = BEGIN.format(name, script), END.format(name)
    text = page.read_text()
    if begin not in text or end not in text:
        raise SystemExit(f"{page} has no place for the table: two lines, {begin} and {end}.")
    found = f"{begin}\n{made}\n{end}"
    page.write_text(re.sub(f"{re.escape(begin)}.*{re.escape(end)}", lambda _: found, text, flags=re.DOTALL))
