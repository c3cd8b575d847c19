"""Damage of .npy files: other headers of the right length in front of the same numbers."""

from __future__ import annotations

import random
import re

from .any_bytes import damaged
from .parts import LARGE, NUMBERS

_DTYPES = (
    *("'<f4'", "'<f8'", "'<f2'", "'>f4'", "'|u1'", "'|b1'", "'<i8'", "'<u8'", "'|O'", "'<c16'", "'<M8[ns]'", "'<m8'"),
    *(
        "'|S0'",
        "'|S5'",
        "'<U3'",
        "'<U1000000000'",
        "'|V0'",
        "'|V7'",
        "'|V4000000000'",
        "'f4, f4'",
        "'3f4'",
        "'(2,3)f4'",
    ),
    *("'(2000000000,)f4'", "'float'", "''", "'x'", "None", "5", "[]", "[('a', '<f4')]", "[('a', '<f4'), ('a', '<f4')]"),
    *("[('', '<f4', (0,))]", "[('a', [('b', [('c', '<f4', (99999,))], (99999,))])]", "('<f4', (3,))", "{'names': []}"),
    *("'<f16'", "'|S2147483648'", "'<f4' '<f4'", "'<f4'*1000000", "__import__('os')", "b'<f4'", "'<f4\\x00'", "1j"),
)
_NESTED = (
    "(" * 150 + ")" * 150,
    "[" * 3000 + "]" * 3000,
    "-" * 5000 + "1",
    "{" * 90 + "}" * 90,
    "(1," * 500 + ")" * 500,
)


def damaged_npy(draw: random.Random, content: bytes) -> bytes:
    """A file with another header."""
    if content[:6] != b"\x93NUMPY" or draw.random() < 0.15:
        return damaged(draw, content)
    width = 2 if content[6] == 1 else 4
    size = int.from_bytes(content[8 : 8 + width], "little")
    text = content[8 + width : 8 + width + size].decode("latin-1").strip()
    numbers = content[8 + width + size :]
    for _ in range(draw.choice((1, 1, 2))):
        text = _other_header(draw, text)
    header = text.encode(draw.choice(("latin-1", "utf-8")), "replace")
    version = draw.choice((content[6], content[6], content[6], 1, 2, 3, 0, 255))
    width = 2 if version == 1 else 4
    header += b" " * (-(8 + width + len(header) + 1) % 64) + b"\n"
    length = len(header) if draw.random() < 0.92 else draw.choice((*NUMBERS, *LARGE))
    if draw.random() < 0.15:
        numbers = numbers[: draw.randrange(len(numbers) + 1)] if draw.random() < 0.7 else numbers * 2
    return b"\x93NUMPY" + bytes([version, 0]) + (length % 256**width).to_bytes(width, "little") + header + numbers


def _other_header(draw: random.Random, text: str) -> str:
    match draw.randrange(8):
        case 0 | 1:
            return re.sub(r"'descr': .*?(?=, '|}$)", lambda _: f"'descr': {draw.choice(_DTYPES)}", text)
        case 2 | 3:
            return re.sub(r"\([^()]*\)", lambda _: _shape(draw), text, count=1)
        case 4:
            return text.replace("False", draw.choice(("True", "1", "None", "'x'", "False or True")))
        case 5:
            return text.replace("shape", draw.choice(("shapes", "descr", "", "sh\\u0061pe", "fortran_order")), 1)
        case 6:
            at = draw.randrange(len(text) + 1)
            return (
                text[:at]
                + draw.choice(("\0", "\x1a", "é", "'", '"""', "\n", "#", "{", ")", "'\\N{x}'", "$"))
                + text[at:]
            )
        case _:
            return draw.choice(
                (*_NESTED, text.replace("{", "{'x': " + draw.choice(_NESTED) + ", ", 1), "", "1", text * 2)
            )


def _shape(draw: random.Random) -> str:
    sizes = (*NUMBERS, *LARGE, -1, -(2**63), 10**30, 3, 4)
    rank = draw.choice((0, 1, 2, 2, 3, 3, 40, 70))
    values = [str(draw.choice(sizes)) for _ in range(rank)]
    odd = ("True", "1.5", "None", "3L", "'3'", "(3,)", "1e3", "9" * 5000, "0x10")
    if values and draw.random() < 0.2:
        values[draw.randrange(len(values))] = draw.choice(odd)
    return draw.choice(("({},)", "({})", "[{}]")).format(", ".join(values))
