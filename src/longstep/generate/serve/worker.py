"""What is served, and the one thread that answers."""

from __future__ import annotations

import hashlib
import json
import queue
import secrets
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from longstep.config import UserError
from longstep.generate.base import Continuation, Continued, Generator, Prompt, Sampling, canonical
from longstep.generate.serve.asked import ChatRequest, Refusal, Settings, TextRequest, Turns
from longstep.generate.stops import Decode, cut
from longstep.types import Completion

BATCH = 64


@dataclass(frozen=True, slots=True)
class PickedAnswer:
    """One answer that was chosen from several, and what all of them took.

    Attributes:
        completion: the answer.
        tokens: everything that was drawn or put into answers for it.
        details: the same by purpose, and what else is worth saying of it, for ``usage``.
    """

    completion: Completion
    tokens: int
    details: Mapping[str, int]


class Chooser(Protocol):
    """Answers a question by drawing more than one answer to it."""

    def longest(self, room: int) -> int:
        """Tokens that each answer may have, where the context has room for so many; 0 where it may have none."""
        ...

    def answer(self, asked: Sequence[Prompt], how: Sampling) -> list[PickedAnswer]:
        """One answer to each prompt."""
        ...


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
        encode: ids of a text that is put into an answer.
        stop_ids: ids that end a turn.
        chooser: answers chats with what it chooses, where one is set.
    """

    model: str
    generator: Generator
    prompt: Callable[[Turns, str], Prompt]
    context: int = 1_000_000
    plain: Callable[[str | Sequence[int], str], Prompt] | None = None
    decode: Decode | None = None
    encode: Callable[[str], Sequence[int]] | None = None
    stop_ids: frozenset[int] = frozenset()
    chooser: Chooser | None = None


@dataclass
class _Waiting:
    """A prompt on its way through the worker."""

    prompt: Prompt
    sampling: Sampling
    ask: Continuation | None = None  # of an answer that is written on
    done: threading.Event = field(default_factory=threading.Event)
    completions: Sequence[Completion] = ()
    chosen: PickedAnswer | None = None
    error: str = ""

    @property
    def kind(self) -> tuple[Sampling, tuple[str, ...], bool]:
        """What may share a batch; stop texts may not differ, for one name has one answer there."""
        return self.sampling, self.prompt.stops, self.ask is None


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

    def chat(self, request: ChatRequest) -> tuple[list[Completion], PickedAnswer | None]:
        """Wait for the choices; where one is chosen from several answers, with what they took.

        Raises:
            Refusal: the template or the generator refuses the request.
        """
        turns, alone = request.turns, len(request.turns) == 1
        if self._source.chooser is not None:
            if request.n > 1:
                raise Refusal(400, "n: one answer is chosen from several here; leave it out")
            if request.stop:
                raise Refusal(400, "stop: is not supported where answers vote; leave it out")
        said = turns[0]["content"] if alone else json.dumps(turns)
        [waiting] = self._sent(request, [(said, lambda name: self._source.prompt(turns, name))])
        return self._rows(request, waiting, False), waiting.chosen

    def text(self, request: TextRequest) -> list[Completion]:
        """Wait for the choices of every text, in the order of the texts.

        Raises:
            Refusal: as above.
        """
        plain = self._source.plain
        if plain is None:
            raise Refusal(400, "prompt: only chat completions are answered here; send messages")
        for each in request.stop_token_ids:
            if each not in self._source.stop_ids:
                raise Refusal(
                    400, f"stop_token_ids: {each} ends no turn of this model; leave it out"
                )

        def made(text: str | Sequence[int]) -> Callable[[str], Prompt]:
            return lambda name: plain(text, name)

        asked = [(json.dumps(text), made(text)) for text in request.prompt]
        keep = request.include_stop_str_in_output
        return [
            row for each in self._sent(request, asked) for row in self._rows(request, each, keep)
        ]

    def _sent(
        self, request: Settings, asked: Iterable[tuple[str, Callable[[str], Prompt]]]
    ) -> list[_Waiting]:
        """Let the thread answer what is asked, each a text that names it and how its prompt is made."""
        if request.stop and self._source.decode is None:
            raise Refusal(400, "stop: is not supported by what is served here; leave it out")
        seed = secrets.randbits(31) if request.seed is None else request.seed
        waiting = [self._waiting(request, seed, *each) for each in asked]
        for each in waiting:
            self._queue.put(each)
        return waiting

    def _rows(self, request: Settings, waiting: _Waiting, keep: bool) -> list[Completion]:
        """All choices to one prompt, cut at their stop texts."""
        decode, prefix = self._source.decode, waiting.prompt.prefix
        rows = self._finished(waiting)
        if decode is None:
            return [*rows]
        if (
            keep and request.stop
        ):  # which the generator has cut away from the text, and not from the ids
            ends = self._source.stop_ids
            shown = ([t for t in row.token_ids if t not in ends] for row in rows)
            rows = [
                replace(row, text=prefix + decode(ids))
                for row, ids in zip(rows, shown, strict=True)
            ]
        return [cut(row, prefix, request.stop, decode, keep) for row in rows]

    def _waiting(
        self, request: Settings, seed: int, said: str, make: Callable[[str], Prompt]
    ) -> _Waiting:
        name = hashlib.blake2b(said.encode(), digest_size=8).hexdigest()
        try:
            prompt = make(name)
        except UserError as error:
            raise Refusal(400, str(error)) from None
        longest = self._longest(request, len(prompt.prompt_ids))
        # The key carries the request's seed, because one batch has one sampling: noise follows from seed and key.
        prompt = replace(prompt, key=f"{seed}-{name}", stops=request.stop)
        sampling = Sampling(
            temperature=request.temperature,
            top_p=request.top_p,
            top_k=request.top_k,
            max_tokens=longest,
            samples=request.n,
            batch_size=BATCH,
            logprobs=request.tells_logprobs,
        )
        if (noise := request.stream) is None:
            return _Waiting(prompt, sampling)
        begun = len(prompt.prompt_ids) - noise.at
        before = replace(prompt, prompt_ids=prompt.prompt_ids[:begun])
        ids, stream = prompt.prompt_ids[begun:], (noise.name, noise.index)
        ask = Continuation(before, ids, stream, longest, request.stop)
        # Each has a length of its own, so that pieces of all lengths share a batch.
        how = sampling.model_copy(update={"seed": noise.seed, "max_tokens": 1})
        return _Waiting(prompt, how, ask)

    def _longest(self, request: Settings, asked: int) -> int:
        """Tokens of each answer to a prompt of so many."""
        context, chooser = self._source.context, self._source.chooser
        room = context - asked
        most = room if chooser is None else min(room, chooser.longest(room))
        longest = request.longest or max(1, most)
        mend = f"set max_tokens to {most}" if most > 0 else "shorten the prompt"
        if longest > room:
            raise Refusal(
                400,
                f"a prompt of {asked} tokens and an answer of {longest} exceed the model's context of {context}; "
                f"{mend}",
            )
        if longest > most:
            raise Refusal(
                400,
                f"several answers of {longest} tokens may take more than a request may take here; {mend}",
            )
        return longest

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
        try:
            if group[0].ask is not None:
                self._write_on(group)
            elif self._source.chooser is not None:
                self._choose(group, self._source.chooser)
            else:
                self._draw(group)
        except UserError as error:
            if len({each.prompt.name for each in group}) > 1:
                for each in group:
                    self._answer([each])
                return
            for each in group:
                each.error = str(error)
        for each in group:
            each.done.set()

    def _draw(self, group: Sequence[_Waiting]) -> None:
        prompts, how = _prompts(group), group[0].sampling
        drawn = list(self._source.generator.draw(prompts, how))
        assert len(drawn) == len(prompts) * how.samples
        starts = {prompt.name: n * how.samples for n, prompt in enumerate(prompts)}
        for each in group:
            start = starts[each.prompt.name]
            each.completions = drawn[start : start + how.samples]

    def _choose(self, group: Sequence[_Waiting], chooser: Chooser) -> None:
        prompts = _prompts(group)
        given = chooser.answer(prompts, group[0].sampling)
        found = dict(zip((prompt.name for prompt in prompts), given, strict=True))
        for each in group:
            each.chosen = found[each.prompt.name]
            each.completions = [each.chosen.completion]

    def _write_on(self, group: Sequence[_Waiting]) -> None:
        """Pieces of answers, in a frontier of their own: what they leave behind is not held for the next request."""
        asks = [each.ask for each in group if each.ask is not None]
        found = self._source.generator.frontier().extend(asks, group[0].sampling)
        for each, piece in zip(group, found, strict=True):
            each.completions = [_completion(each.prompt, piece)]


def _prompts(group: Sequence[_Waiting]) -> list[Prompt]:
    """What a batch asks, what is asked twice once."""
    return canonical({each.prompt.name: each.prompt for each in group}.values())


def _completion(prompt: Prompt, piece: Continued) -> Completion:
    return Completion(
        problem_id=prompt.problem_id,
        sample_index=0,
        prompt_ids=prompt.prompt_ids,
        token_ids=piece.token_ids,
        text=piece.text,
        finish_reason="length" if piece.finish == "cut" else "stop",
        logprobs=piece.logprobs,
    )
