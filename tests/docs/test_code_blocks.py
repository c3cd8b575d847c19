"""Every code block of README.md and docs/ runs by itself; what cannot run is parsed by the real parser.

A block is not run only where a comment above it says why. Python blocks always run.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib import import_module

import pytest

from lxmert import cli
from lxmert.training.recipes import TASKS
from tests.docs.pages import OTHER_PAGES, PAGES, ROOT, blocks_of

BLOCKS = [block for page in PAGES for block in blocks_of(page)]
NOT_RUN = [block for block in BLOCKS if block.not_run]
IGNORED = "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"  # as in pyproject.toml
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
# Pages whose blocks train models, which takes Keras most of a minute: `make test-all` runs them.
TRAINING = (
    "docs/models.md",
    "docs/train-from-photographs.md",
    "docs/training.md",
    "docs/visual_bert.md",
    "docs/your-data.md",
)


def place(block):
    return f"{block.page}:{block.line}"


def text_of(page):
    return (ROOT / page).read_text(encoding="utf-8")


def test_every_block_is_found():
    fences = sum(len(re.findall(r"^ *```", text_of(page), re.MULTILINE)) for page in PAGES)
    assert fences == 2 * len(BLOCKS)
    assert len(BLOCKS) >= 25, "the documentation has lost its code"
    assert {block.language for block in BLOCKS} == {"python", "sh"}


def test_python_blocks_always_run():
    assert [place(block) for block in NOT_RUN if block.language != "sh"] == []
    written = sum(text_of(page).count("<!-- not run") for page in PAGES)
    described = text_of("docs/README.md").count("`<!-- not run")
    assert written - described == len(NOT_RUN), "a comment that is not right above its block"


@pytest.mark.parametrize("training", [False, pytest.param(True, marks=pytest.mark.full)])
def test_blocks_run(training, tmp_path):
    """In one process, which starts the frameworks once."""
    run = [block for block in BLOCKS if not block.not_run and (block.page in TRAINING) == training]
    pages = list(dict.fromkeys(block.page for block in run))
    settings = {"HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "2"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", IGNORED, "-m", "tests.docs.run_page", *pages],
        cwd=tmp_path,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-5000:]
    ran = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"page"')]
    assert ran == [{"page": block.page, "line": block.line} for block in run]


@pytest.fixture
def parse(monkeypatch):
    """Parse the arguments of `lxmert` without doing anything."""
    for name in cli.COMMANDS:
        monkeypatch.setattr(import_module(f"lxmert.cli.{name}"), "run", lambda arguments: 0)

    def parsed(words):
        try:
            return cli.main(words) == 0
        except SystemExit as error:
            return error.code == 0

    return parsed


def is_known(words, parse):
    """Whether a command exists as it is written, behind any variables of the environment."""
    while re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    if words[0] == "lxmert":
        return parse(words[1:])
    if words[0] == "torchrun":
        return words[words.index("-m") + 1] == "lxmert" and parse(words[words.index("-m") + 2 :])
    if words[0] == "make":
        return set(words[1:2]) <= TARGETS
    if words[:3] == ["pip", "install", "-e"]:
        return set(words[3].removeprefix(".[").removesuffix("]").split(",")) <= set(EXTRAS)
    if words[:3] == ["python", "-m", "pytest"]:
        return all((ROOT / word.partition("::")[0]).exists() for word in words[3:] if word.startswith("tests"))
    if words[:2] == ["python", "-m"]:
        module = ROOT / words[2].replace(".", "/")
        return (module / "__main__.py").is_file() or module.with_suffix(".py").is_file()
    return words[0] == "python" and (ROOT / words[1]).is_file()


@pytest.mark.parametrize("block", NOT_RUN, ids=place)
def test_commands_that_are_not_run_parse(block, parse):
    wrong = [command for command in block.commands if not is_known(shlex.split(command, comments=True), parse)]
    assert wrong == []


def test_commands_of_other_pages_parse(parse):
    blocks = [block for page in OTHER_PAGES for block in blocks_of(page) if block.language == "sh"]
    commands = [command for block in blocks for command in block.commands]
    assert [command for command in commands if not is_known(shlex.split(command, comments=True), parse)] == []


def test_the_parser_refuses(parse):
    """What the tests above look for is found."""
    assert parse(["inspect", "folder"])
    for command in ("lxmert inspect", "lxmert inspekt folder", "lxmert convert a b --no-such-option", "make nothing"):
        assert not is_known(command.split(), parse)


def options_of(words, capsys):
    with pytest.raises(SystemExit):
        cli.main([*words, "--help"])
    return set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))


def test_options_in_sentences_exist(capsys):
    """Each option that is named within a sentence or a table exists."""
    subcommands = {"data": ("scenes", "easy-vqa"), "features": ("import", "extract", "check", "info")}
    subcommands["train"] = tuple(TASKS)
    known = {"--help"}
    for name in cli.COMMANDS:
        for words in [[name, sub] for sub in subcommands.get(name, ())] or [[name]]:
            known |= options_of(words, capsys)
    scripts = [*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "tests").rglob("*.py"), *(ROOT / "examples").glob("*.py")]
    for path in scripts:
        known |= set(re.findall(r'add_argument\(\s*"(--[a-z-]+)"', path.read_text(encoding="utf-8")))
    for page in (*PAGES, *OTHER_PAGES):
        prose = re.sub(r"^```.*?^```$", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
        for code in re.findall(r"`([^`\n]+)`", prose):
            named = set(re.findall(r"(?<![\w<!-])--[a-z][a-z-]+", code))
            assert named <= known or "pip " in code, f"{page}: {code}"
            if code.startswith("lxmert ") and len(code.split()) > 1:
                assert code.split()[1] in cli.COMMANDS, f"{page}: {code}"


def anchors(page):
    headings = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, *OTHER_PAGES])
def test_links_lead_somewhere(page):
    wrong = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if "://" in link:
            continue
        if not target.exists() or (anchor and anchor not in anchors(target.relative_to(ROOT) if path else page)):
            wrong.append(link)
    assert wrong == []


@pytest.mark.parametrize("page", [*PAGES, *OTHER_PAGES])
def test_files_that_are_named_exist(page):
    prose = re.sub(r"^```.*?^```$", "", text_of(page), flags=re.MULTILINE | re.DOTALL)
    named = re.findall(r"(?<![\w/-])((?:[a-z_]+/)+[a-z_]+\.(?:py|md))\b", prose)
    roots = (ROOT, ROOT / "lxmert", ROOT / "lxmert/weights", ROOT / "lxmert/data/features", (ROOT / page).parent)
    assert [name for name in named if not any((root / name).is_file() for root in roots)] == []


def test_readme_is_short():
    assert len(text_of("README.md").splitlines()) <= 150
    assert not (ROOT / "ARCHITECTURE.md").is_file() or len(text_of("ARCHITECTURE.md").splitlines()) <= 130
