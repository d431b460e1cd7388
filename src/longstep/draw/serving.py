"""What ``longstep serve`` serves: a model, or the worked solutions of a file of problems."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from longstep.artifacts import read_rows
from longstep.config import UserError
from longstep.draw.prompts import engine
from longstep.generate import Prompt, worked
from longstep.generate.serve import Served, Turns, Worked
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
    return Served(name, known, known.prompt, decode=known.decode)


def _model(place: str, name: str, thinking: bool) -> Served:
    from longstep.models.bounds import context_length
    from longstep.models.chat import encode_plain, encode_text, render_turns
    from longstep.models.load import load_model, load_tokenizer, locate

    folder = locate(place)
    tokenizer, model = load_tokenizer(folder), load_model(folder)

    def prompt(turns: Turns, number: str) -> Prompt:
        rendered = render_turns(tokenizer, turns, thinking)
        return Prompt(number, rendered.ids, rendered.prefix)

    def plain(text: str | Sequence[int], number: str) -> Prompt:
        return Prompt(number, encode_plain(tokenizer, text))

    def decode(ids: Sequence[int]) -> str:
        return str(tokenizer.decode(list(ids), skip_special_tokens=False))

    drawer = engine(model.eval(), tokenizer)
    return Served(
        model=name,
        generator=drawer,
        prompt=prompt,
        context=context_length(model),
        plain=plain,
        decode=decode,
        encode=lambda text: encode_text(tokenizer, text),
        stop_ids=drawer.stop_ids,
    )
