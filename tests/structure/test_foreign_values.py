"""Values of files are shown within bounds, and what libraries raise for files is not listed: no list is complete."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "lxmert"
FILES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
# Handlers of three kinds of errors or more that are not about what a library makes of a file, and why.
LISTED = {
    "common/config/values.py": "conversions of numbers",
    "data/datasets/pretraining.py": "a text that is added to a column",
    "data/features/partial_store.py": "members of our own file",
    "data/metrics/result_reader.py": "the conversion of a number",
    "utils/foreign_files.py": "the door itself",
    "utils/paths.py": "what a path can be made of",
    "utils/ray_cluster.py": "a cluster that is not there",
    "vision/faster_rcnn/detect.py": "our own reader of images",
    "weights/model_files.py": "our own reader of a tokenizer, whose errors do not matter there",
    "weights/save_folder.py": "the conversion of a number",
}
WRITERS = {"repr", "ascii", "dumps"}


def cut_afterwards(tree):
    """Where a value is written out whole and then cut: a megabyte in a file may be gigabytes of text."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FormattedValue) and node.conversion == ord("r") and node.format_spec is not None:
            yield ast.unparse(node)
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Slice) and isinstance(node.value, ast.Call):
            name = node.value.func.attr if isinstance(node.value.func, ast.Attribute) else node.value.func.id
            if name in WRITERS and not isinstance(node.value.args[0], ast.Constant):
                yield ast.unparse(node)


def long_handlers(tree):
    """The handlers of three kinds of errors or more."""
    for node in ast.walk(tree):
        kinds = node.type.elts if isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.Tuple) else ()
        if len(kinds) > 2 or any(isinstance(kind, ast.Starred) for kind in kinds):
            yield ast.unparse(node.type)


@pytest.mark.parametrize(
    ("find", "code"),
    [
        (cut_afterwards, "f'{value!r:.60}'"),
        (cut_afterwards, "repr(value)[:80]"),
        (cut_afterwards, "json.dumps(value)[:40]"),
        (long_handlers, "try: pass\nexcept (OSError, KeyError, ValueError): pass"),
        (long_handlers, "try: pass\nexcept (*DAMAGE, ValueError): pass"),
    ],
)
def test_what_is_found(find, code):
    assert len(list(find(ast.parse(code)))) == 1


def test_no_value_is_cut_after_it_was_made_whole():
    found = {name: list(cut_afterwards(ast.parse(path.read_text(encoding="utf-8")))) for name, path in FILES.items()}
    del found["cli/options.py"]  # where a single character is written
    assert {name: cuts for name, cuts in found.items() if cuts} == {}


def test_what_libraries_raise_is_not_listed():
    found = {name: list(long_handlers(ast.parse(path.read_text(encoding="utf-8")))) for name, path in FILES.items()}
    assert {name: kinds for name, kinds in found.items() if kinds and name not in LISTED} == {}
