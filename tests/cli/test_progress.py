"""Progress: plain lines when piped, a bar on a terminal."""

from __future__ import annotations

import io

import pytest

from noiseless.cli import progress as module
from noiseless.cli.progress import clock, progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    """Stands in for `time.monotonic`."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


def test_lines_when_piped(monkeypatch: pytest.MonkeyPatch) -> None:
    time, stream = Clock(), io.StringIO()
    monkeypatch.setattr(module, "time", time)
    with progress("Denoising", 10, stream=stream, interval=5) as step:
        for index in range(10):
            time.now += 2
            step(1, note=f"image {index}")
    assert stream.getvalue().splitlines() == [
        "Denoising: 30%, 0:14 left, image 2",
        "Denoising: 60%, 0:08 left, image 5",
        "Denoising: 90%, 0:02 left, image 8",
        "Denoising: 100%, 0:20 taken, image 9",
    ]


def test_what_an_earlier_run_did_says_nothing_of_the_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    time, stream = Clock(), io.StringIO()
    monkeypatch.setattr(module, "time", time)
    with progress("Training", 100, stream=stream, interval=5) as step:
        step(40)
        for _ in range(2):
            time.now += 3
            step(10)
    assert stream.getvalue().splitlines()[0] == "Training: 60%, 0:12 left"


def test_the_pace_of_a_first_long_step_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    time, stream = Clock(), io.StringIO()
    monkeypatch.setattr(module, "time", time)
    with progress("Denoising", 4, stream=stream, interval=5) as step:
        time.now += 10
        step()
    assert stream.getvalue().splitlines()[0] == "Denoising: 25%, 0:30 left"


def test_short_work_is_one_line() -> None:
    stream = io.StringIO()
    with progress("Measuring", 3, stream=stream) as step:
        for _ in range(3):
            step()
    assert stream.getvalue() == "Measuring: 100%, 0:00 taken\n"


def test_failed_work_prints_no_closing_line() -> None:
    stream = io.StringIO()
    with pytest.raises(ZeroDivisionError), progress("Measuring", 3, stream=stream):
        raise ZeroDivisionError
    assert stream.getvalue() == ""


def test_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()
    with progress("Training", 60.0, stream=stream) as step:
        step(30.0, note="29.31 dB")
        step(30.0)
    printed = stream.getvalue()
    assert "Training" in printed
    assert "100%" in printed
    assert "29.31 dB" in printed
    assert "━" in printed


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (125, "2:05"), (3725, "1:02:05")])
def test_clock(seconds: float, text: str) -> None:
    assert clock(seconds) == text
