"""Rows of the table: TSV and JSON."""

from .. import region_files
from . import IMAGES, Case

TEXT_CASES = [
    Case(
        "TSV of bottom-up-attention",
        lambda folder: region_files.write_tsv(folder / "a.tsv", IMAGES, region_files.bottom_up_line),
    ),
]
