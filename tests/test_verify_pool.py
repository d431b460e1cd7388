"""The worker pool: hostile questions are killed, the others are untouched, nothing is left over."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from longstep.types import Problem
from longstep.verify import judge, judge_all, workers
from longstep.verify.pool import NoReply, Pool
from patience import SOON


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    pool = Pool("longstep.verify.symbolic:compare", workers=2)
    monkeypatch.setitem(workers._pools, os.getpid(), pool)
    yield pool
    pool.close()


def hang(gold: str, answer: str) -> list[str]:
    """What a worker that never returns looks like."""
    time.sleep(60)
    return ["incorrect", ""]


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def ask(gold: str, answer: str) -> str:
    problem = Problem(id="p", prompt="q", answer=gold, verifier="math")
    return judge(problem, rf"\boxed{{{answer}}}").status


def test_only_what_the_ladder_cannot_read_reaches_a_worker_and_none_is_left(pool: Pool) -> None:
    assert ask("1/2", "0.5") == "correct" and ask("3", "4") == "incorrect"
    assert ask("x^2+1", "1+x^2") == "correct" and ask("x^2", "x^3") == "incorrect"
    assert ask("12", "__import__('time').sleep(9)") in {"incorrect", "unparseable"}
    assert ask("12", "\x00\x07\x1b") in {"incorrect", "unparseable"}
    assert (
        ask("12", r"\max(9^{9^{9}}, \sqrt{2})") == "unparseable"
    )  # refused by the screen on the text
    assert ask("1", r"\gcd(a, b)") == ask("ab", r"\lcm(a, b)") == "unparseable"  # sympy says yes
    assert pool.pids() == []
    assert (
        ask("6", r"\max(6, \sqrt{2})") == "correct" and ask(r"\max(6, \sqrt{2})", "6") == "correct"
    )
    assert ask("5", r"\max(6, \sqrt{2})") == "incorrect"
    assert (
        ask(r"\frac{1}{3}", r"\max(6, \sqrt{2}) - 5.666667") == "incorrect"
    )  # 0.333333 is not 1/3
    ours = pool.pids()
    assert len(ours) == 1
    forked_child_has_its_own_worker(pool, ours)
    assert ask("6", r"\max(6, \sqrt{2})") == "correct" and pool.pids() == ours
    pool.close()
    assert all(gone(pid) for pid in ours)


def forked_child_has_its_own_worker(pool: Pool, ours: list[int]) -> None:
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()

    def child() -> None:
        queue.put((ask("6", r"\max(6, \sqrt{2})"), workers.shared_pool().pids()))
        pool.close()  # as an inherited atexit would

    process = context.Process(target=child)
    process.start()
    status, theirs = queue.get()
    process.join()
    assert status == "correct" and set(theirs).isdisjoint(ours)
    assert not any(gone(pid) for pid in ours)


def test_a_killed_worker_is_a_timeout_and_never_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(f"{__name__}:hang", workers=1, wall_s=0.2)
    monkeypatch.setitem(workers._pools, os.getpid(), pool)
    items = [(r"\max(2, \sqrt{2})", "2"), ("3", "3")]
    problems = [
        (Problem(str(i), "q", gold, verifier="math"), rf"\boxed{{{a}}}", "stop")
        for i, (gold, a) in enumerate(items)
    ]
    verdicts = judge_all(problems, threads=2)
    assert [verdict.status for verdict in verdicts] == ["timeout", "correct"]
    assert verdicts[0].correctness is None and verdicts[0].rung == "symbolic"
    pool.close()


def test_a_worker_that_sleeps_is_killed_and_the_pool_works_on() -> None:
    pool = Pool("time:sleep", workers=1, wall_s=0.3)
    assert pool.call(0) is None
    first = pool.pids()
    with pytest.raises(NoReply, match=r"0\.3 s"):
        pool.call(60)
    assert all(gone(pid) for pid in first)
    assert pool.call(0) is None
    pool.close()
    assert pool.pids() == []


def spin(gold: str, answer: str) -> list[str]:
    """What a worker that computes for ever looks like."""
    while True:
        pass


def test_the_limit_of_a_call_is_cpu_time_kept_by_the_kernel() -> None:
    pool = Pool(f"{__name__}:spin", workers=1, cpu_s=1)
    with pytest.raises(NoReply, match="1 s of CPU"):
        pool.call("1", "2")
    assert pool.pids() == []
    pool.close()


def test_workers_are_started_before_they_are_asked(pool: Pool) -> None:
    gold = r"\max(6, \sqrt{2})"
    problems = [Problem(str(n), "q", each, verifier="math") for n, each in enumerate(("3", gold))]
    items = [(each, r"\boxed{3}", "stop") for each in problems]
    assert [each.status for each in judge_all(items[:1])] == ["correct"] and pool.pids() == []
    assert [each.status for each in judge_all(items)] == ["correct", "incorrect"]
    assert len(pool.pids()) == 2
    killed = pool.pids()[-1]
    os.kill(killed, 9)
    os.waitid(os.P_PID, killed, os.WEXITED | os.WNOWAIT)
    assert [each.status for each in judge_all(items)] == ["correct", "incorrect"]


def test_threads_share_the_pool() -> None:
    pool = Pool("time:sleep", workers=2, wall_s=0.5)
    outcomes: list[str] = []

    def one(seconds: float) -> None:
        try:
            pool.call(seconds)
            outcomes.append("slept")
        except NoReply:
            outcomes.append("killed")

    threads = [threading.Thread(target=one, args=(s,)) for s in (0, 60, 0.01, 60, 0, 0.02)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(outcomes) == {"slept": 4, "killed": 2}
    pool.close()


def test_memory_is_limited_and_a_crash_is_survived() -> None:
    pool = Pool("builtins:bytearray", workers=1, memory_mb=512)
    with pytest.raises(NoReply, match="MemoryError"):
        pool.call(1 << 40)
    pool.close()
    pool = Pool("os:_exit", workers=1)
    with pytest.raises(NoReply, match="died"):
        pool.call(1)
    pool.close()


def test_a_worker_that_cannot_start_is_our_error_not_a_verdict() -> None:
    pool = Pool("no_such_module:f", workers=1)
    with pytest.raises(RuntimeError, match="no worker could start for no_such_module:f"):
        pool.call(1)


def test_workers_end_with_their_parent() -> None:
    code = (
        "import os; from longstep.verify.pool import Pool\n"
        "pool = Pool('time:sleep'); pool.call(0)\n"
        "print(pool.pids()[0], flush=True); {end}"
    )
    for end in ("", "os.kill(os.getpid(), 9)"):
        done = subprocess.run(
            [sys.executable, "-c", code.format(end=end)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        pid = int(done.stdout)
        deadline = time.monotonic() + SOON
        while not gone(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert gone(pid)
