"""Ask a model questions with the prompts it was trained with."""

from __future__ import annotations

from longstep.draw.prompts import engine, prompts_for
from longstep.generate import Sampling
from longstep.types import Problem


class Chat:
    """A loaded model that answers single questions; earlier questions are not remembered."""

    def __init__(self, model: str, thinking: bool, max_tokens: int) -> None:
        """Load the model."""
        from longstep.models.load import context_length, load_model, load_tokenizer, locate

        folder = locate(model)
        self._tokenizer, loaded = load_tokenizer(folder), load_model(folder)
        self._engine = engine(loaded.eval(), self._tokenizer)
        self._thinking, self._max_tokens = thinking, max_tokens
        self._context = context_length(loaded)
        self._asked = 0

    def ask(self, question: str) -> str:
        """The whole answer, the thinking included."""
        problem = Problem(f"chat-{self._asked}", question, "")
        self._asked += 1
        prompts = prompts_for(self._tokenizer, [problem], self._thinking)
        room = max(1, min(self._max_tokens, self._context - len(prompts[0].prompt_ids)))
        sampling = Sampling(max_tokens=room, batch_size=1)
        return next(iter(self._engine.generate(prompts, sampling))).text
