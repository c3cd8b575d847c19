"""The command `lxmert` itself: help, version, and how errors, interrupts and closed pipes end."""

import argparse
import errno
import io
import json
import os
import signal
import subprocess
import sys
import threading
import warnings

import pytest

import lxmert as package
from lxmert import cli
from lxmert.cli import backends, options, process
from lxmert.cli import convert as command

SCRIPT = """
import contextlib, io, json, runpy, sys
import lxmert.cli as cli

def printed(call, *arguments, **options):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        call(*arguments, **options)
    return out.getvalue()

printed(cli.main, ["compare", "--help"])
own = sorted(name for name in sys.modules if name.startswith("lxmert."))
text = printed(cli.main, ["--help"])
frameworks = sorted({"torch", "keras", "tensorflow", "numpy", "h5py"} & set(sys.modules))
sys.argv = ["lxmert", "--version"]
version = printed(runpy.run_module, "lxmert", run_name="__main__")
print(json.dumps([own, text, frameworks, version]), flush=True)
cli.compare.run = lambda arguments: [print("x" * 100) for _ in range(10_000)] and 0
sys.exit(cli.main(["compare", "a", "b"]))
"""


@pytest.fixture(scope="module")
def fresh():
    """A fresh process: what it imports and prints, and how it ends when its reader is gone."""
    with subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as started:
        found = json.loads(started.stdout.readline())
        started.stdout.close()
        return [*found, started.stderr.read(), started.wait(60)]


def test_a_command_imports_only_itself(fresh):
    names = ("cli", "cli.compare", "cli.options", "cli.parser", "cli.process")
    names += ("utils", "utils.lazy_names", "utils.setting_names")
    assert fresh[0] == [f"lxmert.{name}" for name in names]


def test_help_lists_every_command_and_imports_no_framework(fresh):
    assert all(f"\n    {name} " in fresh[1] for name in cli.COMMANDS)
    assert fresh[2] == []


def test_python_m(fresh):
    assert fresh[3] == f"lxmert {package.__version__}\n"


def test_a_closed_pipe_is_no_error(fresh):
    assert fresh[4:] == [b"", 141]


@pytest.mark.parametrize(
    ("installed", "chosen"), [(("torch", "keras"), "pt"), (("torch",), "pt"), (("keras",), "tf"), ((), "pt")]
)
def test_the_backend_is_what_is_installed(installed, chosen, monkeypatch):
    monkeypatch.setattr(backends, "find_spec", lambda name: name if name in installed else None)
    parser = argparse.ArgumentParser()
    backends.add_backend(parser)
    assert parser.parse_args([]).backend == chosen
    assert parser.parse_args(["--backend", "tf"]).backend == "tf"


def test_version(capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"lxmert {package.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["convrt"],
        ["convert"],
        ["convert", "a"],
        ["convert", "a", "b", "--verfy"],
        ["convert", "a", "b", "--verif"],
        ["train", "vqa", "--out", "a"],
        ["convert", "a", "b", "--to", "pickle"],
        ["inspect"],
        ["inspect", "a", "b"],
        ["compare", "a"],
        ["compare", "a", "b", "--tolerance", "small"],
    ],
)
def test_arguments_that_do_not_parse(arguments, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 2
    assert "usage: lxmert" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["trian"], "lxmert: error: unknown command 'trian'; did you mean train? (choose from ask, "),
        (["train", "vqaa"], "lxmert train: error: unknown task 'vqaa'; did you mean vqa? (choose from "),
        (["predict", "vqaa"], "lxmert predict: error: unknown task 'vqaa'; did you mean vqa? (choose from "),
        (["predict", "vqa", "a", "--qestions", "b"], "unknown option --qestions; did you mean --questions?"),
        (["train", "vqa", "--bach-size=3"], "unknown option --bach-size; did you mean --batch-size?"),
        (
            ["convert", "a", "b", "--zzz\x1b[2J"],
            "unknown option --zzz\\x1b[2J; lxmert convert --help lists the options",
        ),
        (["convert", "a", "b", "--dtype", "float61"], "--dtype: invalid choice: 'float61'; did you mean float64?"),
    ],
)
def test_a_misspelled_name_tells_the_nearest(arguments, told, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as end:
        cli.main([name, "--help"])
    assert end.value.code == 0
    assert f"usage: lxmert {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (ValueError("a is wrong"), 1, "lxmert convert: error: a is wrong\n"),
        (TypeError("b is wrong"), 1, "lxmert convert: error: b is wrong\n"),
        (package.CheckpointMismatchError("two\nlines"), 1, "lxmert convert: error: two\nlines\n"),
        (FileNotFoundError("nothing there"), 1, "lxmert convert: error: nothing there\n"),
        (
            OSError(28, "No space left on device", "a.keras"),
            1,
            "lxmert convert: error: a.keras: No space left on device\n",
        ),
        (ImportError("lxmert.pt needs PyTorch."), 1, "lxmert convert: error: lxmert.pt needs PyTorch.\n"),
        (ValueError(), 1, "lxmert convert: error: ValueError\n"),
        (ValueError("\x1b[2J猫\n\ta\r\x9b"), 1, "lxmert convert: error: \\x1b[2J猫\n\ta\\r\\x9b\n"),
        (
            OSError(2, "No such file", "\x1b]0;a\x07\udcff"),
            1,
            "lxmert convert: error: \\x1b]0;a\\x07\\udcff: No such file\n",
        ),
        (
            OSError(errno.EMFILE, "Too many open files", "a.h5"),
            1,
            "lxmert convert: error: a.h5: Too many open files, more than this process may have (ulimit -n)\n",
        ),
        (
            OSError(errno.EAGAIN, "Try again", "a.h5"),
            1,
            "lxmert convert: error: a.h5: Try again, as where a user may have no more processes (ulimit -u)\n",
        ),
        (MemoryError("a.h5 needs more"), 1, "lxmert convert: error: a.h5 needs more\n"),
        (MemoryError(), 1, "lxmert convert: error: there is not enough memory\n"),
        (KeyboardInterrupt(), 130, "lxmert convert: interrupted\n"),
    ],
)
def test_errors_of_users(error, status, told, capsys, monkeypatch):
    def fail(_):
        raise error

    monkeypatch.setattr(command, "run", fail)
    assert cli.main(["convert", "a", "b"]) == status
    assert capsys.readouterr() == ("", told)


@pytest.mark.parametrize(
    ("encoding", "shown"), [("ascii", "\\u732b \\xe9 a"), ("cp1252", "\\u732b é a"), ("utf-8", "猫 é a")]
)
def test_what_the_terminal_lacks_is_escaped(encoding, shown, monkeypatch):
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)

    def run(_):
        print("猫 é a")
        print(options.json_text({"猫": "é\x1b\n"}))
        raise ValueError("猫 é a")

    monkeypatch.setattr(command, "run", run)
    assert cli.main(["convert", "a", "b"]) == 1
    assert (out.errors, err.errors) == ("strict", "strict")
    err.flush()
    assert err.buffer.getvalue().decode(encoding) == f"lxmert convert: error: {shown}\n"
    first, _, rest = out.buffer.getvalue().decode(encoding).partition("\n")
    assert first == shown
    assert json.loads(rest) == {"猫": "é\x1b\n"}
    with pytest.raises(SystemExit):
        cli.main(["convert", "a", "b", "--猫"])
    assert out.errors == err.errors == "strict"


def test_a_warning_is_one_line(capsys, monkeypatch):
    def warn(_):
        for _ in range(2):
            warnings.warn("a is a guess", UserWarning, stacklevel=1)
        warnings.warn("b \x1b[2Jis a guess", UserWarning, stacklevel=1)
        return 0

    monkeypatch.setattr(command, "run", warn)
    show, filters = warnings.showwarning, list(warnings.filters)
    for _ in range(2):  # each run says it
        assert cli.main(["convert", "a", "b"]) == 0
        told = "lxmert convert: warning: a is a guess\nlxmert convert: warning: b \\x1b[2Jis a guess\n"
        assert capsys.readouterr() == ("", told)
    assert warnings.showwarning is show
    assert warnings.filters == filters


def test_what_is_no_warning_for_users_is_left_to_python(monkeypatch):
    monkeypatch.setattr(command, "run", lambda _: warnings.warn("old", DeprecationWarning, stacklevel=1))
    with pytest.raises(DeprecationWarning, match="old"):  # an error here, as the tests want it
        cli.main(["convert", "a", "b"])


def test_our_own_mistakes_keep_their_traceback(monkeypatch):
    def fail(_):
        raise KeyError("ours")

    monkeypatch.setattr(command, "run", fail)
    with pytest.raises(KeyError):
        cli.main(["convert", "a", "b"])


def test_what_belongs_to_the_process_is_set_back(lxmert, monkeypatch):
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)

    def state():
        return os.environ.get("TF_CPP_MIN_LOG_LEVEL"), signal.getsignal(signal.SIGTERM), warnings.showwarning

    during, before = [], state()
    monkeypatch.setattr(command, "run", lambda _: during.append(state()) or 0)
    assert lxmert("convert", "a", "b") == (0, "", "")
    assert all(one != other for one, other in zip(during[0], before, strict=True))
    assert state() == before
    # Another thread's process is someone else's.
    thread = threading.Thread(target=cli.main, args=(["convert", "a", "b"],))
    thread.start()
    thread.join()
    assert during[1] == before


def test_what_native_code_writes_is_discarded(capfd):
    os.write(2, b"before ")
    with process.without_stderr():
        os.write(2, b"hidden")
    os.write(2, b"after")
    assert capfd.readouterr().err == "before after"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a disk that is always full: Linux has one")
def test_a_full_disk_behind_standard_output_is_told(capsys, monkeypatch):
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        assert cli.main(["inspect", "easy-vqa", "--json"]) == 1
    assert capsys.readouterr().err == "lxmert inspect: error: standard output: No space left on device\n"


@pytest.mark.skipif(os.name == "nt", reason="its shell cannot close the standard streams")
def test_a_command_runs_without_standard_streams(tmp_path):
    """Files that are opened next take their descriptors, and processes that read files inherit these."""
    source, target = str(tmp_path / "source.weights.h5"), str(tmp_path / "target")
    assert cli.main(["convert", "easy-vqa", source]) == 0
    command = [sys.executable, "-m", "lxmert", "convert", source, target]
    assert subprocess.run(["sh", "-c", '"$@" <&- >&- 2>&-', "sh", *command], timeout=60).returncode == 0
    assert os.path.isfile(os.path.join(target, "model.safetensors"))


def test_streams_that_python_lacks_are_replaced_for_the_command_alone(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", None)
    assert cli.main(["inspect", "easy-vqa"]) == 0
    assert cli.main(["inspect", "nothing"]) == 1
    assert (sys.stdout, sys.stderr) == (None, None)
