"""Answer keys that look wrong: nobody solves the problem and the answers agree, or two copies of it disagree.

Light-R1 (section 4) found that over half of the problems its rater never solved were unverifiable or had wrong keys.
It re-checks them with a model as judge; here they are sampled again (``extra``) and the samples vote. A vote is worth
what the rater is: see ``majorities``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from longstep.config import Field, Strict
from longstep.curate.difficulty import PassRate
from longstep.types import Completion, Problem

#: ``same(a, b)``: whether two answers are one, such as ``verify(gold=a, answer=b)`` says.
Same = Callable[[str, str], bool]


class KeyAudit(Strict):
    """When the key of a never-solved problem is suspect.

    Attributes:
        extra: more samples for every problem that was never solved, before it is judged; 0 judges by what there is.
        share: the suspect answer makes up at least this share of all scored samples, those without an answer
            included in the count.
        samples: at least so many samples were scored: one sample agrees with itself.
    """

    extra: int = Field(default=0, ge=0)
    share: float = Field(default=0.5, gt=0, le=1)
    samples: int = Field(default=2, ge=2)


@dataclass(frozen=True, slots=True)
class Suspect:
    """A problem whose key looks wrong.

    Attributes:
        problem: the problem.
        kind: how it was found.
        reason: one sentence for a person.
        answers: equal answers counted together, the most frequent first; empty when nothing was sampled.
        share: share of scored samples with the most frequent answer, ``None`` without samples.
        interval: 95 % Wilson interval of ``share``.
    """

    problem: Problem
    kind: Literal["suspect key", "conflicting golds"]
    reason: str
    answers: tuple[tuple[str, int], ...] = ()
    share: float | None = None
    interval: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Votes:
    """What the samples of one problem say: ``scored`` of them, ``correct`` for the gold, the others by answer."""

    scored: int
    correct: int
    wrong: tuple[tuple[str, int], ...]

    def majority(self, audit: KeyAudit) -> Literal["gold", "other", "none"]:
        """Which answer has at least the share that makes a key suspect."""
        needed = audit.share * self.scored
        if self.scored < audit.samples:
            return "none"
        if self.correct >= needed:
            return "gold"
        return "other" if self.wrong and self.wrong[0][1] >= needed else "none"


def votes_of(completions: Iterable[Completion], same: Same) -> dict[str, Votes]:
    """Votes by problem id; each wrong answer is counted under the first equal one.

    Raises:
        ValueError: a completion was not verified yet.
    """
    scored: Counter[str] = Counter()
    correct: Counter[str] = Counter()
    wrong: dict[str, Counter[str]] = {}
    for each in completions:
        verdict, name = each.verdict, each.problem_id
        if verdict is None:
            raise ValueError(f"completion {each.sample_index} of {name} has no verdict")
        if verdict.correctness is None:
            continue
        scored[name] += 1
        correct[name] += verdict.status == "correct"
        if verdict.status == "incorrect" and verdict.answer is not None:
            wrong.setdefault(name, Counter())[verdict.answer] += 1
    return {
        name: Votes(number, correct[name], classes(wrong.get(name, ()), same))
        for name, number in scored.items()
    }


def audit_keys(
    problems: Sequence[Problem],
    votes: Mapping[str, Votes],
    audit: KeyAudit,
    same: Same,
    twins: Mapping[str, Sequence[Problem]] | None = None,
) -> list[Suspect]:
    """Never-solved problems whose wrong answers agree.

    Args:
        problems: rows to judge, in the order in which suspects are named.
        votes: of their samples.
        audit: thresholds.
        same: equality of answers, symmetric.
        twins: other rows with the same question and another gold, by problem id (see ``conflicting_golds``).
            When the agreed answer is such a gold, the reason says so.
    """
    suspects: list[Suspect] = []
    for problem in problems:
        vote = votes.get(problem.id)
        if vote is not None and vote.correct == 0 and vote.majority(audit) == "other":
            suspects.append(_agreed(problem, vote, same, (twins or {}).get(problem.id, ())))
    return suspects


def majorities(votes: Iterable[Votes], audit: KeyAudit) -> dict[str, int]:
    """How often the samples agree, and on what: how far a suspect can be believed.

    A rater whose majorities are mostly the gold is seldom unanimously wrong, and a key it contradicts deserves a look.
    One whose majorities are often something else makes the same mistakes again and again, and names right keys.
    """
    counted = Counter(vote.majority(audit) for vote in votes)
    return {which: counted[which] for which in ("gold", "other", "none")}


def _agreed(problem: Problem, vote: Votes, same: Same, twins: Sequence[Problem]) -> Suspect:
    answer, count = vote.wrong[0]
    reason = f"suspect key: gold {problem.answer!r}, {count} of {vote.scored} say {answer!r}"
    agreeing = next((twin for twin in twins if same(twin.answer, answer)), None)
    if agreeing is not None:
        reason += f", as the gold of {agreeing.id} with the same question does"
    interval = PassRate(count, vote.scored).interval()
    return Suspect(problem, "suspect key", reason, vote.wrong, count / vote.scored, interval)


def classes(answers: Iterable[str] | Mapping[str, int], same: Same) -> tuple[tuple[str, int], ...]:
    """Group equal answers, counted already or not: ``(answer as most often written, count)``, the largest first.

    An answer joins the first group whose spelling it equals. ``same`` need not be transitive (no grader's equality
    is), so frequent spellings open groups first and the result does not depend on the order of the samples.
    """
    spelled = Counter(answers)
    groups: list[list[tuple[str, int]]] = []
    for answer, count in sorted(spelled.items(), key=lambda item: (-item[1], item[0])):
        home = next((group for group in groups if same(group[0][0], answer)), None)
        if home is None:
            groups.append([(answer, count)])
        else:
            home.append((answer, count))
    counted = [(group[0][0], sum(count for _, count in group)) for group in groups]
    return tuple(sorted(counted, key=lambda item: -item[1]))


def conflicting_golds(
    problems: Iterable[Problem], question: Callable[[str], Hashable], same: Same
) -> Iterator[list[Problem]]:
    """Groups of rows that ask the same question and do not all have equal golds.

    Args:
        problems: rows in order.
        question: key of a prompt; equal keys mean one question.
        same: equality of answers.
    """
    groups: dict[Hashable, list[Problem]] = {}
    for problem in problems:
        groups.setdefault(question(problem.asked), []).append(problem)
    for group in groups.values():
        if any(not same(group[0].answer, other.answer) for other in group[1:]):
            yield group


def twins_of(groups: Iterable[Sequence[Problem]]) -> dict[str, list[Problem]]:
    """The other rows of every problem's group, by problem id."""
    return {
        problem.id: [other for other in group if other is not problem]
        for group in groups
        for problem in group
    }


def conflict_suspects(groups: Iterable[Sequence[Problem]]) -> list[Suspect]:
    """One suspect for each row of a group with conflicting golds; nobody knows which gold is right.

    The reason says more when the rater does: a row that was never solved beside one that was.
    """
    suspects: list[Suspect] = []
    for group in groups:
        for problem in group:
            others = [other for other in group if other is not problem]
            shown = ", ".join(f"{other.answer!r} in {other.id}" for other in others[:3])
            reason = f"conflicting golds: {problem.answer!r} here, {shown}"
            solved = next((other for other in others if other.pass_rate), None)
            if problem.pass_rate == 0 and solved is not None:
                reason += f"; never solved here, {solved.pass_rate:.3g} solved there"
            suspects.append(Suspect(problem, "conflicting golds", reason))
    return suspects
