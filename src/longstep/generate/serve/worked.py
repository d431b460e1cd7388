"""A file of worked solutions as a generator: a perfect teacher behind an endpoint."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from longstep.config import UserError
from longstep.generate.base import Prompt, Sampling
from longstep.generate.batches import Batch, Batched
from longstep.generate.serve.asked import Turns
from longstep.types import Completion

_TOKEN = re.compile(r"\s*(?:</?\w+>|\\?[^\W\d_]+|\S)|\s+")


class Worked(Batched):
    r"""A generator that knows its answers: text by question, cut after ``max_tokens``.

    Its tokens are tags, words, digits and signs, so that counts are near those of a real tokenizer.
    """

    def __init__(self, answers: Mapping[str, str]) -> None:
        """Take the answers."""
        self.answers = answers
        texts = (text for pair in answers.items() for text in pair)
        self._tokens = list(
            dict.fromkeys(token for text in texts for token in _TOKEN.findall(text))
        )
        self._ids = {token: number for number, token in enumerate(self._tokens)}

    def prompt(self, turns: Turns, name: str) -> Prompt:
        """Accept a question that has an answer.

        Raises:
            UserError: it has none, or is not a single one.
        """
        if [turn["role"] for turn in turns] != ["user"]:
            raise UserError(
                "worked solutions answer one question of a user, without a system message or earlier turns"
            )
        question = turns[0]["content"]
        if question not in self.answers:
            raise UserError(f"no worked solution is known to the question {question[:60]!r}")
        return Prompt(name, self._encoded(question), text=question)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of tokens."""
        return "".join(self._tokens[each] for each in ids)

    def run_batch(self, batch: Batch, sampling: Sampling) -> list[Completion]:
        """Give the answers; temperature and seed change nothing, for there is one answer."""
        rows: list[Completion] = []
        for row in batch.rows:
            asked = row.prompt
            whole = self._encoded(self.answers[asked.text])
            ids = whole[: sampling.max_tokens]
            reason = "stop" if ids == whole else "length"
            place = asked.problem_id, row.sample_index
            rows.append(Completion(*place, asked.prompt_ids, ids, self.decode(ids), reason))
        return rows

    def describe(self) -> dict[str, Any]:
        """Name the engine."""
        return {"engine": "worked"}

    def _encoded(self, text: str) -> tuple[int, ...]:
        return tuple(self._ids[token] for token in _TOKEN.findall(text))
