"""Names of images in a store by a pattern, such as ``COCO_val2014_{id:012}``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from lxmert.utils.messages import shown
from lxmert.utils.setting_names import setting

_FIELD = re.compile(r"\{(\w+)(?::0(\d{1,2}))?\}")


class NamePattern:
    """A pattern with one field.

    Args:
        pattern: has ``{field}`` in it once, or ``{field:012}`` for a number of twelve digits.
        fields: the fields that it may have.

    Raises:
        ValueError: another pattern.
    """

    def __init__(self, pattern: str, fields: Sequence[str] = ("id",)):
        found = [match[0] for match in _FIELD.findall(pattern)]
        if len(found) != 1 or found[0] not in fields:
            choice = " or ".join(f"{{{field}}}" for field in fields)
            raise ValueError(
                f"{setting('names')} must have {choice} in it once, or {{{fields[0]}:012}} for a number of twelve "
                f"digits; got {shown(pattern)}."
            )
        self._pattern = pattern

    def name(self, values: Mapping[str, str]) -> str:
        """The name of an image.

        Args:
            values: of the fields.

        Raises:
            ValueError: the pattern needs a number, and the value is none.
        """
        return _FIELD.sub(lambda found: _padded(values[found[1]], found[2]), self._pattern)


def _padded(value: str, digits: str | None) -> str:
    if digits is None:
        return value
    if not (value.isascii() and value.isdigit()):
        raise ValueError(f"{setting('names')} requires a number of {digits} digits; the image's id is {shown(value)}.")
    return value.zfill(int(digits))
