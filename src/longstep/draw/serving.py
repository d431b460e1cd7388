"""What ``longstep serve`` serves: a model, or the worked solutions of a file of problems."""

from __future__ import annotations

from pathlib import Path

from longstep.artifacts import read_rows
from longstep.config import UserError
from longstep.draw.prompts import engine, prompts_for
from longstep.generate import Prompt, worked
from longstep.generate.serve import Served, Worked
from longstep.types import Problem


def source_of(place: str, name: str | None = None, thinking: bool = True) -> Served:
    """A file of problems answers with its worked solutions, a perfect teacher; anything else names a model.

    Args:
        place: a JSONL file of problems, a Hugging Face folder, a shipped model's name or a hub id.
        name: what requests must call it; by default the last part of ``place``.
        thinking: of a model, whether it may think.
    """
    called = name or Path(place).name
    if Path(place).is_file():
        return _solutions(Path(place), called)
    return _model(place, called, thinking)


def _solutions(path: Path, name: str) -> Served:
    answers: dict[str, str] = {}
    for problem in read_rows(path, Problem):
        text = worked(problem)
        if answers.setdefault(problem.prompt, text) != text:
            raise UserError(
                f"{path}: two worked solutions to one question ({problem.prompt[:60]!r});"
                " drop one, for a question is all that a request carries"
            )
    known = Worked(answers)
    return Served(name, known, known.prompt)


def _model(place: str, name: str, thinking: bool) -> Served:
    from longstep.models.load import context_length, load_model, load_tokenizer, locate

    folder = locate(place)
    tokenizer, model = load_tokenizer(folder), load_model(folder)

    def prompt(question: str, number: str) -> Prompt:
        return prompts_for(tokenizer, [Problem(number, question, "")], thinking)[0]

    return Served(name, engine(model.eval(), tokenizer), prompt, context_length(model))
