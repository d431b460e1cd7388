"""The answers of stored trees as completions, for what learns from them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from longstep.artifacts import read_rows
from longstep.config import UserError
from longstep.generate import Prompt
from longstep.scaling.store import PROBLEMS, PROMPTS, Begun, read_protocol, trees
from longstep.scaling.tree import leaves
from longstep.types import Completion, Problem


def stored_answers(
    folder: Path, render: Callable[[Sequence[Problem]], list[Prompt]]
) -> Iterator[tuple[Problem, Completion]]:
    """Every answer of a ``scale`` stage, strategy by strategy; samples of a problem are numbered through.

    Prompts are stored by their lengths alone, and rendered again.

    Args:
        folder: its ``out``.
        render: problems as the model was asked them.

    Raises:
        UserError: it is no such folder, or a prompt comes out another length than the trees were grown from.
    """
    problems = {each.id: each for each in read_rows(folder / PROBLEMS, Problem)}
    prompts = {each.problem_id: each for each in render(list(problems.values()))}
    for begun in read_rows(folder / PROMPTS, Begun):
        length = len(prompts[begun.problem_id].prompt_ids)
        if length != begun.tokens:
            raise UserError(
                f"{folder}: problem {begun.problem_id} was asked with a prompt of {begun.tokens} tokens, and this "
                f"model renders {length}; take the model that grew the trees"
            )
    counts = dict.fromkeys(problems, 0)
    for name, _ in read_protocol(folder).strategies:
        for problem_id, tree in trees(folder, name):
            prompt = prompts[problem_id]
            for leaf in leaves(tree, prompt.prefix):
                counts[problem_id] += 1
                yield (
                    problems[problem_id],
                    Completion(
                        problem_id=problem_id,
                        sample_index=counts[problem_id] - 1,
                        prompt_ids=prompt.prompt_ids,
                        token_ids=leaf.ids,
                        text=leaf.text,
                        finish_reason="length" if leaf.last.finish == "length" else "stop",
                        verdict=leaf.last.verdict,
                    ),
                )
