"""The import graph of the package: imports point down the list of rooms, and no files import each other in a circle.

The graph is read with the standard library's `ast`: imports at the top of a file, inside of functions and below
`TYPE_CHECKING`, and calls of `import_module`, count alike. So no import can hide from it.
"""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]

# From the ground floor up. A file may import its own room and the rooms before it; rooms of one line know nothing of
# each other.
ROOMS = (
    ("utils",),
    ("hub",),
    ("common",),
    ("weights",),
    ("vision",),
    ("pt", "tf"),
    ("data",),
    ("detection",),
    ("inference",),
    ("explain",),
    ("training",),
    ("demo",),
    ("cli",),
)
FLOOR = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}
# Lists the public names of all rooms, which are imported when they are first used; and starts the command line.
OUTSIDE = ("lxmert", "lxmert.__main__")
# What takes the name of a module from its caller, who lists it below TYPE_CHECKING, or names one of another package.
ANY_MODULE = {"lxmert.utils.optional_imports", "lxmert.utils.lazy_names"}

FILES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((ROOT / "lxmert").rglob("*.py"))
}


def modules_named(pattern):
    """The modules of the package whose names match, as regular expression."""
    return {name for name in FILES if re.fullmatch(pattern, name)}


def import_module_targets(name, call):
    """The modules that a call of `import_module` may import; an f-string stands for every name that fits it."""
    argument = call.args[0]
    if isinstance(argument, ast.Constant):
        return modules_named(re.escape(argument.value))
    if isinstance(argument, ast.JoinedStr):
        parts = [re.escape(p.value) if isinstance(p, ast.Constant) else r"[\w.]+" for p in argument.values]
        first = argument.values[0]
        if isinstance(first, ast.FormattedValue) and ast.unparse(first.value) == "__name__":
            parts[0] = re.escape(name)
        return modules_named("".join(parts)) - {name}
    assert name in ANY_MODULE or name in OUTSIDE, f"{name} imports a module that its text does not name"
    return set()


def imports_of(name):
    """The modules of the package that a module imports, anywhere in its file."""
    path = FILES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in FILES}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parent = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parent, node.module] if node.module else parent)
            for alias in node.names:
                target = f"{base}.{alias.name}"
                found |= {target if target in FILES else base} & FILES.keys()
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "import_module":
            found |= import_module_targets(name, node)
    return found - {name}


GRAPH = {name: imports_of(name) for name in FILES if name not in OUTSIDE}


def room_of(name):
    return name.split(".")[1]


def circles(graph):
    """The groups of modules that import each other, by Tarjan's algorithm."""
    index, low, stack, found = {}, {}, [], []

    def visit(name):
        index[name] = low[name] = len(index)
        stack.append(name)
        for target in sorted(graph.get(name, ())):
            if target not in index:
                visit(target)
                low[name] = min(low[name], low[target])
            elif target in stack:
                low[name] = min(low[name], index[target])
        if low[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in graph:
        if name not in index:
            visit(name)
    return found


def test_every_room_is_in_the_list():
    assert {room_of(name) for name in GRAPH} == set(FLOOR)


def test_imports_point_down_the_list_of_rooms():
    up = [
        f"{name} imports {target}"
        for name, targets in GRAPH.items()
        for target in sorted(targets - set(OUTSIDE))
        if room_of(target) != room_of(name) and FLOOR[room_of(target)] >= FLOOR[room_of(name)]
    ]
    assert up == []


def test_no_files_import_each_other():
    assert circles(GRAPH) == []


def test_the_graph_finds_what_is_hidden():
    """A circle and an import inside of a function are seen, so that the tests above can fail."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    hidden = ast.parse("def f(backend):\n    import_module(f'lxmert.training.{backend}.trainer')").body[0].body[0].value
    assert import_module_targets("lxmert.cli", hidden) == {"lxmert.training.pt.trainer", "lxmert.training.tf.trainer"}
