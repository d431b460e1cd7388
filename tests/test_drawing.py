"""Drawing streams: bounded memory, nothing lost or doubled by a kill, the same rows from any generator."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fault_server import FaultServer, chat
from longstep.artifacts import AppendLog
from longstep.config import Located, UserError, validate
from longstep.draw.drawing import Drawing, ShownProgress
from longstep.draw.samplers import ByEndpoint, ByModel, ByReference, ByServer
from longstep.generate import (
    Batch,
    Endpoint,
    EndpointGenerator,
    FakeGenerator,
    Generator,
    Headway,
    Prompt,
    Sampling,
)
from longstep.progress import Progress
from longstep.stages import Contrast, Evaluate, Rl, Sample
from longstep.types import Completion, Problem
from patience import PATIENCE

PROBLEMS = [Problem(f"p{n}", f"{n}+1?", str(n + 1)) for n in range(5)]
SAMPLING = Sampling(samples=3, batch_size=4)
TEXT = "<think>x</think>\\boxed{3}"


def drawing(generator: Generator, journal: Path, sampling: Sampling = SAMPLING) -> Drawing:
    prompts = [Prompt(p.id, text=p.prompt) for p in PROBLEMS]
    return Drawing(generator, prompts, {p.id: p for p in PROBLEMS}, sampling, journal)


class Fake(FakeGenerator):
    """Counts what it makes, and is interrupted when it should make more than ``budget`` batches."""

    def __init__(self, budget: int = 10**9) -> None:
        super().__init__(lambda prompt, index: f"{TEXT} {prompt.name} {index}", lambda text: (7, 8))
        self.budget, self.made = budget, 0

    def run_batch(self, batch: Batch, sampling: Sampling) -> list[Completion]:
        if self.made >= self.budget:
            raise KeyboardInterrupt
        self.made += 1
        return super().run_batch(batch, sampling)


def honest(start: Callable[..., FaultServer]) -> EndpointGenerator:
    server = start(lambda body, before: chat(f"{TEXT} {body['seed']}", usage=2))
    return EndpointGenerator(Endpoint(model="m", url=server.url))


# -- the same contract for every generator -----------------------------------------------------------


@pytest.fixture(params=["in this process", "over HTTP"])
def generator(request: pytest.FixtureRequest, start: Callable[..., FaultServer]) -> Generator:
    return Fake() if request.param == "in this process" else honest(start)


def test_rows_come_in_canonical_order_with_verdicts_and_are_read_back(
    generator: Generator, tmp_path: Path
):
    seen: list[Headway] = []
    task = drawing(generator, tmp_path / "log.jsonl")
    rows = list(task.rows(seen.append))
    assert [(r.problem_id, r.sample_index) for r in rows] == [
        (p.id, i) for p in PROBLEMS for i in range(3)
    ]
    # Only p2 asks for 3.
    assert [r.verdict.status == "correct" for r in rows if r.verdict] == [
        p.id == "p2" for p in PROBLEMS for _ in range(3)
    ]
    assert seen[-1].done == seen[-1].total
    assert list(task.rows()) == rows
    slim = list(task.slim())
    assert [r.verdict for r in slim] == [r.verdict for r in rows]
    assert all(r.text == "" and r.token_ids == () for r in slim)


def test_nothing_is_drawn_until_it_is_wanted(generator: Generator, tmp_path: Path):
    rows = drawing(generator, tmp_path / "log.jsonl").rows()
    assert not (tmp_path / "log.jsonl").exists()
    first = next(rows)
    rows.close()  # pyright: ignore[reportAttributeAccessIssue]
    again = list(drawing(generator, tmp_path / "log.jsonl").rows())
    assert again[0] == first and len(again) == 15


def test_one_problem_may_be_asked_by_many_prompts(generator: Generator, tmp_path: Path):
    """Names keep the noise and the journal's lines apart; the problem stays what it is."""
    prompts = [Prompt("p2", text="2+1?", key=f"p2 in words {n}") for n in range(4)]
    by_id = {p.id: p for p in PROBLEMS}
    task = Drawing(generator, prompts, by_id, Sampling(samples=2), tmp_path / "log.jsonl")
    rows = list(task.rows())
    assert {r.problem_id for r in rows} == {"p2"} and len(rows) == 8
    assert len({r.text for r in rows}) == 8
    assert list(task.rows()) == rows
    with pytest.raises(UserError, match="'p2 in words 1' is asked twice"):
        list(generator.draw([*prompts, prompts[1]], Sampling()))


# -- kills ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", range(4))
def test_a_draw_that_is_interrupted_goes_on_with_the_next_batch(tmp_path: Path, budget: int):
    whole = list(drawing(Fake(), tmp_path / "whole.jsonl").rows())
    with pytest.raises(KeyboardInterrupt):
        list(drawing(Fake(budget), tmp_path / "log.jsonl").rows())
    again = Fake()
    assert list(drawing(again, tmp_path / "log.jsonl").rows()) == whole
    assert again.made == 4 - budget  # 15 rows in batches of 4
    for name in ("log.jsonl", "log.verdicts.jsonl"):
        whole_bytes = (tmp_path / name.replace("log", "whole")).read_bytes()
        assert (tmp_path / name).read_bytes() == whole_bytes


@pytest.mark.parametrize("end", ["torn", "changed", "without its seal", "of another plan"])
def test_what_is_not_sealed_is_drawn_again(tmp_path: Path, end: str):
    log = tmp_path / "log.jsonl"
    whole = list(drawing(Fake(), log).rows())
    data = log.read_bytes()
    lines = data.splitlines(keepends=True)
    log.write_bytes(
        {
            "torn": data[:-20],
            "changed": data.replace(b"p4 2", b"p4 9"),
            "without its seal": b"".join(lines[:-1]),
            "of another plan": data.replace(b'"plan": "', b'"plan": "0'),
        }[end]
    )
    again = Fake()
    assert list(drawing(again, log).rows()) == whole
    assert again.made == (4 if end == "of another plan" else 1)
    assert log.read_bytes() == data


def test_other_settings_are_another_draw(tmp_path: Path):
    log = tmp_path / "log.jsonl"
    list(drawing(Fake(), log).rows())
    longer = Fake()
    rows = list(drawing(longer, log, SAMPLING.model_copy(update={"samples": 4})).rows())
    assert len(rows) == 20 and longer.made == 5


def test_a_verdict_is_reached_once_and_again_when_the_answer_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from longstep.draw import verdicts

    judged: list[str] = []
    judge = verdicts.judge

    def counting(problem: Problem, *said: str) -> object:
        judged.append(problem.id)
        return judge(problem, *said)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(verdicts, "judge", counting)
    log = tmp_path / "log.jsonl"
    task = drawing(Fake(), log)
    rows = list(task.rows())
    assert len(judged) == 15
    assert list(task.rows()) == rows and len(judged) == 15
    log.with_suffix(".verdicts.jsonl").write_bytes(b"".join(
        log.with_suffix(".verdicts.jsonl").read_bytes().splitlines(keepends=True)[:6]
    ) + b'{"problem_id": "p')  # fmt: skip
    assert list(task.rows()) == rows and len(judged) == 15 + 9
    keys = {p.id: Problem(p.id, p.prompt, "3") for p in PROBLEMS}
    other = Drawing(task.generator, task.prompts, keys, task.sampling, log)
    # p0 and p1 have another key now, and from there on everything is judged anew.
    assert all(r.verdict and r.verdict.status == "correct" for r in other.rows())


KILLED = """
import os, signal, sys
from pathlib import Path
from test_drawing import Fake, drawing
log = Path(sys.argv[1])
for number, row in enumerate(drawing(Fake(), log).rows()):
    if number == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("row", [0, 7, 14])
def test_a_killed_process_loses_no_sealed_batch(tmp_path: Path, row: int):
    log = tmp_path / "log.jsonl"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(log), str(row)],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=PATIENCE,
    )
    assert done.returncode == -signal.SIGKILL
    again = Fake()
    rows = list(drawing(again, log).rows())
    assert rows == list(drawing(Fake(), tmp_path / "whole.jsonl").rows())
    assert again.made == 4 - (row // 4 + 1)
    assert log.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_a_log_is_cut_at_its_last_newline_however_long_it_is(tmp_path: Path):
    log = tmp_path / "log.jsonl"
    for torn in (b"", b"x" * 10, b"x" * 200_000):
        for whole in (b"", b'{"a": 1}\n', b"y" * 300_000 + b"\n"):
            log.write_bytes(whole + torn)
            AppendLog(log).close()
            assert log.read_bytes() == whole


# -- memory -----------------------------------------------------------------------------------------

MEMORY = """
import resource, sys
from pathlib import Path
from longstep.curate import pass_rates
from longstep.draw.drawing import Drawing
from longstep.draw.verdicts import slim_rows
from longstep.generate import FakeGenerator, Prompt, Sampling
from longstep.types import Problem
samples, folder = int(sys.argv[1]), Path(sys.argv[2])
problems = [Problem(f"p{n}", f"{n}?", str(n)) for n in range(100)]
prompts = [Prompt(p.id, text=p.prompt) for p in problems]
fake = FakeGenerator(lambda prompt, index: "<think>x</think>\\\\boxed{1}", lambda text: range(300, 330))
how = Sampling(samples=samples, batch_size=200)
task = Drawing(fake, prompts, {p.id: p for p in problems}, how, folder / "log.jsonl")
list(zip(range(1000), task.rows()))  # imports and pools
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rates = pass_rates(task.rows())
assert sum(rate.scored for rate in rates.values()) == 100 * samples
for row in task.rows():
    pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_drawing_adds_a_bounded_amount_of_memory_whatever_the_number_of_rows(tmp_path: Path):
    """Rule (g): ten times the rows, the same memory; as objects the larger draw would hold over 20 MB."""
    added = {}
    for samples in (20, 200):
        folder = tmp_path / str(samples)
        folder.mkdir()
        done = subprocess.run(
            [sys.executable, "-c", MEMORY, str(samples), str(folder)],
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
        added[samples] = int(done.stdout)
    assert added[200] < 4_000 and added[200] - added[20] < 4_000  # kB


# -- who gives what ---------------------------------------------------------------------------------

SERVERS = [ByEndpoint(model="m", url="http://h/v1"), ByServer(model="m", command=("x", "{port}"))]


@pytest.mark.parametrize("by", [*SERVERS, ByReference(model="m")])
def test_a_stage_that_needs_more_than_an_engine_gives_refuses_it_before_it_runs(by):
    rl = [*Rl(model="m", data="@d", by=by, steps=1, max_length=8192).check()]
    assert len(rl) == 1 and rl[0].startswith(f"by: an engine of kind {by.kind} gives no token ids")
    assert "cannot follow a model in training" in rl[0]
    [said] = Contrast(expert="m", amateur="a", data="@d", by=by).check()
    assert "gives no whole distributions" in said
    [said] = Sample(by=by, data="@d", sampling=Sampling(logprobs=True)).check()
    assert "gives no log-probabilities" in said
    assert [*Sample(by=by, data="@d").check()] == []


def test_an_engine_that_follows_has_to_be_of_the_model_in_training():
    assert [
        *Rl(model="@m", data="@d", by=ByModel(model="@m"), steps=1, max_length=8192).check()
    ] == []
    [said] = Rl(model="@m", data="@d", by=ByModel(model="@other"), steps=1, max_length=8192).check()
    assert said.startswith("by: its copy follows the model in training")
    [said] = Contrast(expert="m", amateur="a", data="@d", by=ByModel(model="a")).check()
    assert said.endswith("must be of the same model, m")


def test_an_engine_over_a_copy_becomes_the_policy_of_each_step():
    import torch

    from longstep.draw.prompts import engine, prompts_for
    from longstep.models.load import load_model, load_tokenizer, locate

    folder = locate("longstep-tiny")
    tokenizer, policy = load_tokenizer(folder), load_model(folder, "float32")
    with torch.no_grad():
        for weight in policy.parameters():
            weight.mul_(1.5)
    copy, ours = engine(load_model(folder, "float32"), tokenizer), engine(policy, tokenizer)
    prompts = prompts_for(tokenizer, [Problem("p", "a3b+4?", "7")])
    how = Sampling(temperature=1.0, max_tokens=12, samples=4)
    wanted = [row.token_ids for row in ours.draw(prompts, how)]
    assert [row.token_ids for row in copy.draw(prompts, how)] != wanted
    copy.sync(policy, 1)
    assert [row.token_ids for row in copy.draw(prompts, how)] == wanted
    ours.sync(policy, 1)  # it is the policy
    assert [row.token_ids for row in ours.draw(prompts, how)] == wanted


def test_evaluate_takes_models_endpoints_and_servers():
    settings = {
        "models": {
            "ours": "@sft",
            "r1": {"kind": "endpoint", "url": "http://h/v1", "model": "r1", "concurrency": 3},
            "own": {"kind": "server", "model": "x", "command": ["serve", "{port}"]},
        },
        "benchmarks": ["chain"],
        "thinking": False,
    }
    stage = validate(Evaluate, Located(settings, {}))
    assert stage.engines()["ours"] == ByModel(model="@sft", thinking=False)
    assert [*stage.references()] == [("@sft", "model")]
    assert [said.split(",")[0] for said in stage.check()] == [
        "thinking: has no effect on models.r1", "thinking: has no effect on models.own"
    ]  # fmt: skip


def test_progress_does_not_count_what_was_read_back():
    lines: list[str] = []
    line = Progress("draw", 10, "completion", lines.append, terminal=False)
    shown = ShownProgress(line)
    for headway in (Headway(4, 10, 4), Headway(6, 12, 4, "tok", {"answers": 2})):
        shown(headway)
    assert (line.done, line.total, line.unit) == (6, 12, "tok")
    assert line.skipped == 4
