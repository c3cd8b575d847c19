"""How long a text may be that a model reads."""

from __future__ import annotations

# Characters, far above any question or sentence about an image. Tokenizing takes some microseconds for each.
LONGEST_TEXT = 100_000
