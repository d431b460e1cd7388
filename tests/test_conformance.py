"""The verifier against pairs labelled by mathematics, hostile answers and responses that deserve nothing.

``conformance/pairs.jsonl`` was open while the verifier was written, ``conformance/unseen.jsonl`` was
not; both were split by the hash of the id beforehand. A row holds id, gold, answer, kind (or null),
equal, note and source (the data set or public thread whose form it takes, or own). A pair that ends
in ``timeout`` or ``bad_gold`` counts as wrong. ``bench/verify.py`` runs the same files beside others.

``conformance/fresh.jsonl`` is the honest one: written by somebody who saw neither the code nor the other
sets, and looked at by nobody who changes the verifier. Do not mend what it shows; write a new one.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from conformance.generated import FAMILIES, generate
from conformance.hostile import choices, hostile, stress
from longstep.types import Problem, Verdict
from longstep.verify import judge, verify
from patience import PATIENCE

HERE = Path(__file__).parent
JUDGED = {"correct", "incorrect", "unparseable"}
PROMPT = r"What is 6 times 7? Put your final answer in \boxed{}."


def read(name: str) -> list[dict]:
    lines = (HERE / "conformance" / name).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


SEEN, UNSEEN = read("pairs.jsonl"), read("unseen.jsonl")
FRESH = read("fresh.jsonl")


def ask(pair: dict) -> Verdict:
    return verify(gold=pair["gold"], answer=pair["answer"], kind=pair["kind"])


def turned(pair: dict) -> Verdict:
    return verify(gold=pair["answer"], answer=pair["gold"], kind=pair["kind"])


def described(pairs: list[dict], verdicts: dict[str, Verdict]) -> str:
    """Say which pairs went wrong and why, one a line: the message of a failed test."""
    lines = []
    for pair in pairs:
        verdict = verdicts[pair["id"]]
        says = f"{verdict.status} by {verdict.rung}: {verdict.reason}"
        lines.append(f"{pair['id']} {pair['gold']!r} / {pair['answer']!r} {pair['equal']}: {says}")
    return "\n" + "\n".join(lines)


@pytest.fixture(scope="module")
def verdicts() -> dict[str, Verdict]:
    return {pair["id"]: ask(pair) for pair in SEEN + UNSEEN}


def wrong(pairs: list[dict], verdicts: dict[str, Verdict]) -> list[dict]:
    return [
        pair
        for pair in pairs
        if verdicts[pair["id"]].status not in JUDGED
        or (verdicts[pair["id"]].status == "correct") != pair["equal"]
    ]


def test_the_set_is_large_mixed_and_free_of_contradictions() -> None:
    pairs = SEEN + UNSEEN
    assert min(len(SEEN), len(UNSEEN)) >= 225
    assert len({pair["id"] for pair in pairs}) == len(pairs)
    assert 0.4 <= sum(not pair["equal"] for pair in pairs) / len(pairs) <= 0.55
    kinds = {"integer", "number", "expression", "set", "tuple", "interval", "choice", "text", None}
    for half in (SEEN, UNSEEN):
        assert {pair["kind"] for pair in half} == kinds
        assert {"matrix", "equation", "unit", "time", "base"} <= {
            pair["id"].split("-")[0] for pair in half
        }
    labels: dict[frozenset, bool] = {}
    for pair in pairs:
        key = frozenset((pair["gold"], pair["answer"], str(pair["kind"])))
        assert labels.setdefault(key, pair["equal"]) == pair["equal"], pair["id"]


@pytest.mark.parametrize("half", ["pairs.jsonl", "unseen.jsonl"])
def test_at_least_97_of_100_pairs_are_right(half: str, verdicts: dict[str, Verdict]) -> None:
    pairs = read(half)
    failed = wrong(pairs, verdicts)
    assert len(failed) <= 0.03 * len(pairs), described(failed, verdicts)


def test_at_most_two_false_positives(verdicts: dict[str, Verdict]) -> None:
    failed = [pair for pair in wrong(SEEN + UNSEEN, verdicts) if not pair["equal"]]
    positive = [pair for pair in failed if verdicts[pair["id"]].status == "correct"]
    assert len(positive) <= 2, described(positive, verdicts)


def test_pairs_that_nobody_tuned_on_are_right_as_often() -> None:
    found = {pair["id"]: ask(pair) for pair in FRESH}
    failed = wrong(FRESH, found)
    positive = [p for p in failed if found[p["id"]].status == "correct"]
    assert len(FRESH) == 450
    # Counts and no rows: who reads the rows cannot use the set again.
    assert (len(failed) <= 13, len(positive) <= 2) == (True, True)


def test_verdicts_are_symmetric_and_reasoned(verdicts: dict[str, Verdict]) -> None:
    back = {pair["id"]: turned(pair) for pair in SEEN + UNSEEN}
    uneven = [
        pair
        for pair in SEEN + UNSEEN
        if (verdicts[pair["id"]].status == "correct") != (back[pair["id"]].status == "correct")
    ]
    assert not uneven, described(uneven, back)
    unsaid = [
        pair
        for pair in SEEN + UNSEEN
        if not verdicts[pair["id"]].rung
        or (verdicts[pair["id"]].status != "correct" and not verdicts[pair["id"]].reason)
    ]
    assert not unsaid, described(unsaid, verdicts)


def test_pairs_made_with_exact_arithmetic_are_judged_right() -> None:
    """No unequal pair is called equal, and of a hundred equal ones at most one is missed."""
    pairs = generate(30 * len(FAMILIES), seed=3)
    judged = [(pair, verify(gold=pair.gold, answer=pair.answer)) for pair in pairs]
    assert [
        pair for pair, verdict in judged if verdict.status == "correct" and not pair.equal
    ] == []
    missed = [(pair, v.reason) for pair, v in judged if v.status != "correct" and pair.equal]
    assert len(missed) <= len(pairs) / 200, missed


def test_an_answer_equals_itself_in_every_kind() -> None:
    pairs = [pair for pair in SEEN + UNSEEN if pair["equal"]]
    same = {pair["id"]: verify(gold=pair["gold"], answer=pair["gold"]) for pair in pairs}
    failed = [pair for pair in pairs if same[pair["id"]].status != "correct"]
    assert not failed, described(failed, same)


@pytest.mark.parametrize("gold", ["12", r"\frac{1}{2}", r"\sqrt{2}", "x^2+1", "[1,2)", r"\{1,2\}"])
def test_hostile_answers_are_never_right(gold: str) -> None:
    statuses = {
        name: verify(gold=gold, answer=text).status
        for name, text in hostile().items()
        if len(text) < 100_000 or gold == "12"
    }
    assert {name: s for name, s in statuses.items() if s not in ("incorrect", "unparseable")} == {}


def test_a_hostile_gold_answer_is_nobody_s_answer() -> None:
    statuses = {
        name: verify(gold=text, answer="12").status
        for name, text in hostile().items()
        if text.strip()
    }
    allowed = ("incorrect", "unparseable", "bad_gold")
    assert {name: s for name, s in statuses.items() if s not in allowed} == {}


def test_hostile_neighbours_are_not_called_equal() -> None:
    tower = "9^{9^{9}}"
    for gold, answer in (
        (tower, tower + "+1"),
        (tower, "9^{9^{8}}"),
        ("100000!", "100001!"),
        ("100000!", "99999!"),
        ("7" * 5_000, "7" * 4_999 + "8"),
        ("7" * 200_000, "7" * 199_999 + "8"),
    ):
        assert verify(gold=gold, answer=answer).status != "correct"


CHILDREN = """
import json, os, sys
from multiprocessing.connection import Connection
from pathlib import Path
sys.path[:0] = [{tests!r}]
from conformance.generated import FAMILIES, generate
from conformance.hostile import hostile
from longstep.verify import verify

def children():
    tasks = Path(f"/proc/{{os.getpid()}}/task").iterdir()
    return [pid for task in tasks for pid in (task / "children").read_text().split()]

first = None
for name, text in hostile().items():
    verify(gold="12", answer=text)
    verify(gold="x^2+1", answer=text[:50_000])
    if first is None and children():
        first = name
print(json.dumps(first))
"""


def test_hostile_answers_are_refused_before_any_worker_is_started() -> None:
    """A fresh process judges them all and has no child: nothing hostile was left to sympy."""
    code = CHILDREN.format(tests=str(HERE))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    assert json.loads(done.stdout) is None  # else the first that started a worker


BATCH = """
import json, os, sys
from multiprocessing.connection import Connection
from pathlib import Path
sys.path[:0] = [{tests!r}]
from conformance.generated import FAMILIES, generate
from conformance.hostile import hostile
from longstep.types import Problem
from longstep.verify import judge_all

texts = list(hostile().values())
bad = dict(zip(range(6, 100, 12), [texts[k * len(texts) // 8] for k in range(8)]))

def batch(bad):
    items = []
    for n in range(100):
        gold, answer = (f"x+{{n}}", f"{{n + n % 2}}+x") if n % 5 == 0 else (str(n), str(n + n % 2))
        problem = Problem(id=str(n), prompt="q", answer=gold, verifier="math")
        items.append((problem, "\\\\boxed{{" + bad.get(n, answer) + "}}", "stop"))
    return [verdict.status for verdict in judge_all(items, threads=4)]

clean, mixed = batch({{}}), batch(bad)
tasks = Path(f"/proc/{{os.getpid()}}/task").iterdir()
workers = [int(pid) for task in tasks for pid in (task / "children").read_text().split()]
print(json.dumps([clean, mixed, sorted(bad), workers]))
"""


def test_a_batch_with_hostile_answers_changes_no_other_verdict() -> None:
    code = BATCH.format(tests=str(HERE))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    clean, mixed, bad, workers = json.loads(done.stdout)
    assert len(bad) == 8
    assert Counter(clean) == {"correct": 50, "incorrect": 50}  # odd ones were made one too large
    assert [s for n, s in enumerate(mixed) if n not in bad] == [
        s for n, s in enumerate(clean) if n not in bad
    ]
    assert {mixed[n] for n in bad} <= {"incorrect", "unparseable"}
    assert [pid for pid in workers if Path(f"/proc/{pid}").exists()] == []


def sample() -> list[dict]:
    """Every ninth pair: all kinds, the cheap and those that need sympy."""
    return (SEEN + UNSEEN)[::9]


def statuses() -> list[str]:
    return [ask(pair).status for pair in sample()]


def test_threads_and_coroutines_agree(verdicts: dict[str, Verdict]) -> None:
    expected = [verdicts[pair["id"]].status for pair in sample()]
    with ThreadPoolExecutor(8) as threads:
        assert [verdict.status for verdict in threads.map(ask, sample())] == expected

    async def gathered() -> list[str]:
        loop = asyncio.get_running_loop()
        alone = loop.run_in_executor(None, statuses)
        found = await asyncio.gather(*(asyncio.to_thread(ask, pair) for pair in sample()))
        assert await alone == expected
        return [verdict.status for verdict in found]

    assert asyncio.run(gathered()) == expected


def send(pipe: Connection) -> None:
    pipe.send(statuses())


def test_a_forked_process_agrees(verdicts: dict[str, Verdict]) -> None:
    """The child must not talk to the parent's workers; both go on working."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=send, args=(theirs,))
    child.start()
    expected = [verdicts[pair["id"]].status for pair in sample()]
    assert statuses() == expected  # at the same time as the child
    assert ours.poll(PATIENCE) and ours.recv() == expected
    child.join(PATIENCE)
    assert child.exitcode == 0


def test_verdicts_do_not_depend_on_the_load(verdicts: dict[str, Verdict]) -> None:
    spin = [sys.executable, "-c", "while True: pass"]
    burners = [subprocess.Popen(spin) for _ in range(2 * (os.cpu_count() or 1))]
    try:
        assert statuses() == [verdicts[pair["id"]].status for pair in sample()]
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def scores(gold: str, responses: dict[str, str]) -> dict[str, str]:
    problem = Problem(id="stress", prompt=PROMPT, answer=gold, verifier="math")
    verdicts = {name: judge(problem, text) for name, text in responses.items()}
    return {name: v.answer or "" for name, v in verdicts.items() if v.correctness != 0.0}


@pytest.mark.parametrize(
    ("gold", "other"), [("42", "43"), (r"\frac{3}{4}", r"\frac{4}{3}"), ("x+1", "x-1")]
)
def test_responses_that_deserve_nothing_score_nothing(gold: str, other: str) -> None:
    assert scores(gold, stress(gold, other, PROMPT)) == {}
    honest = rf"<think>a thought</think>The answer is \boxed{{{gold}}}."
    assert list(scores(gold, {"honest": honest})) == ["honest"]  # the same question can be won


def test_naming_several_options_scores_nothing() -> None:
    for gold in ("B", r"\text{(B)}"):
        assert scores(gold, choices("B")) == {}
        assert list(scores(gold, {"honest": r"<think></think>\boxed{B}"})) == ["honest"]


def test_a_right_answer_that_was_cut_off_is_truncated() -> None:
    problem = Problem(id="cut", prompt=PROMPT, answer="42", verifier="math")
    assert judge(problem, r"<think>a</think>\boxed{42}", "length").status == "truncated"
    assert judge(problem, r"<think>a</think>\boxed{42}", "stop").status == "correct"
