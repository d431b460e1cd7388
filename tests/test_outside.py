"""Curricula, gates, guides and ending rules from outside of the package: a file beside the recipe, and no fork."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from longstep.closure import code_of
from longstep.config import Located, UserError, dump, validate
from longstep.context import Context
from longstep.progress import Progress
from longstep.stages.rl import Rl
from test_rollouts import chance, pool, rollouts

MEMBERS = '''
"""Members of a user."""

from __future__ import annotations

from longstep.config import Field, Strict
from longstep.curriculum import Ask, Horizon
from longstep.curriculum.gates import GateConfig
from longstep.curriculum.gates.all import OpenGate
from longstep.curriculum.guides import Guidance, GuideConfig
from longstep.curriculum.guides.none import Unguided
from longstep.curriculum.until import Until
from own_words import WORD


class Backwards:
    def __init__(self, count: int) -> None:
        self.count, self.asked = count, 0

    def pick(self, n: int, step: int) -> list[Ask]:
        self.asked += n
        return [Ask(-place % self.count) for place in range(self.asked - n, self.asked)]

    def observe(self, outcomes) -> None:
        self.seen = len(outcomes)

    def metrics(self):
        return {"asked": float(self.asked)}

    def state(self):
        return {"asked": self.asked}

    def restore(self, state) -> None:
        self.asked = state["asked"]


class Reversed(Strict):
    """From the last problem to the first."""

    kind: str
    skip: int = Field(0, ge=0)

    def wants(self) -> frozenset[str]:
        return frozenset({"pass_rate"})

    def build(self, problems, horizon: Horizon) -> Backwards:
        return Backwards(len(problems))


class Counted(OpenGate):
    def metrics(self):
        return {"counted": 1.0}


class Counting(GateConfig):
    """Everything passes, and is counted."""

    kind: str

    def build(self, group: int, horizon: Horizon) -> Counted:
        return Counted((group,))


class Telling(Unguided):
    def wanted(self, outcome) -> int:
        return 1

    def guidance(self, problem, k):
        return Guidance(shown=problem.answer + problem.prompt)

    def metrics(self):
        return {"told": 1.0}


class Told(GuideConfig):
    """Asks everything once more, with the answer before the question."""

    kind: str

    def build(self, problems, horizon) -> Telling:
        return Telling()


class Once(Until):
    """Ends after the first batch of rollouts."""

    kind: str

    def reason(self, history):
        return WORD if history else None


# -- what cannot be a member ----------------------------------------------------------------------


def order():
    return Backwards(1)


class Nameless(Strict):
    def build(self, problems, horizon) -> Backwards:
        return Backwards(1)


class Idle(Strict):
    kind: str


class Cramped(Strict):
    kind: str

    def build(self, problems) -> Backwards:
        return Backwards(1)


class Halfway:
    def pick(self, n, step):
        return [Ask(0)] * n

    def observe(self, outcomes) -> None: ...

    def metrics(self):
        return {}

    def state(self):
        return {}


class Forgetful(Strict):
    kind: str

    def build(self, problems, horizon) -> Halfway:
        return Halfway()


class Silent(Strict):
    kind: str

    def build(self, problems, horizon):
        return Halfway()


class Deaf(Backwards):
    def observe(self) -> None: ...


class Stubborn(Strict):
    kind: str

    def build(self, problems, horizon) -> Deaf:
        return Deaf(1)


class Roundless(Counted):
    def __init__(self) -> None: ...


class Unround(GateConfig):
    kind: str

    def build(self, group, horizon) -> Roundless:
        return Roundless()


class Plain(GateConfig):
    kind: str


# -- what a run finds out in its first step -------------------------------------------------------


class Off(Backwards):
    by = 0

    def pick(self, n, step):
        return [Ask(ask.index + self.by) for ask in super().pick(n, step)]


class Beyond(Strict):
    kind: str
    by: int

    def build(self, problems, horizon) -> Off:
        order = Off(len(problems))
        order.by = self.by
        return order


class Kept(Backwards):
    holds = None

    def state(self):
        return {**super().state(), "seen": self.holds}


class Lossy(Strict):
    kind: str
    holds: str

    def build(self, problems, horizon) -> Kept:
        order = Kept(len(problems))
        order.holds = {"set": {1}, "keys": {1: 2}, "fine": [(1, None), {"a": 0.5}]}[self.holds]
        return order


class Wordy(Backwards):
    def metrics(self):
        return {"asked": str(self.asked)}


class Told2(Strict):
    kind: str

    def build(self, problems, horizon) -> Wordy:
        return Wordy(len(problems))
'''


@pytest.fixture(autouse=True)
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's modules, in a folder on the path."""
    (tmp_path / "own_members.py").write_text(MEMBERS, "utf-8")
    (tmp_path / "own_words.py").write_text('WORD = "it was enough"\n', "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("own_members", "own_words"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def stage(**given: Any) -> Rl:
    return validate(Rl, Located({"model": "m", "data": "d", "steps": 2, **given}))


def kind(name: str, **settings: Any) -> dict[str, Any]:
    return {"kind": f"own_members:{name}", **settings}


ALL = {
    "curriculum": kind("Reversed", skip=1),
    "gate": kind("Counting"),
    "guide": kind("Told"),
    "until": kind("Once"),
}


def test_settings_come_back_from_their_own_json() -> None:
    taken = stage(**ALL)
    assert type(taken.curriculum).__name__ == "Reversed"
    stored = json.loads(json.dumps(dump(taken)))
    assert stored["curriculum"] == {"kind": "own_members:Reversed", "skip": 1}
    assert validate(Rl, Located(stored)) == taken
    assert taken.model_copy(update={"steps": 3}).curriculum is taken.curriculum
    assert stage(curriculum=taken.curriculum).curriculum is taken.curriculum
    assert (
        stage(algorithm={"kind": "dapo", "gate": kind("Counting")}).selection.kind
        == "own_members:Counting"
    )


def test_its_file_and_what_that_imports_are_in_the_fingerprint(beside: Path) -> None:
    inside, outside = code_of(stage()), code_of(stage(**ALL))
    assert {"own_members", "own_words"} <= outside.keys() - inside.keys()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"curriculum": {"kind": "own_member:Reversed"}}, "no module named 'own_member'"),
        ({"curriculum": kind("Reverse")}, "own_members has no 'Reverse'; did you mean 'Reversed'?"),
        ({"curriculum": kind("Reversed", skop=1)}, "unknown key 'skop'; did you mean 'skip'?"),
        ({"curriculum": kind("Reversed", skip=-1)}, "skip: expected greater than or equal to 0"),
        ({"curriculum": kind("order")}, "is no class of settings derived from longstep.config.Strict"),
        ({"curriculum": kind("Nameless")}, "write kind: str in the class"),
        ({"curriculum": kind("Idle")}, "has no build"),
        ({"curriculum": kind("Cramped")}, "build that does not take (self, problems, horizon)"),
        ({"curriculum": kind("Forgetful")}, "builds Halfway, which has no restore"),
        ({"curriculum": kind("Stubborn")}, "Deaf, which has a observe that does not take (self, outcomes)"),
        ({"gate": kind("Reversed")}, "derived from longstep.curriculum.gates.base.GateConfig"),
        ({"gate": kind("Plain")}, "has no build"),
        ({"guide": kind("Plain")}, "derived from longstep.curriculum.guides.base.GuideConfig"),
        ({"until": kind("Told")}, "derived from longstep.curriculum.until.base.Until"),
        ({"curriculum": {"kind": "own"}}, "unknown kind 'own'"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_member_is_refused_with_its_place(given: Any, said: str) -> None:
    with pytest.raises(UserError) as refused:
        stage(**given)
    (line,) = str(refused.value).splitlines()
    assert line.startswith(next(iter(given))) and said in line


def run(folder: Path, finished: Path, **given: Any) -> list[dict[str, Any]]:
    stage = Rl.model_validate(
        {
            "model": str(finished / "merged/out"),
            "data": str(finished / "pool/out"),
            "steps": 2,
            "group": 4,
            "batch": 8,
            "max_tokens": 24,
            "max_length": 96,
            "log_every": 1,
            **given,
        }
    )
    quiet = lambda label, total, unit: Progress(label, total, unit, write=lambda text: None)  # noqa: E731
    stage.run(Context("rl", folder, 7, {}, quiet, lambda what, facts: None))
    lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_members_from_outside_train_two_steps(finished: Path, tmp_path: Path) -> None:
    with_rule = {**ALL, "curriculum": kind("Reversed")}
    rows = run(tmp_path / "run", finished, **{**with_rule, "until": {"kind": "steps"}})
    assert [row["curriculum/asked"] for row in rows] == [2.0, 4.0]
    assert rows[-1]["gate/counted"] == rows[-1]["guide/told"] == 1.0
    assert rows[-1]["tokens/guided"] > 0
    assert len(run(tmp_path / "short", finished, **with_rule)) == 1  # ended by its own rule
    ended = json.loads((tmp_path / "short/ended.json").read_text("utf-8"))
    assert ended["why"] == "until own_members:Once: it was enough"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"curriculum": kind("Silent")}, "own_members:Halfway has no restore, and a run asks every curriculum for that"),
        ({"gate": kind("Unround")}, "own_members:Roundless has no rounds, and a run asks every gate for that"),
    ],
)  # fmt: skip
def test_what_only_the_object_can_tell_is_refused_before_a_draw(
    finished: Path, tmp_path: Path, given: Any, said: str
) -> None:
    with pytest.raises(UserError, match=said):
        run(tmp_path / "run", finished, **given)
    assert (tmp_path / "run/rollouts.jsonl").read_text("utf-8") == ""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({**kind("Beyond"), "by": 100}, r"curriculum: it asked for problem \d+ at step 0, and there are 0 to \d+$"),
        ({**kind("Beyond"), "by": -100}, r"it asked for problem -\d+ at step 0"),
        ({**kind("Lossy"), "holds": "set"}, "own_members:Kept: its state holds a set, which a checkpoint in JSON would"),
        ({**kind("Lossy"), "holds": "keys"}, "its state holds the key 1, which a checkpoint in JSON would lose"),
        (kind("Told2"), "own_members:Wordy: its metric 'asked' is '2'; give a plain number"),
    ],
)  # fmt: skip
def test_what_a_member_gives_wrongly_is_refused_in_the_first_step(
    tmp_path: Path, given: Any, said: str
) -> None:
    """Not where the first checkpoint or metric line is written, which may be a hundred steps later."""
    with pytest.raises(UserError, match=said):
        rollouts(tmp_path, chance, pool(4), curriculum=stage(curriculum=given).curriculum)(0, 4)


def test_a_state_of_lists_numbers_and_text_is_taken(tmp_path: Path) -> None:
    fine = stage(curriculum={**kind("Lossy"), "holds": "fine"}).curriculum
    assert len(rollouts(tmp_path, chance, pool(4), curriculum=fine)(0, 4)["shaped"]) == 4
