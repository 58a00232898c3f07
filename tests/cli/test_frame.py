"""The frame of the command line: dispatch, errors, exit codes, start-up."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import types
from collections.abc import Callable
from typing import Annotated

import pytest
import typer

from noiseless import __version__, cli
from noiseless.__main__ import main
from noiseless.errors import DataError, WorkError


def add_verb(monkeypatch: pytest.MonkeyPatch, function: Callable[..., object]) -> None:
    """List `function` as the verb ``probe``."""
    module = types.ModuleType("noiseless.cli.probe")
    module.probe = function  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "noiseless.cli.probe", module)
    monkeypatch.setitem(cli.VERBS, "probe", "A probe.")


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_help_lists_every_verb(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert all(f"  {verb} " in printed and line in printed for verb, line in cli.VERBS.items())
    assert "--version" in printed


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"noiseless {__version__}\n"


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("e", {"evaluate", "export"}),
        ("den", {"denoise"}),
        ("denoise --mas", {"--mask"}),
        ("denoise --precision ", {"exact", "fast", "int8"}),
        ("denoise ", set()),  # the shell then offers files
    ],
)
def test_bash_completes(words: str, offered: set[str]) -> None:
    asked = {"COMP_WORDS": f"noiseless {words}", "COMP_CWORD": str(1 + words.count(" "))}
    environment = {**os.environ, cli.COMPLETE: "complete_bash", **asked}
    command = [sys.executable, "-m", "noiseless"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert set(done.stdout.split()) == offered


def test_what_a_shell_is_to_be_told_is_shown() -> None:
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("needs bash")
    script = f"{sys.executable} -m noiseless --show-completion; exit $?"  # the shell is told by the parent's name
    done = subprocess.run([bash, "-c", script], capture_output=True, text=True, check=True)
    assert f"{cli.COMPLETE}=complete_bash" in done.stdout


@pytest.mark.parametrize("verb", cli.VERBS)
def test_every_verb_has_the_help_that_is_listed(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    function = cli.load_verb(verb)
    assert function.__name__ == verb
    assert (function.__doc__ or "").splitlines()[0] == cli.VERBS[verb]
    assert main([verb, "--help"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert f"Usage: noiseless {verb}" in printed
    assert cli.VERBS[verb] in printed


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["denois"], "noiseless: unknown verb 'denois'. Did you mean denoise"),
        (["--sigma"], "noiseless: unknown option '--sigma'. See: noiseless --help"),
        (["probe"], "noiseless: Missing argument 'INPUT...'. See: noiseless probe --help"),
        (["probe", "a", "--sigm", "3"], "noiseless: No such option: --sigm"),
        (["probe", "a", "--sigma", "x"], "noiseless: Invalid value for '--sigma'"),
        (["probe", "a", "--sigma"], "noiseless: Option '--sigma' requires an argument. See: noiseless probe --help"),
    ],
)
def test_bad_usage_is_one_line(
    arguments: list[str], line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def probe(inputs: Annotated[list[str], typer.Argument(metavar="INPUT...")], sigma: float = 1.0) -> None:
        raise AssertionError("not reached")

    add_verb(monkeypatch, probe)
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(line)
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (DataError("no images in x", fix="Look again."), 2, "noiseless: no images in x. Look again.\n"),
        (WorkError("disk full"), 1, "noiseless: disk full\n"),
        (KeyboardInterrupt(), 130, "noiseless: stopped by Ctrl-C\n"),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), 2, "needs an optional package"),
        (PermissionError(13, "Not permitted", "in/a.png"), 1, "noiseless: cannot use in/a.png: got Not permitted."),
        (MemoryError("Unable\nto allocate"), 1, "noiseless: the memory does not suffice: got Unable to allocate. Do"),
        (RuntimeError("can't allocate memory"), 1, "noiseless: the memory does not suffice: got can't allocate"),
        (ZeroDivisionError("by\nzero"), 1, "noiseless: internal error: ZeroDivisionError: by zero. Run it again"),
    ],
)
@pytest.mark.parametrize("debug", [False, True])
def test_errors_of_verbs(
    error: BaseException,
    code: int,
    line: str,
    debug: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def probe() -> None:
        raise error

    add_verb(monkeypatch, probe)
    assert main(["probe", *(["--debug"] if debug else [])]) == code
    printed = capsys.readouterr().err
    assert line in printed
    assert ("Traceback" in printed) == (debug and code != 130)
    assert debug or printed.count("\n") == 1


def test_debug_may_stand_first_but_not_after_two_dashes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def probe(inputs: Annotated[list[str], typer.Argument()]) -> None:
        print(inputs)

    add_verb(monkeypatch, probe)
    assert main(["--debug", "probe", "a", "--", "--debug"]) == 0
    assert capsys.readouterr().out == "['a', '--debug']\n"


def test_verbs_choose_their_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def probe(how: str) -> int:
        if how == "raise":
            raise typer.Exit(1)
        return 2

    add_verb(monkeypatch, probe)
    assert main(["probe", "raise"]) == 1
    assert main(["probe", "return"]) == 2


def test_an_option_of_many_values_takes_what_the_shell_expands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def probe(
        clean: Annotated[list[str], typer.Option(metavar="DIR...")],
        pairs: Annotated[tuple[str, str], typer.Option(metavar="NOISY CLEAN")] = ("", ""),
        sigma: float = 0.0,
    ) -> None:
        print(clean, pairs, sigma)

    add_verb(monkeypatch, probe)
    assert main(["probe", "--clean", "a", "b", "-", "--pairs", "n", "c", "--sigma", "-2", "--clean", "d"]) == 0
    assert capsys.readouterr().out == "['a', 'b', '-', 'd'] ('n', 'c') -2.0\n"


def loaded_by(*arguments: str) -> set[str]:
    """The packages that a command line imports."""
    code = (
        "import sys\nfrom noiseless.__main__ import main\ncode = main(sys.argv[1:])\n"
        "print(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    loaded = loaded_by(*arguments)
    assert "noiseless" in loaded
    assert not loaded & {"numpy", "scipy", "torch", "onnxruntime", "typer", "rich", "PIL"}


@pytest.mark.parametrize("verb", cli.VERBS)
def test_help_of_a_verb_imports_no_engine(verb: str) -> None:
    assert not loaded_by(verb, "--help") & {"torch", "onnxruntime", "openvino", "lightning_fabric", "pydantic"}


def test_module_and_command_are_the_same() -> None:
    module = subprocess.run([sys.executable, "-m", "noiseless", "--help"], capture_output=True, text=True, check=True)
    assert module.stdout == cli.help_text()


def run_python(code: str, **streams: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", code], text=True, **streams)  # type: ignore[call-overload,no-any-return]


PROBE = """
import sys, time, types
from noiseless import cli
from noiseless.__main__ import main
def probe():
    {body}
module = types.ModuleType("noiseless.cli.probe")
module.probe = probe
sys.modules[module.__name__] = module
cli.VERBS["probe"] = ""
sys.exit(main(["probe"]))
"""


def heed_ctrl_c() -> None:
    """A shell starts background jobs with SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_ends_with_130_and_a_line() -> None:
    code = PROBE.format(body="print('ready', flush=True); time.sleep(60)")
    process = run_python(code, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=heed_ctrl_c)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=30)[1] == "noiseless: stopped by Ctrl-C\n"
    assert process.returncode == 130


@pytest.mark.parametrize("lines", [1, 100_000], ids=["at exit", "while printing"])
def test_a_reader_that_leaves_is_no_error(lines: int) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    process = run_python(PROBE.format(body=f"print('line\\n' * {lines})"), stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    assert process.communicate(timeout=30)[1] == ""
    assert process.returncode == 1
