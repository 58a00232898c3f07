"""`python -m noiseless` and the `noiseless` command: the place where every error becomes one line."""

from __future__ import annotations

import errno
import gc
import io
import os
import sys
from collections.abc import Sequence

from noiseless import cli
from noiseless.cli import INTERRUPTED, TERMINATED
from noiseless.errors import NoiselessError, missing_extra

OBJECTS_BETWEEN_COLLECTIONS = 50_000
"""Imports make many objects that stay: looking through them every 700, as Python does, is a tenth of the start."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: what follows the program's name; `sys.argv[1:]` if not given.

    Returns:
        The exit code: 0, 2 for bad input, 1 for a failure at work, 130 after Ctrl-C, 143 after SIGTERM.
    """
    gc.set_threshold(OBJECTS_BETWEEN_COLLECTIONS)
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files may be no text, or none of its encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = _take(given, "--debug")
    try:
        code = cli.run(given)
        sys.stdout.flush()
    except BrokenPipeError:
        return _quiet()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except NoiselessError as error:
        return _fail(str(error), error.exit_code, debug)
    except ModuleNotFoundError as error:
        known = missing_extra(f"noiseless {' '.join(given[:1])}", error)
        return _fail(str(known or error), 2 if known else 1, debug)
    except Exception as error:  # the last resort: whatever it is, people get a line and not a traceback
        return _fail(_of_the_machine(error) or _internal(error), 1, debug)
    if code in (INTERRUPTED, TERMINATED):
        _say("stopped by Ctrl-C" if code == INTERRUPTED else "stopped by SIGTERM")
    return code


def _of_the_machine(error: Exception) -> str | None:
    """The line for what no verb can help: too little memory, a file or disk that the system refuses."""
    reason = " ".join(str(error).split())
    is_torch = type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in reason
    if is_torch or isinstance(error, MemoryError):
        fix = "Do less at once, as with --set training.batch_size=4 or --max-memory, or take a machine with more."
        return f"the memory does not suffice: got {reason or 'no more'}. {fix}"
    if isinstance(error, OSError) and error.filename is not None:
        return f"cannot use {error.filename}: got {error.strerror}. Check its permissions and its disk."
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:  # what is said goes to a file
        return f"cannot write: got {error.strerror}. Free some space on the disk."
    return None


def _internal(error: Exception) -> str:
    line = " ".join(f"{type(error).__name__}: {error}".split())
    return f"internal error: {line}. Run it again with --debug to see where."


def _take(arguments: list[str], flag: str) -> bool:
    """Remove `flag` from what stands before ``--``; whether it was there."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    found = flag in arguments[:end]
    arguments[:end] = [argument for argument in arguments[:end] if argument != flag]
    return found


def _fail(line: str, code: int, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exc()
    _say(line)
    return code


def _say(line: str) -> None:
    print(f"noiseless: {line}", file=sys.stderr)


def _quiet() -> int:
    """The reader of our output went away (``| head``): end without a word."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1


if __name__ == "__main__":
    sys.exit(main())
