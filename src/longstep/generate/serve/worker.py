"""What is served, and the one thread that answers."""

from __future__ import annotations

import hashlib
import json
import queue
import secrets
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from longstep.config import UserError
from longstep.generate.base import Generator, Prompt, Sampling, canonical
from longstep.generate.serve.asked import ChatRequest, Refusal, Settings, TextRequest, Turns
from longstep.generate.stops import Decode, cut
from longstep.types import Completion

BATCH = 64


@dataclass
class Served:
    """What is served.

    Attributes:
        model: the name it is asked for by.
        generator: draws the answers.
        prompt: turns messages into what the generator continues, under a given id; a ``UserError`` refuses them.
            Its noise is named apart, by messages and seed.
        context: tokens of question and answer together; an answer may fill it when a request sets no limit.
        plain: the same for a text, or token ids, without a chat template; ``None`` where there is no such way.
        decode: text of token ids; without it no stop text can be honoured.
    """

    model: str
    generator: Generator
    prompt: Callable[[Turns, str], Prompt]
    context: int = 1_000_000
    plain: Callable[[str | Sequence[int], str], Prompt] | None = None
    decode: Decode | None = None


@dataclass
class _Waiting:
    """A prompt on its way through the worker."""

    prompt: Prompt
    sampling: Sampling
    done: threading.Event = field(default_factory=threading.Event)
    completions: Sequence[Completion] = ()
    error: str = ""

    @property
    def kind(self) -> tuple[Sampling, tuple[str, ...]]:
        """What may share a batch; stop texts may not differ, for one name has one answer there."""
        return self.sampling, self.prompt.stops


class Worker:
    """One thread that answers what waits, equal settings together in a batch.

    An answer depends on question, settings and seed; on the rest of its batch only in the last bits of a float, as
    padding moves them.
    """

    def __init__(self, source: Served) -> None:
        self._source = source
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def chat(self, request: ChatRequest) -> list[Completion]:
        """Wait for the choices.

        Raises:
            Refusal: the template or the generator refuses the request.
        """
        turns, alone = request.turns, len(request.turns) == 1
        said = turns[0]["content"] if alone else json.dumps(turns)
        return self._answers(request, [(said, lambda name: self._source.prompt(turns, name))])

    def text(self, request: TextRequest) -> list[Completion]:
        """Wait for the choices of every text, in the order of the texts.

        Raises:
            Refusal: as above.
        """
        plain = self._source.plain
        if plain is None:
            raise Refusal(400, "prompt: only chat completions are answered here; send messages")

        def made(text: str | Sequence[int]) -> Callable[[str], Prompt]:
            return lambda name: plain(text, name)

        return self._answers(request, [(json.dumps(text), made(text)) for text in request.prompt])

    def _answers(
        self, request: Settings, asked: Iterable[tuple[str, Callable[[str], Prompt]]]
    ) -> list[Completion]:
        """All choices to what is asked, each a text that names it and how its prompt is made."""
        decode = self._source.decode
        if request.stop and decode is None:
            raise Refusal(400, "stop: is not supported by what is served here; leave it out")
        seed = secrets.randbits(31) if request.seed is None else request.seed
        waiting = [self._waiting(request, seed, *each) for each in asked]
        for each in waiting:
            self._queue.put(each)
        return [
            cut(row, each.prompt.prefix, request.stop, decode) if decode else row
            for each in waiting
            for row in self._finished(each)
        ]

    def _waiting(
        self, request: Settings, seed: int, said: str, make: Callable[[str], Prompt]
    ) -> _Waiting:
        name = hashlib.blake2b(said.encode(), digest_size=8).hexdigest()
        try:
            prompt = make(name)
        except UserError as error:
            raise Refusal(400, str(error)) from None
        context = self._source.context
        room = context - len(prompt.prompt_ids)
        longest = request.longest or max(1, room)
        if longest > room:
            mend = f"set max_tokens to {room}" if room > 0 else "shorten the prompt"
            raise Refusal(
                400,
                f"a prompt of {len(prompt.prompt_ids)} tokens and an answer of {longest} exceed the model's context of "
                f"{context}; {mend}",
            )
        # The key carries the request's seed, because one batch has one sampling: noise follows from seed and key.
        prompt = replace(prompt, key=f"{seed}-{name}", stops=request.stop)
        sampling = Sampling(
            temperature=request.temperature,
            top_p=request.top_p,
            top_k=request.top_k,
            max_tokens=longest,
            samples=request.n,
            batch_size=BATCH,
        )
        return _Waiting(prompt, sampling)

    def _finished(self, waiting: _Waiting) -> Sequence[Completion]:
        while not waiting.done.wait(1.0):
            if not self._thread.is_alive():  # the generator raised; its traceback is in our log
                raise Refusal(500, "the generator failed")
        if not waiting.completions:
            raise Refusal(400, waiting.error)
        return waiting.completions

    def close(self) -> None:
        """Finish what waits and end."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            groups: dict[object, list[_Waiting]] = defaultdict(list)
            groups[first.kind].append(first)
            ended = False
            while not self._queue.empty():
                if (more := self._queue.get()) is None:
                    ended = True
                    break
                groups[more.kind].append(more)
            for group in groups.values():
                for start in range(0, len(group), BATCH):
                    self._answer(group[start : start + BATCH])
            if ended:
                return

    def _answer(self, group: Sequence[_Waiting]) -> None:
        """Answer a batch; if the generator refuses it, one by one, so that only the culprit is refused."""
        prompts = canonical({each.prompt.name: each.prompt for each in group}.values())
        how = group[0].sampling
        try:
            drawn = list(self._source.generator.draw(prompts, how))
        except UserError as error:
            if len(prompts) > 1:
                for each in group:
                    self._answer([each])
                return
            for each in group:
                each.error = str(error)
                each.done.set()
            return
        assert len(drawn) == len(prompts) * how.samples
        starts = {prompt.name: n * how.samples for n, prompt in enumerate(prompts)}
        for each in group:
            start = starts[each.prompt.name]
            each.completions = drawn[start : start + how.samples]
            each.done.set()
