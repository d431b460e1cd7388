"""The worker pool: hostile questions are killed, the others are untouched, nothing is left over."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from longstep.types import Problem
from longstep.verify import judge, judge_all
from longstep.verify.pool import NoReply, Pool

# ``longstep.verify.math`` the attribute is the verifier; the module is reached by its name
math_module = sys.modules["longstep.verify.math"]


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    pool = Pool("longstep.verify.symbolic:compare", workers=2, timeout_s=1.0)
    monkeypatch.setitem(math_module._pools, os.getpid(), pool)
    yield pool
    pool.close()


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def ask(gold: str, answer: str) -> str:
    problem = Problem(id="p", prompt="q", answer=gold, verifier="math")
    return judge(problem, rf"\boxed{{{answer}}}").status


def test_symbolic_ladder_and_no_orphans(pool: Pool) -> None:
    assert ask("1/2", "0.5") == "correct" and ask("3", "4") == "incorrect"
    assert pool.pids() == []  # numbers never start a process
    assert ask("x^2+1", "1+x^2") == "correct"
    assert ask(r"\frac{\sqrt{2}}{2}", r"1/\sqrt{2}") == "correct"
    assert ask("50", r"50\%") == "correct"  # one percent sign: left to math-verify
    assert ask("1,2", "1") == "incorrect"  # any overlap is not enough
    assert ask("x^2", "x^3") == "incorrect"
    assert ask("12", "__import__('time').sleep(9)") in {"incorrect", "unparseable"}
    assert ask("12", "\x00\x07\x1b") in {"incorrect", "unparseable"}
    assert ask("12", "\ud800") in {"incorrect", "unparseable"}
    pids = pool.pids()
    assert len(pids) == 1
    pool.close()
    assert all(gone(pid) for pid in pids)


def test_a_thousand_answers_some_hostile(pool: Pool) -> None:
    # 10 towers that the screen refuses; a power of a power that does run for ever in the worker
    endless = r"(9^{9999})^{9999}"
    answers = ["x+1" if i % 10 == 0 else str(i) for i in range(1000)]
    answers[100:110] = [r"9^{9^{9}}"] * 10
    answers[555] = endless
    items = []
    for i, answer in enumerate(answers):
        gold = "1+x" if i % 10 == 0 else str(i + i % 2)  # odd ones are wrong
        problem = Problem(id=str(i), prompt="q", answer=gold, verifier="math")
        items.append((problem, rf"<think></think>\boxed{{{answer}}}", "stop"))
    counts = Counter(verdict.status for verdict in judge_all(items, threads=4))
    # odd, not in 100..109, not 555: 500 - 5 - 1 = 494 wrong; even: 500 - 5 = 495 right
    assert counts == {"correct": 495, "incorrect": 494, "unparseable": 10, "timeout": 1}
    assert len(pool.pids()) <= 2


def test_timeout_is_tried_twice_then_the_pool_works_on() -> None:
    pool = Pool("time:sleep", workers=1, timeout_s=0.3)
    assert pool.call(0) is None
    first = pool.pids()
    start = time.monotonic()
    with pytest.raises(NoReply, match=r"0\.3 s"):
        pool.call(60)
    assert time.monotonic() - start >= 0.6  # twice 0.3
    assert all(gone(pid) for pid in first)
    assert pool.call(0) is None
    pool.close()
    assert pool.pids() == []


def test_threads_share_the_pool_and_a_lone_retry() -> None:
    pool = Pool("time:sleep", workers=2, timeout_s=0.5)
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
    pool = Pool("builtins:bytearray", workers=1, timeout_s=5.0, memory_mb=512)
    with pytest.raises(NoReply, match="MemoryError"):
        pool.call(1 << 40)
    pool.close()
    pool = Pool("os:_exit", workers=1, timeout_s=5.0)
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
        deadline = time.monotonic() + 5
        while not gone(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert gone(pid)
