"""Lines of progress: seldom and plain where nobody watches, one that is redrawn on a terminal."""

from __future__ import annotations

import os
import pty
import re
import struct
import subprocess
import sys
import termios
import time
from fcntl import ioctl

import pytest

from longstep.progress import Progress, clock
from patience import PATIENCE

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def test_a_plain_line_is_written_at_once_then_seldom_then_at_the_end():
    said: list[str] = []
    progress = Progress("sft1", 40, write=said.append, terminal=False)
    for _ in range(40):
        progress.advance(facts={"loss": 0.123456})
    progress.finish({"loss": 0.5})
    assert len(said) == 2
    form = (
        r"\d\d:\d\d:\d\d sft1         +\d+ %  {}/40 step  [\d,.]+ step/s"
        r"  0:00 gone, 0:0\d left  loss {}\n"
    )
    assert re.fullmatch(form.format(1, "0.123"), said[0]) and "  2 %" in said[0]
    assert re.fullmatch(form.format(40, "0.5"), said[1]) and "100 %" in said[1]


def test_nothing_done_is_no_division_by_nothing():
    said: list[str] = []
    Progress("empty", 0, "row", write=said.append, terminal=False).finish()
    assert "0/0 row" in said[0] and "? left" in said[0]
    Progress("empty", 0, "row", write=said.append, terminal=True).finish()
    assert "0/0 row" in said[1] and said[2] == "\n"


@pytest.mark.parametrize("columns", [120, 100, 92, 80, 60, 30])
def test_a_terminals_line_is_redrawn_and_never_wider_than_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", str(columns))
    said: list[str] = []
    progress = Progress("sft1", 4, write=said.append, terminal=True)
    time.sleep(0.05)  # 40 steps a second at most
    progress.advance(2, {"loss": 1.5, "lr": 1e-4})
    [line] = said
    assert line.startswith("\r\x1b[Ksft1         ")
    shown = COLOUR.sub("", line.removeprefix("\r\x1b[Ksft1         "))
    assert len(shown) + 13 < columns
    drawn, words = re.fullmatch("([━╸╺]*) *( 50 %.*|.{,17})", shown).groups()  # pyright: ignore
    whole = re.compile(
        r" 50 %  2/4 step  \d\d\.\d step/s  0:00 gone, 0:00 left  loss 1.5  lr 0.0001"
    )
    # 13 characters of label, 72 of words, one that stays free; half of the bar is the done part (of 5: 2 and a half character)
    assert len(drawn) == {120: 10, 100: 5, 92: 3}.get(columns, 0)
    assert bool(whole.fullmatch(words)) == (columns > 80)


def test_what_an_earlier_process_did_does_not_count_for_the_speed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "120")
    said: list[str] = []
    progress = Progress("sft1", 1_000_200, write=said.append, terminal=True)
    progress.start_at(1_000_000)
    progress.advance(0)
    time.sleep(0.25)
    progress.advance(100)
    # 100 steps in a quarter of a second or a little more, so that 100 steps are left for as long
    speed = float(re.findall(r"([\d,.]+) step/s", said[-1])[0].replace(",", ""))
    assert 10 < speed <= 400 and "1,000,100/1,000,200" in said[-1]
    left = re.findall(r"gone, 0:(\d\d) left", said[-1])
    assert left and 0 <= int(left[0]) <= 10
    progress.total = 2_000_200  # estimated anew: 100 of 1,000,200 more are done
    time.sleep(0.25)
    progress.advance(0)
    assert " 50 %" in said[-1]


def test_in_a_terminal_the_cursor_and_standard_output_are_left_alone():
    """What a pipe behind the program reads is not mixed with the line; an exception leaves the terminal as it was."""
    code = (
        "from longstep.progress import Progress\n"
        "progress = Progress('sft1', 4)\n"
        "progress.advance(1); print('result'); raise SystemExit(3)"
    )
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**environment, "TERM": "xterm"},
        timeout=PATIENCE,
    )
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert done.returncode == 3 and done.stdout == b"result\n"
    assert "━" in shown and "25 %" in shown and "\n" not in shown
    assert "\x1b[?25l" not in shown  # hide the cursor


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0:00"), (61.9, "1:01"), (3600, "1:00:00"), (36_000 + 62, "10:01:02")]
)
def test_clock(seconds: float, said: str):
    assert clock(seconds) == said
