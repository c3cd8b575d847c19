"""One HTML file that shows why a model gives an answer: its picture, regions, words and answers, without other files.

The page makes no request: its Content-Security-Policy allows the style and the script that this package wrote, by
their hashes, and images inside the page, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import html
import re
from collections.abc import Sequence
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from lxmert.explain.views import ImageView
from lxmert.utils.atomic_files import write_text
from lxmert.utils.messages import escaped

from .data import data_text

__all__ = ["write_page"]

_SCRIPTS = ("numbers.js", "picture.js", "panel.js", "page.js")


def write_page(
    path: str | Path,
    title: str,
    images: Sequence[ImageView],
    *,
    lead: str = "",
    figures: Sequence[Sequence[str]] = (),
) -> None:
    """Write the page.

    Args:
        path: the HTML file.
        title: its heading.
        images: what it shows.
        lead: a sentence below the heading; none if empty.
        figures: rows of a table below that: a name, and a value for each column; the first row is the heading.

    Raises:
        ValueError: arrays of the images do not fit together, or hold values that are not finite.
        ImportError: pillow is not installed.
    """
    files = resources.files(__package__)
    style = _text(files, "page.css")
    script = '"use strict";\n' + "".join(_text(files, name) for name in _SCRIPTS)
    parts = {
        "style_hash": _hash(style),
        "script_hash": _hash(script),
        "style": style,
        "script": script,
        "title": _safe(title),
        "lead": f'<p class="lead">{_safe(lead)}</p>' if lead else "",
        "figures": _table(figures),
        "data": data_text(images),
    }
    # In one pass, so that nothing in a text is taken for the name of a part.
    write_text(path, re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _text(files, "page.html")))


def _text(files: Traversable, name: str) -> str:
    return files.joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _safe(text: str) -> str:
    return html.escape(escaped(text))


def _table(rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    heading, *others = rows
    head = "".join(f'<th scope="col">{_safe(cell)}</th>' if cell else "<td></td>" for cell in heading)
    body = "".join(
        f'<tr><th scope="row">{_safe(name)}</th>{"".join(f"<td>{_safe(cell)}</td>" for cell in cells)}</tr>'
        for name, *cells in others
    )
    return f'<div class="figures"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
