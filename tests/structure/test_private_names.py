"""What frameworks keep private is reached for in one file of each backend, and nowhere else in the package."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "lxmert"
COMPAT = {f"{backend}/_compat.py" for backend in ("pt", "tf")}
FILES = [
    path
    for room in ("pt", "tf", "training/pt", "training/tf", "inference", "explain")
    for path in sorted((PACKAGE / room).rglob("*.py"))
    if path.relative_to(PACKAGE).as_posix() not in COMPAT
]
# Names that begin with an underscore and are no secret: of named tuples.
PUBLIC = {"_replace", "_asdict", "_fields", "_make"}


def own_names(tree):
    """The private names that a file itself gives to attributes: methods, and what it assigns."""
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    stored = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
    names |= {node.attr for node in stored}
    fields = (node.target for node in ast.walk(tree) if isinstance(node, ast.AnnAssign))
    names |= {target.id for target in fields if isinstance(target, ast.Name)}
    plain = (target for node in ast.walk(tree) if isinstance(node, ast.Assign) for target in node.targets)
    return names | {target.id for target in plain if isinstance(target, ast.Name)}


OURS = set().union(*(own_names(ast.parse(path.read_text(encoding="utf-8"))) for path in FILES)) | PUBLIC


def private_parts(source):
    """Where a file reaches for a private part: its line, and the expression."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and node.attr not in OURS:
            public = node.attr.startswith("__") and node.attr.endswith("__") and node.attr != "__internal__"
            if not public:
                yield node.lineno, ast.unparse(node)
        if isinstance(node, ast.ImportFrom) and not node.level:
            parts = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            foreign = not (node.module or "").startswith("lxmert") and node.module != "__future__"
            if "src" in parts or (foreign and any(part.startswith("_") for part in parts)):
                yield node.lineno, ast.unparse(node)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_nothing_private_is_reached_for(path):
    assert list(private_parts(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "line",
    [
        "torch._C._get_mkldnn_enabled()",
        "layer._flatten_layers()",
        "from keras.src import backend",
        "from torch._dynamo import config",
        "tf.__internal__.distribute",
        "torch._foreach_add_(x, 1)",
    ],
)
def test_what_is_private_is_found(line):
    assert len(list(private_parts(line))) > 0


def test_the_two_files_are_there():
    assert all((PACKAGE / name).is_file() for name in COMPAT)
