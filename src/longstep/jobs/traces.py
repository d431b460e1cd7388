"""Published traces and pairs, row by row: questions, and answers or pairs to learn from, or the reasons why not.

Each line of the files gives its answers; what cannot be learnt from goes into ``dropped.jsonl`` with its reason, and an
answer whose question has a key is judged. ``jobs.merged`` makes one problem of the rows that ask the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from longstep.artifacts import row_line
from longstep.curate.funnel import kind_of
from longstep.formats.faults import RowError
from longstep.formats.layout import Layout
from longstep.formats.lines import parse
from longstep.formats.quarantine import quarantined, quarantined_bad
from longstep.formats.record import as_key, value_of
from longstep.formats.thoughts import Reasoned, parted, whole
from longstep.formats.traces import (
    Exchange,
    Told,
    TrainedTurns,
    Turn,
    asked,
    exchanges,
    key_of_messages,
    side,
)
from longstep.jobs.base import Piece, PieceMaker, Work
from longstep.jobs.inputs import Chunk
from longstep.jobs.published import Published, asks_for_box
from longstep.jobs.rate import label_of
from longstep.jobs.rows import Row, RowJob
from longstep.problems.columns import problem_of
from longstep.problems.source import content_id
from longstep.types import Problem, Verdict
from longstep.verify import judge

DROPPED, QUARANTINE = "dropped.jsonl", "quarantine.jsonl"
#: Scratch files: one line for each question with an answer, and one for each answer or pair.
QUESTIONS, ANSWERS = "questions.jsonl", "answers.jsonl"
OUTPUTS = [QUESTIONS, ANSWERS, DROPPED, QUARANTINE]
UNVERIFIED = "unverified"


class _Reading:
    """What both kinds of row share: a chunk's rows become lines of the scratch files."""

    def __init__(self, settings: Published, job: RowJob) -> None:
        self.settings, self.job = settings, job
        self._read = job.reader()
        self._layouts: dict[Path, Layout] = {}

    def piece(self, chunk: Chunk) -> Piece:
        rows, bad = self._read(chunk)
        made = PieceMaker()
        made.count("rows", "read", len(chunk.lines))
        made.count("rows", "bad", len(bad))
        if chunk.path not in self._layouts:
            self._layouts[chunk.path] = self.job.layout_of(chunk.path)
        for row in rows:
            try:
                self.take(_Place(chunk.path, row, self._layouts[chunk.path]), made)
            except RowError as error:
                made.count("dropped rows", kind_of(error.reason))
                facts = {"reason": error.reason, "field": error.field}
                made.add(DROPPED, quarantined(chunk.path, row.line, facts))
        for each in bad:
            made.add(QUARANTINE, quarantined_bad(chunk.path, each))
        return made.whole()

    def take(self, place: _Place, made: PieceMaker) -> None:
        raise NotImplementedError

    def problem(self, place: _Place, before: tuple[Turn, ...], prompt: str, key: str) -> Problem:
        """The problem of a question; equal questions of one source have one id, whatever row they stand in."""
        settings = self.settings
        if settings.system == "drop":
            before = tuple(turn for turn in before if turn[0] != "system")
        label = settings.label or label_of(replace(place.row.record, source=None), place.path)
        said = settings.prompted(prompt)
        record = replace(place.row.record, prompt=said, answer=key)
        named = said if not before else repr((before, said))
        source = settings.label or label_of(place.row.record, place.path)
        problem = problem_of(record, content_id(label, named), source, settings.verifier)
        return replace(problem, before=before)

    def key(self, place: _Place) -> str:
        """The row's key; empty when there is none."""
        if self.settings.key:
            return as_key(value_of(place.parsed, self.settings.key)) or ""
        record = place.row.record
        return place.layout.key(record) or key_of_messages(record) or ""

    def verdict(self, problem: Problem, reply: Reasoned) -> Verdict | None:
        return judge(problem, reply.text) if problem.answer else None

    def drop(self, place: _Place, made: PieceMaker, reason: str, facts: Mapping[str, Any]) -> None:
        """Set an answer aside; rows with several would be written several times, so its text alone is kept."""
        made.count("dropped answers", kind_of(reason))
        head = {"file": str(place.path), "line": place.row.line.number, "reason": reason}
        made.add(DROPPED, row_line({**head, **facts}).encode())

    def note(self, problem: Problem, made: PieceMaker) -> None:
        """What a reader should know of the questions."""
        made.count(
            "prompts", "that ask for a box" if asks_for_box(problem.prompt) else "that do not"
        )
        if problem.before:
            made.count("prompts", "with turns before them")


@dataclass(frozen=True, slots=True)
class _Place:
    """A row, where it stands and how it is laid out."""

    path: Path
    row: Row
    layout: Layout

    @property
    def parsed(self) -> dict[str, Any]:
        return parse(self.row.line)


class _Traces(_Reading):
    def __init__(self, settings: Published, job: RowJob, turns: TrainedTurns) -> None:
        super().__init__(settings, job)
        self.turns: TrainedTurns = turns

    def take(self, place: _Place, made: PieceMaker) -> None:
        found = exchanges(place.row.record, place.layout, self.turns)
        if not found:
            raise RowError("no answer in the row")
        for number, exchange in enumerate(found):
            # A row's key is that of its last question.
            key = self.key(place) if number == len(found) - 1 else ""
            problem = self.problem(place, exchange.before, exchange.prompt, key)
            kept = [
                self._answer(place, made, problem, told) for told in self._told(place, exchange)
            ]
            if any(kept):
                self.note(problem, made)
                made.add(QUESTIONS, row_line(problem).encode())

    def _told(self, place: _Place, exchange: Exchange) -> tuple[Told, ...]:
        column = self.settings.columns.get("thought")
        if column is None:
            return exchange.told
        thought = value_of(place.parsed, column)
        return tuple(_with_thought(told, thought, column) for told in exchange.told)

    def _answer(self, place: _Place, made: PieceMaker, problem: Problem, told: Told) -> bool:
        """Whether an answer is kept; it is written down, or set aside with a reason."""
        made.count("rows", "answers")
        reply = _whole(told, self.settings)
        if isinstance(reply, str):
            self.drop(place, made, reply, {"prompt": problem.prompt, "text": told.text})
            return False
        verdict = self.verdict(problem, reply)
        status = verdict.status if verdict else UNVERIFIED
        made.count("verdicts", status)
        if told.right is not None and verdict is not None and verdict.correctness is not None:
            agree = told.right == (verdict.correctness == 1.0)
            made.count("published verdicts", "the same here" if agree else "different here")
        if self.settings.require == "verified" and status != "correct":
            facts = {"prompt": problem.prompt, "text": told.text, "answer": problem.answer}
            self.drop(
                place,
                made,
                f"not verified, {status}: {verdict.reason if verdict else 'no key'}",
                facts,
            )
            return False
        if reply.respelt:
            made.count("answers", "that only talk about a tag, respelt")
        if not reply.thought:
            made.count("answers", "without a thought, given an empty one")
        said = {"text": reply.text, "verdict": verdict and asdict(verdict)}
        made.add(ANSWERS, row_line(_identity(place, problem) | said).encode())
        return True


class _Pairs(_Reading):
    def take(self, place: _Place, made: PieceMaker) -> None:
        record = place.row.record
        if record.chosen is None or record.rejected is None:
            raise RowError("no pair in the row: expected chosen and rejected")
        before, prompt = asked(record)
        problem = self.problem(place, before, prompt, self.key(place))
        made.count("rows", "answers")
        texts = {"chosen": record.chosen, "rejected": record.rejected}
        said = self._sides(problem, texts, made)
        if isinstance(said, str):
            self.drop(place, made, said, {"prompt": problem.prompt, **texts})
            return
        self.note(problem, made)
        made.add(QUESTIONS, row_line(problem).encode())
        made.add(ANSWERS, row_line(_identity(place, problem) | said).encode())

    def _sides(
        self, problem: Problem, texts: Mapping[str, str], made: PieceMaker
    ) -> dict[str, str] | str:
        """Both sides as they are trained on, or why the pair is not."""
        said: dict[str, str] = {}
        statuses: dict[str, str] = {}
        for name, text in texts.items():
            reply = _whole(side(text), self.settings)
            if isinstance(reply, str):
                return f"{reply}, {name}"
            verdict = self.verdict(problem, reply)
            statuses[name] = verdict.status if verdict else UNVERIFIED
            said[name] = reply.text
        if said["chosen"] == said["rejected"]:
            return "both sides say the same"
        for name, status in statuses.items():
            made.count("verdicts", f"{name} {status}")
        wrong = statuses["rejected"] in ("incorrect", "unparseable")
        if self.settings.require == "verified" and not (statuses["chosen"] == "correct" and wrong):
            return f"not verified, {', '.join(f'{name} {each}' for name, each in statuses.items())}"
        return said


def trace_work(settings: Published, job: RowJob, turns: TrainedTurns) -> Work:
    """What turns a chunk of lines into questions and their answers."""
    return _Traces(settings, job, turns).piece


def pair_work(settings: Published, job: RowJob) -> Work:
    """What turns a chunk of lines into questions and pairs of answers."""
    return _Pairs(settings, job).piece


def _identity(place: _Place, problem: Problem) -> dict[str, Any]:
    """What the merging needs of an answer's question."""
    where = {"file": str(place.path), "line": place.row.line.number}
    return {**where, "problem_id": problem.id, "answer": problem.answer}


def _whole(told: Told, settings: Published) -> Reasoned | str:
    """The reply to learn from, or why there is none."""
    if told.reply is None:
        return told.fault
    try:
        return whole(told.reply, settings.thoughtless == "empty")
    except RowError as error:
        return error.reason


def _with_thought(told: Told, thought: Any, column: str) -> Told:
    if thought is not None and not isinstance(thought, str):
        raise RowError("is no text", column)
    try:
        return replace(told, reply=parted(thought, told.text), fault="")
    except RowError as error:
        return replace(told, reply=None, fault=error.reason)
