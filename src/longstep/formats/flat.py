"""Layouts of one question and one answer in plain columns."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from longstep.formats import chat
from longstep.formats.faults import RowError, describe
from longstep.formats.layout import Layout, PublishedAnswer, the_completion
from longstep.formats.record import NUMBERS, Message, Record, Row, Taker, common_columns

_THINK, _END_OF_THOUGHT = "<think>\n", "\n</think>\n\n"


def plain(
    name: str,
    needs: tuple[str, ...],
    note: str,
    columns: Mapping[str, str],
    strict: bool = False,
    other_answer: str = "",
) -> Layout:
    """A layout whose columns are fields of the record under other names.

    Args:
        name: of the layout.
        needs: columns by which it is recognised.
        note: who uses it.
        columns: field of the record -> column; all others stand under their own names.
        strict: whether a column with a field's own name must have its type.
        other_answer: a column that holds the answer where its own does not.
    """

    def take(row: Taker) -> dict[str, Any]:
        fields = take_named(row, columns)
        if "answer" in fields and fields["answer"] is None:
            fields["answer"] = row.maybe_key(other_answer) if other_answer else None
        return {**row.common(fields, strict), **fields}

    def render(record: Record) -> Row:
        one_turn(record, name)
        fields = {"prompt": record.prompt, **common_columns(record)}
        return {columns.get(field, field): value for field, value in fields.items()}

    return Layout(name, dict.fromkeys(needs, "text"), note, take, render)


def take_named(row: Taker, columns: Mapping[str, str]) -> dict[str, Any]:
    """Fields of the record from the columns that hold them."""
    fields: dict[str, Any] = {"prompt": row.text(columns["prompt"])}
    for field, column in columns.items():
        if field in NUMBERS:
            fields[field] = row.maybe_number(column)
        elif field != "prompt":
            take = row.maybe_key if field == "answer" else row.maybe_text
            fields[field] = take(column)
    return fields


def one_turn(record: Record, name: str) -> None:
    """Refuse a conversation where only a question and an answer have a place."""
    if record.messages:
        raise RowError(
            f"is a conversation of {len(record.messages)} messages, a row of layout {name} is one question "
            "and one answer; choose messages, sharegpt or chat-completion",
            "messages",
        )


# -- s1 -------------------------------------------------------------------------------------------


def _think(thought: str | None, answer: str | None) -> str | None:
    return f"{_THINK}{thought}{_END_OF_THOUGHT}{answer or ''}" if thought else answer


def _parts(completion: str | None) -> tuple[str, str | None]:
    """The inverse of ``_think``: whatever the completion, putting the parts together gives it again."""
    if completion and completion.startswith(_THINK):
        thought, end, answer = completion[len(_THINK) :].partition(_END_OF_THOUGHT)
        if thought and end:
            return thought, answer
    return "", completion


def _s1_take(row: Taker) -> dict[str, Any]:
    fields = take_named(row, {"prompt": "question", "source": "source_type"})
    thoughts = row.a_list("thinking_trajectories")
    if len(thoughts) != 1 or not isinstance(thoughts[0], str):
        raise RowError(
            f"got {describe(thoughts)}, expected a list of one text", "thinking_trajectories"
        )
    fields["completion"] = _think(thoughts[0], row.any_text("attempt"))
    return {**row.common(fields), **fields}


def _s1_columns(record: Record) -> Row:
    one_turn(record, "s1")
    thought, attempt = _parts(record.completion)
    row = {
        "question": record.prompt,
        "source_type": record.source,
        "thinking_trajectories": [thought],
    }
    return _present(row | {"attempt": attempt} | common_columns(record, ("source", "completion")))


def _s11(name: str, teacher: str, note: str) -> Layout:
    thought, attempt = f"{teacher}_thinking_trajectory", f"{teacher}_attempt"

    def take(row: Taker) -> dict[str, Any]:
        fields = take_named(row, {"prompt": "question", "source": "source_type"})
        fields["completion"] = _think(row.maybe_text(thought), row.any_text(attempt))
        return {**row.common(fields), **fields}

    def columns(record: Record) -> Row:
        row = _s1_columns(record)
        said = {thought: row.pop("thinking_trajectories")[0], attempt: row.pop("attempt", None)}
        return _present(row | said)

    def answers(record: Record) -> list[PublishedAnswer]:
        right = _GRADES.get(str(record.extra.get(f"{teacher}_grade")))
        return [replace(each, right=right) for each in the_completion(record)]

    needs = {"question": "text", thought: "text", attempt: "text"}
    return Layout(name, needs, note, take, columns, answers, _answer_or_solution)


_GRADES = {"Yes": True, "No": False}


def _answer_or_solution(record: Record) -> str | None:
    """s1's column ``solution`` is the key of most rows and a worked solution, which ends with it, of the others."""
    return record.answer if record.answer is not None else record.solution


S1 = Layout(
    "s1",
    {"question": "text", "thinking_trajectories": "a list", "attempt": "text"},
    "s1K: thought and attempt of the teacher in two columns",
    _s1_take,
    _s1_columns,
    key=_answer_or_solution,
)
S11 = _s11(
    "s1.1",
    "deepseek",
    "s1K-1.1: the same with the traces of DeepSeek-R1; Gemini's are kept as extra fields",
)
S11_GEMINI = _s11(
    "s1.1-gemini", "gemini", "s1K-1.1 with Gemini's traces; name it, for auto takes DeepSeek's"
)


# -- LIMO -----------------------------------------------------------------------------------------

_FINAL = re.compile(r"\*\*\s*Final Answer\s*:?\s*\*\*", re.IGNORECASE)
_BOX = "\\boxed{"


def _limo_answers(record: Record) -> list[PublishedAnswer]:
    r"""The chain without its end is the thought, the end is the answer.

    The end begins at the last heading "Final Answer"; without one, at the line of the last box. A chain that has
    marks of its own is left as it is.
    """
    text = record.completion or ""
    if "think>" in text or not text.strip():
        return the_completion(record)
    heads = [found.start() for found in _FINAL.finditer(text)]
    place = heads[-1] if heads else text.rfind(_BOX)
    if place < 0:
        return [PublishedAnswer(text, fault="no final answer: neither a heading nor a box")]
    if not heads:
        place = text.rfind("\n", 0, place) + 1
    return [PublishedAnswer(_think(text[:place].strip(), text[place:].strip()) or "")]


LIMO = replace(
    plain(
        "limo",
        ("question", "solution", "answer"),
        "LIMO: the solution is the trace to learn from",
        {"prompt": "question", "completion": "solution", "answer": "answer"},
    ),
    answers=_limo_answers,
)


# -- open-r1 --------------------------------------------------------------------------------------

_VERDICTS = ("correctness_math_verify", "correctness_llama")
_CUT = "marked as cut by its publisher"


def _open_r1_take(row: Taker) -> dict[str, Any]:
    named = {"prompt": "problem", "solution": "solution", "answer": "answer", "id": "uuid"}
    fields = take_named(row, named)
    generations = row.a_list("generations")
    if not all(isinstance(each, str) for each in generations):
        raise RowError(
            "got a list with other things in it, expected a list of texts", "generations"
        )
    extra: Row = {}
    if len(generations) > 1:
        fields["completion"] = _first_right(generations, row.left)
        extra["generations"] = generations
    else:
        fields["completion"] = generations[0] if generations else None
    return {**row.common(fields), **fields, "extra": extra}


def _first_right(generations: list[Any], row: Mapping[str, Any]) -> str | None:
    """The first generation that a verifier called right; which one is no guess of ours when none is marked."""
    for column in _VERDICTS:
        marks = row.get(column)
        if isinstance(marks, list):
            for generation, mark in zip(generations, marks, strict=False):
                if mark is True:
                    return generation
    return None


def _open_r1_answers(record: Record) -> list[PublishedAnswer]:
    """Every generation, with the publisher's verdict on it; one that was cut is no whole answer."""
    several = record.extra.get("generations")
    texts = several if isinstance(several, list) else None
    if texts is None:
        texts = [] if record.completion is None else [record.completion]
    marks = next((m for c in _VERDICTS if isinstance(m := record.extra.get(c), list)), [])
    ended = record.extra.get("is_reasoning_complete")
    return [
        PublishedAnswer(text, right if isinstance(right, bool) else None, "" if whole else _CUT)
        for text, right, whole in zip(
            texts, _filled(marks, len(texts), None), _filled(ended, len(texts), True), strict=True
        )
    ]


def _filled(marks: Any, count: int, otherwise: Any) -> list[Any]:
    """Marks of so many generations; they say nothing where their number is another."""
    return marks if isinstance(marks, list) and len(marks) == count else [otherwise] * count


def _open_r1_columns(record: Record) -> Row:
    one_turn(record, "open-r1")
    generations = [] if record.completion is None else [record.completion]
    several = record.extra.get("generations")
    if (
        isinstance(several, list)
        and len(several) > 1
        and all(isinstance(each, str) for each in several)
        and _first_right(several, record.extra) == record.completion
    ):
        generations = several
    row = {"problem": record.prompt, "solution": record.solution, "answer": record.answer}
    row |= {"uuid": record.id, "generations": generations}
    return _present(row | common_columns(record, ("solution", "answer", "id", "completion")))


OPEN_R1 = Layout(
    "open-r1",
    {"problem": "text", "generations": "a list"},
    "OpenR1-Math: several generations; the first that a verifier called right is the completion",
    _open_r1_take,
    _open_r1_columns,
    _open_r1_answers,
)


# -- alpaca ---------------------------------------------------------------------------------------


def _alpaca_take(row: Taker) -> dict[str, Any]:
    instruction, given = row.text("instruction"), row.maybe_text("input")
    prompt = f"{instruction}\n{given}" if given else instruction
    fields: dict[str, Any] = {"prompt": prompt, "completion": row.maybe_text("output")}
    extra: Row = {"instruction": instruction} if given else {}
    system, turns = row.maybe_text("system"), row.maybe_list("history") or []
    if system or turns:
        messages: list[Message] = [{"role": "system", "content": system}] if system else []
        for number, turn in enumerate(turns):
            messages += _turn(turn, f"history.{number}")
        fields |= chat.conversation(
            [*messages, *chat.simple(prompt, fields["completion"])], "history"
        )
    return {**row.common(fields), **fields, "extra": extra}


def _turn(turn: Any, place: str) -> list[Message]:
    if not (isinstance(turn, list) and len(turn) == 2 and all(isinstance(t, str) for t in turn)):
        raise RowError(f"got {describe(turn)}, expected a question and its answer", place)
    return chat.simple(turn[0], turn[1])


def _alpaca_columns(record: Record) -> Row:
    instruction, given = record.extra.get("instruction"), ""
    if (
        isinstance(instruction, str)
        and instruction.strip()
        and record.prompt.startswith(f"{instruction}\n")
    ):
        given = record.prompt[len(instruction) + 1 :]
    row: Row = {"instruction": instruction if given else record.prompt, "input": given}
    row["output"] = record.completion
    messages = chat.parted(record)[0]
    if messages[0]["role"] == "system":
        row["system"], messages = messages[0]["content"], messages[1:]
    asked, answered = messages[:-1:2], messages[1::2]
    if messages[:-1]:
        row["history"] = [
            [a.get("content"), b.get("content")] for a, b in zip(asked, answered, strict=False)
        ]
    return _present(row | common_columns(record, ("completion",)))


ALPACA = Layout(
    "alpaca",
    {"instruction": "text", "output": "text"},
    "Alpaca and LLaMA-Factory; instruction and input are joined by a line end, as LLaMA-Factory does",
    _alpaca_take,
    _alpaca_columns,
)


ALPACA_PREFERENCE = Layout(
    "alpaca-preference",
    {"instruction": "text", "chosen": "text", "rejected": "text"},
    "LLaMA-Factory's ranking rows in Alpaca's columns",
    _alpaca_take,
    _alpaca_columns,
)


def _present(row: Row) -> Row:
    return {name: value for name, value in row.items() if value is not None}
