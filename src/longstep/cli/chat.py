"""Ask a model questions with the prompts it was trained with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from longstep.config import Located, Strict, UserError, validate
from longstep.draw.engines import Desk
from longstep.draw.samplers import AnyEngine
from longstep.generate import Sampling
from longstep.jobs.words import drawer, is_engine
from longstep.progress import to_stderr
from longstep.types import Problem


class _Who(Strict):
    by: AnyEngine


class Chat:
    """A model that answers single questions; earlier questions are not remembered."""

    def __init__(self, model: str, thinking: bool, max_tokens: int) -> None:
        """Load the model, or take the servers that ``endpoint:url=URL,model=NAME`` names.

        Raises:
            UserError: the model cannot be loaded, or the words say nobody who could answer.
        """
        from longstep.models.load import locate

        settings: dict[str, Any] = drawer(model, "chat")
        if not is_engine(model):
            settings["thinking"] = thinking
        elif not thinking:
            raise UserError(
                "chat: --no-thinking has no effect on an engine named with its settings"
            )
        by = validate(_Who, Located({"by": settings}, {})).by
        self._folder = TemporaryDirectory(prefix="longstep-")
        self._opened = by.open(Desk("chat", Path(self._folder.name), (), locate, _say))
        self._max_tokens = max_tokens
        self._asked = 0

    def close(self) -> None:
        """Stop what was started."""
        self._opened.close()
        self._folder.cleanup()

    def ask(self, question: str) -> str:
        """The whole answer, the thinking included."""
        problem = Problem(f"chat-{self._asked}", question, "")
        self._asked += 1
        prompts = self._opened.prompts([problem])
        room = self._max_tokens
        if self._opened.context is not None:
            room = max(1, min(room, self._opened.context - len(prompts[0].prompt_ids)))
        [answer] = self._opened.generator.draw(prompts, Sampling(max_tokens=room, batch_size=1))
        return answer.text or (answer.verdict.reason if answer.verdict else "")


def _say(what: str, facts: Mapping[str, object]) -> None:
    if "warning" in facts:
        to_stderr(f"chat: {facts['warning']}\n")
