"""JSON, YAML, TOML and tables: deep nesting, integers and floats that are none, and much of everything."""

from __future__ import annotations

import json
import re
from pathlib import Path

from ..sources import Source, Special
from .recipe import READ, REFUSED, Recipe, Ways

_DIGITS = "9" * 5000
_NUMBER = re.compile(r"(?<=[\[:,\s=])-?\d+(\.\d+)?(?=[,\]}\s])")
_EITHER = ("read", "refused")
_JSON_NUMBERS = {
    "5,000 digits": _DIGITS,
    "1e400": "1e400",
    "NaN": "NaN",
    "infinity": "-Infinity",
    "deep number": "[" * 900 + "]" * 900,
}
_YAML_BOMB = "".join(f"a{n}: &a{n} [{', '.join(['*a' + str(n - 1)] * 9) if n else '1, 1'}]\n" for n in range(12))
_TOML_NUMBERS = {"5,000 digits": _DIGITS, "infinity": "inf", "NaN": "nan", "1e400": "1e400"}


def ways(name: str, content: bytes) -> Ways:
    """By the ending of the name, or by the content."""
    if name.endswith((".json", ".jsonl")):
        yield from _json(content.decode())
    elif name.endswith(".safetensors"):
        yield from _safetensors(content)
    elif name.endswith((".yaml", ".yml")):
        yield from _yaml(content.decode())
    elif name.endswith(".toml"):
        yield from _toml(content.decode())
    elif name.endswith((".csv", ".tsv", ".txt")):
        yield from _table(content.decode("latin-1"))


def _json(text: str) -> Ways:
    for recipe, whole in {
        "deep lists": "[" * 100_000,
        "deep objects": '{"a":' * 100_000,
        "deep lists that end": "[" * 100_000 + "]" * 100_000,
        "digits alone": _DIGITS,
    }.items():
        yield f"JSON: {recipe}", whole.encode(), REFUSED if recipe != "digits alone" else _EITHER
    if text.lstrip().startswith("{"):
        start = text.index("{") + 1
        for recipe, item in {
            "deep value": '"x": ' + "[" * 90_000 + "]" * 90_000,
            "value 900 deep": '"x": ' + "[" * 900 + "]" * 900,
            "integer of 5,000 digits": f'"x": {_DIGITS}',
            "half a character": '"\\ud800": "\\ud800"',
        }.items():
            yield f"JSON: {recipe}", f"{text[:start]}{item}, {text[start:]}".encode(), _EITHER
    if _NUMBER.search(text):
        for recipe, number in _JSON_NUMBERS.items():
            yield f"JSON: {recipe} first", _NUMBER.sub(number, text, count=1).encode(), _EITHER
            yield f"JSON: {recipe} everywhere", _NUMBER.sub(number, text).encode()[:900_000], _EITHER


def _safetensors(content: bytes) -> Ways:
    size = int.from_bytes(content[:8], "little")
    header, data = content[8 : 8 + size].decode(), content[8 + size :]
    for recipe, changed, _ in _json(header):
        yield (
            recipe.replace("JSON", "safetensors"),
            len(changed).to_bytes(8, "little") + changed + data,
            (_EITHER if "half" in recipe else REFUSED),
        )
    yield "safetensors: header of 2**63 bytes", (2**63).to_bytes(8, "little") + content[8:], REFUSED


def _yaml(text: str) -> Ways:
    for recipe, whole in {
        "deep lists": "[" * 50_000,
        "deep objects": "{a: " * 50_000,
        "deep dashes": "- " * 50_000 + "a",
        "aliases of aliases": _YAML_BOMB,
    }.items():
        yield f"YAML: {recipe}", whole.encode(), REFUSED
        if recipe != "deep dashes":
            yield f"YAML: {recipe} before the rest", f"x: {whole}\n{text}".encode(), REFUSED
    for recipe, number in {"5,000 digits": _DIGITS, "1e400": "1.0e+400", "NaN": ".nan", "infinity": ".inf"}.items():
        for count, where in ((1, "first"), (0, "everywhere")):
            yield f"YAML: {recipe} {where}", _NUMBER.sub(number, text, count=count).encode(), _EITHER


def _toml(text: str) -> Ways:
    for recipe, line in {
        "deep lists": "x = " + "[" * 50_000,
        "deep lists that end": "x = " + "[" * 50_000 + "]" * 50_000,
        "deep tables": "x = " + "{a = " * 20_000 + "1" + "}" * 20_000,
        "deep names": ".".join(["a"] * 20_000) + " = 1",
    }.items():
        yield f"TOML: {recipe}", f"{line}\n{text}".encode(), REFUSED
    for recipe, number in _TOML_NUMBERS.items():
        for count, where in ((1, "first"), (0, "everywhere")):
            yield f"TOML: {recipe} {where}", _NUMBER.sub(number, text, count=count).encode(), _EITHER


def _table(text: str) -> Ways:
    numbers = re.compile(r"(?<=[\t,;])-?\d+(\.\d+)?(?=[\t,;\r\n])")
    if numbers.search(text):
        for recipe, number in {"5,000 digits": _DIGITS, "1e400": "1e400", "NaN": "nan", "infinity": "inf"}.items():
            for count, where in ((1, "first"), (0, "everywhere")):
                changed = numbers.sub(number, text, count=count).encode("latin-1")[:900_000]
                yield f"table: {recipe} {where}", changed, _EITHER
    yield "table: one line of 900,000 characters", ("x" * 900_000).encode() + text.encode("latin-1"), _EITHER


def recipes(sources: dict[str, Source], folder: Path) -> list[Recipe]:
    """Much of everything: files above a megabyte, which are read in linear time or refused."""
    del folder
    found = []
    kind = "tokenizer/tokenizer.json"
    source = sources[kind]
    values = json.loads(source.files["tokenizer.json"])
    size = len(values["model"]["vocab"])
    flags = dict(single_word=False, lstrip=False, rstrip=False, normalized=True, special=False)

    def changed(name: str, allowed: tuple[str, ...], **more: object) -> None:
        files = {"tokenizer.json": json.dumps({**values, **more}).encode()}
        found.append(Recipe(name, kind, source._replace(files=files), allowed))

    added = [{"id": size + n, "content": f"<extra {n}>", **flags} for n in range(20_000)]
    changed("tokenizer: 20,000 added tokens", READ, added_tokens=[*values["added_tokens"], *added])
    words = {"$B" if word == "low" else word: number for word, number in values["model"]["vocab"].items()}
    changed("tokenizer: added token $B", _EITHER, added_tokens=[*values["added_tokens"], {**added[0], "content": "$B"}])
    special = {"type": "TemplateProcessing", "single": [{"Sequence": {"id": "C", "type_id": 0}}], "pair": []}
    changed("tokenizer: damaged template", _EITHER, post_processor={**special, "special_tokens": {}})
    changed("tokenizer: deep normalizer", REFUSED, normalizer=_deep_normalizer(400))
    for token in ("cls_token", "sep_token"):
        files = {
            "tokenizer.json": json.dumps({**values, "model": {**values["model"], "vocab": words}}).encode(),
            "tokenizer_config.json": json.dumps({token: "$B"}).encode(),
        }
        found.append(Recipe(f"tokenizer: {token} $B", kind, source._replace(files=files), REFUSED))
    older = sources["tokenizer/older files"]
    settings = json.loads(older.files["tokenizer_config.json"])
    for recipe, entries in {
        "never_split of 500,000 entries": [f"w{n}" for n in range(500_000)],
        "never_split of 80,000 entries": [f"w{n}" for n in range(80_000)],
    }.items():
        more = "".join(f"{word}\n" for word in entries[:80_000]).encode()  # of the longer list, words are missing
        changed_settings = json.dumps({**settings, "never_split": entries}).encode()
        files = {"vocab.txt": older.files["vocab.txt"] + more, "tokenizer_config.json": changed_settings}
        found.append(Recipe(f"tokenizer: {recipe}", "tokenizer/older files", older._replace(files=files)))
    found += _large_configs(sources)
    found += _blanks(sources)
    return found


def _deep_normalizer(depth: int) -> object:
    made: object = {"type": "Lowercase"}
    for _ in range(depth):
        made = {"type": "Sequence", "normalizers": [made]}
    return made


def _large_configs(sources: dict[str, Source]) -> list[Recipe]:
    """Megabytes of unknown keys."""
    found = []
    for count, name in ((16 * 2**20, "16 MB"), (3_900_000, "3.9 MB"), (900_000, "0.9 MB")):
        more = ", ".join(f'"k{n}": {n}' for n in range(count // 17))
        for kind in ("config/LXMERT", "config/VisualBERT", "weights/folder"):
            source = sources[kind]
            config = source.files["config.json"].decode()
            files = {**source.files, "config.json": (config.rstrip()[:-1] + ", " + more + "}").encode()}
            found.append(Recipe(f"config: {name} of unknown keys", kind, source._replace(files=files)))
    return found


def _blanks(sources: dict[str, Source]) -> list[Recipe]:
    """100 MB of blanks before a question: in a data set, for the tokenizer, and for `ask`."""
    found = []
    for kind in ("dataset/VQA of the original", "dataset/one's own, a list", "dataset/one's own, CSV", "dataset/VCR"):
        source = sources[kind]
        name, content = next(iter(source.files.items()))
        for count, told in ((10**8, "100 MB"), (900_000, "0.9 MB")):
            at = _question_at(content)
            special = Special("", content[:at], b" ", count, content[at:])
            changed = source._replace(files={**source.files, name: special})
            # The words of VCR are parsed when they are needed.
            allowed = _EITHER if kind == "dataset/VCR" else REFUSED
            found.append(Recipe(f"question: {told} of blanks", kind, changed, allowed))
    picture = sources["picture/PNG RGB"]
    for count, told in ((10**8, "100 MB"), (900_000, "0.9 MB")):
        asked = picture._replace(doors=("ask blanks",), options=(str(count),))
        found.append(Recipe(f"question: {told} of blanks", "picture/PNG RGB", asked, REFUSED))
        source = sources["tokenizer/vocab.txt"]._replace(doors=("tokenize blanks",), options=(str(count),))
        found.append(Recipe(f"question: {told} of blanks", "tokenizer/vocab.txt", source))
    return found


def _question_at(content: bytes) -> int:
    """Where the first question begins."""
    found = re.search(rb'("sent"|"question"|question_text)\W*: *\[?"', content)
    if found:
        return found.end()
    return content.index(b"\n") + 1 + content.split(b"\n")[1].index(b",") + 1  # of a CSV file
