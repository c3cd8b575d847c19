"""Documented arguments of `transformers` that say nothing here: accepted with their neutral values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class Neutral(NamedTuple):
    """The values of an argument that ask for nothing, and why another is refused; () accepts every value."""

    values: tuple[Any, ...]
    reason: str = ""


IGNORED = Neutral(())
_NO_CODE = "no code from a repository is ever run"

# Those of every `from_pretrained`.
SHARED = {
    # What `transformers` ignores too.
    "resume_download": IGNORED,
    "mirror": IGNORED,
    # What its Auto classes and pipelines pass on.
    "_from_auto": IGNORED,
    "_from_pipeline": IGNORED,
    # What has no meaning here.
    "trust_remote_code": Neutral((None, False), _NO_CODE),
    "code_revision": Neutral((None,), _NO_CODE),
    "proxies": Neutral((None,), "set HTTPS_PROXY in the environment"),
    "gguf_file": Neutral((None,), "there are no GGUF files of these models"),
}
# What `save_pretrained` of `transformers` takes for uploading.
PUSHING = ("repo_id", "commit_message", "private", "token", "revision", "create_pr", "tags", "commit_description")


def drop_neutral(owner: str, options: dict[str, Any], table: Mapping[str, Neutral] = SHARED) -> None:
    """Take the arguments of a table out of a dict.

    Raises:
        ValueError: one of them has another value than its neutral ones; the message says why.
    """
    for name in [name for name in options if name in table]:
        value, (values, reason) = options.pop(name), table[name]
        if reason and not any(value is neutral or (neutral is not None and value == neutral) for neutral in values):
            raise ValueError(f"{owner}: {name} must be {' or '.join(map(repr, values))}: {reason}. Got {value!r}.")
