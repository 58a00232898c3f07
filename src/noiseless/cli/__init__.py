"""The command line: `VERBS` names the verbs, `run` imports the one asked for.

A verb is a function with typed, annotated parameters in a file of its own; typer makes options and help of them.
Nothing here imports typer, numpy or an engine before a verb is named, so that ``noiseless --help`` is immediate.
"""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from noiseless._version import __version__
from noiseless.errors import InputError, UnknownNameError

if TYPE_CHECKING:
    from typer import Typer

VERBS = {
    "denoise": "Remove noise from images and films.",
    "demo": "Train, measure and use a denoiser on shipped photographs, in minutes.",
    "train": "Train a denoiser; leaves best/ and last/ as models in the run folder.",
    "finetune": "Adapt a model to other noise or other images.",
    "evaluate": "Measure denoisers side by side, on clean images with noise, pairs, or noisy images alone.",
    "calibrate": "Say what noise is in images.",
    "export": "Write a model as files for other software, checked against PyTorch.",
    "serve": "Serve the web page and the HTTP API.",
    "data": "Pack photographs into a store of clean crops to train on.",
    "select": "List the noisy images whose clean reference would help a model most.",
    "suggest": "Suggest a network, weights, method and settings for images, as a recipe that runs.",
    "tune": "Search learning rate, width, loss weights and method of a recipe.",
    "models": "List the models and networks there are.",
}
"""Each verb and its first line of help; the function is `noiseless.cli.<verb>.<verb>`."""

INTERRUPTED = 130
"""Exit code after Ctrl-C: 128 + SIGINT, as shells report it."""

TERMINATED = 143
"""That of a verb that cleaned up after SIGTERM."""

COMPLETE = "_NOISELESS_COMPLETE"
"""Environment variable by which a shell asks what may come next."""

HELP = """\
Usage: noiseless [--debug] VERB [OPTIONS]

An image denoiser through its whole life. Begin with:

  noiseless denoise photo.png -o clean.png
  noiseless demo

Verbs:
{verbs}

Options:
  --version  Print the version.
  --debug    Show where an error came from.
  --help     Show this message; noiseless VERB --help shows that of a verb.
  --install-completion  Let the shell complete verbs and options; --show-completion prints what would be installed.

Exit codes: 0 done, 1 a failure at work, 2 bad input, 130 stopped by Ctrl-C, 143 stopped by SIGTERM.
"""


class UsageError(InputError):
    """Options or arguments that a verb does not have or cannot read."""


def run(arguments: Sequence[str]) -> int:
    """Do what the arguments say.

    Args:
        arguments: what follows ``noiseless``.

    Returns:
        The exit code.

    Raises:
        UnknownNameError: no such verb.
        UsageError: options that the verb does not have or cannot read.
        NoiselessError: what the verb raises.
    """
    if os.environ.get(COMPLETE):  # a shell asks what may come next
        return _complete([])
    match list(arguments):
        case ["--show-completion" | "--install-completion" as option, *_]:
            return _complete([option])
        case [] | ["--help" | "-h" | "help", *_]:
            print(help_text(), end="")
            return 0
        case ["--version", *_]:
            print(f"noiseless {__version__}")
            return 0
        case [verb, *rest]:
            return _run_verb(verb, rest)
    raise AssertionError("a list is empty or has a first item")


def _complete(arguments: list[str]) -> int:
    """Let typer complete verbs and options in a shell, or tell or install what the shell is to be told for that."""
    import typer

    app = typer.Typer(rich_markup_mode=None)
    for verb, line in VERBS.items():
        app.command(verb, help=line)(load_verb(verb))
    code = typer.main.get_command(app).main(arguments, prog_name="noiseless", complete_var=COMPLETE)
    return code if isinstance(code, int) else 0


def help_text() -> str:
    """What ``noiseless --help`` prints."""
    width = max(map(len, VERBS))
    return HELP.format(verbs="\n".join(f"  {verb:<{width}}  {line}" for verb, line in VERBS.items()))


def load_verb(verb: str) -> Callable[..., Any]:
    """The function of a verb, imported now.

    Raises:
        UnknownNameError: no such verb.
    """
    if verb.startswith("-"):
        raise UsageError(f"unknown option {verb!r}", fix="See: noiseless --help")
    if verb not in VERBS:
        raise UnknownNameError("verb", verb, VERBS)
    function: Callable[..., Any] = getattr(importlib.import_module(f"noiseless.cli.{verb}"), verb)
    return function


def build_app(function: Callable[..., Any]) -> Typer:
    """A typer application of one function; plain help, since rich help doubles the time to show it."""
    import typer

    settings = {"help_option_names": ["-h", "--help"], "max_content_width": 120}
    app = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=settings)
    app.command()(function)
    return app


def _run_verb(verb: str, arguments: list[str]) -> int:
    function = load_verb(verb)
    if ("--json", "-") in itertools.pairwise(arguments) or "--json=-" in arguments:
        with contextlib.redirect_stdout(sys.stderr):  # what is said for people goes beside the numbers
            return _run_function(verb, function, arguments)
    return _run_function(verb, function, arguments)


def _run_function(verb: str, function: Callable[..., Any], arguments: list[str]) -> int:
    import typer
    from typer.main import get_command

    command = get_command(build_app(function))
    many = {name for option in command.params if (option.metavar or "").endswith("...") for name in option.opts}
    try:
        code = command.main(spread(arguments, many), prog_name=f"noiseless {verb}", standalone_mode=False)
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    except typer.TyperException as error:
        raise UsageError(error.format_message().rstrip("."), fix=f"See: noiseless {verb} --help") from error
    return code if isinstance(code, int) else 0


def spread(arguments: Sequence[str], many: set[str]) -> list[str]:
    """Let one option take several values: ``--clean a b`` becomes ``--clean a --clean b``.

    So that a glob which the shell expands (``--clean photos/*.jpg``) works.

    Args:
        arguments: of a verb.
        many: the options for which this holds; those whose metavar ends in ``...``.
    """
    result: list[str] = []
    current = ""
    for argument in arguments:
        if argument.startswith("-") and argument != "-":
            current = argument if argument in many else ""
        elif current and result[-1] != current:
            result.append(current)
        result.append(argument)
    return result
