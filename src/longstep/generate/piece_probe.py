"""What a server honours of a request for a piece by token ids: it is seen, not believed, before anything is spent."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from longstep.config import Strict
from longstep.generate.answer import Answer, Barred, Malformed, Refused
from longstep.generate.lane import SECONDS, TOKENS, Busy, Failed, Lane, send
from longstep.generate.parameters import left_out
from longstep.generate.piece import Vocabulary, parse_piece, piece_body, stop_at, strange_id
from longstep.generate.probe import Honour
from longstep.generate.transport import Broken, Overdue, Unreachable

TRIES = 3  # answers that are drawn to find a long one, and requests to a server that is busy
#: What must be honoured -> what is said of a server that does not.
_NEEDED: Mapping[str, str] = {
    "ids": "does not write on from a prompt of token ids",
    "words": "has other token ids than the tokenizer that is named",
    "budget": "ignores 'max_tokens'",
    "stop": "ignores 'stop', or leaves the text it stops at out of its answer",
    "seed": "ignores 'seed'",
    "logprobs": "gives no log-probabilities of its tokens",
}


class PieceFeatures(Strict):
    """What one server was seen to do.

    Attributes:
        ids: it writes on from a prompt of ids, and says the ids of what it wrote.
        words: its text of these ids is what the tokenizer says.
        budget: it stops after ``max_tokens``.
        stop: it stops behind a text.
        seed: one seed gave one answer twice.
        logprobs: of every token; unknown where they were not needed.
        noise: pieces by named noise are what it draws in one go, so its trees are those of a local model.
        answers_as: the model name in its answers, when it is another than was asked for.
        trouble: why it could not be asked.
    """

    ids: Honour = "unknown"
    words: Honour = "unknown"
    budget: Honour = "unknown"
    stop: Honour = "unknown"
    seed: Honour = "unknown"
    logprobs: Honour = "unknown"
    noise: Honour = "unknown"
    answers_as: str | None = None
    trouble: str | None = None


def cannot_continue(lane: Lane, features: PieceFeatures, logprobs: bool) -> str:
    """One sentence when a server cannot be asked for pieces; empty when it can."""
    url = lane.address.url
    mend = (
        "take one that honours token ids, max_tokens, stop and seed in /v1/completions, such as vllm serve or longstep "
        "serve"
    )
    if features.trouble:
        return f"{url}: cannot write answers on piece by piece: {features.trouble}; {mend}"
    free = {*left_out(lane.parameters), *([] if logprobs else ["logprobs"])}
    found: list[str] = []
    honour = features.model_dump()
    for name, words in _NEEDED.items():
        seen = honour[name]
        if seen == "unknown" and name not in free and name != "words":
            found.append(f"gave answers too short to see whether it honours {name!r}")
        elif seen in ("ignored", "refused"):
            found.append(words)
    return (
        f"{url}: cannot write answers on piece by piece: it {' and '.join(found)}; {mend}"
        if found
        else ""
    )


async def probe_pieces(
    lane: Lane, prompt: Sequence[int], tokens: Vocabulary, logprobs: bool
) -> PieceFeatures:
    """Ask for a few short pieces.

    Args:
        lane: the server.
        prompt: one of those that will be asked.
        tokens: of the model that it should serve.
        logprobs: whether they will be needed.
    """
    body = piece_body(prompt, tokens) | {"temperature": 1.0, "top_p": 1.0, "max_tokens": TOKENS}
    if logprobs:
        body["logprobs"] = 1
    try:
        return await _Probe(lane, tokens, body).features(logprobs)
    except TimeoutError:
        return PieceFeatures(trouble=f"it did not answer within {SECONDS:g} s")
    except (Unreachable, Overdue, Broken, Busy, Failed, Malformed, Refused, Barred) as failure:
        return PieceFeatures(trouble=str(failure))


@dataclass
class _Probe:
    """Questions to one server that differ in a few words."""

    lane: Lane
    tokens: Vocabulary
    body: dict[str, Any]
    named: bool = True
    over: bool = False  # an answer was longer than it might be

    async def features(self, logprobs: bool) -> PieceFeatures:
        first, seed = await self._long()
        again = await self._ask(seed)
        noise = await self._noise(first, seed)
        seen: dict[str, Honour] = {
            "ids": "honoured" if noise == "honoured" else await self._ids(),
            "words": self._words(first),
            "stop": await self._stop(first, seed),
            "seed": "honoured" if again.ids == first.ids else "ignored",
            "noise": noise,
        }
        seen["budget"] = "ignored" if self.over else "honoured"
        if logprobs:
            told = first.logprobs is not None and len(first.logprobs) == len(first.ids)
            seen["logprobs"] = "honoured" if told else "ignored"
        for name in seen.keys() & left_out(self.lane.parameters):
            seen[name] = "unknown"  # it was not asked
        return PieceFeatures(**seen, answers_as=first.model)

    async def _long(self) -> tuple[Answer, int]:
        """An answer with several tokens, if there is one, and its seed."""
        found: list[tuple[Answer, int]] = []
        for seed in range(1, TRIES + 1):
            try:
                answer = await self._ask(seed)
            except Refused:
                if not self.named:
                    raise
                self.named = False  # some servers refuse a word that they do not know
                answer = await self._ask(seed)
            found.append((answer, seed))
            if len(answer.ids) >= TOKENS // 2:
                break
        return max(found, key=lambda each: len(each[0].ids))

    async def _noise(self, first: Answer, seed: int) -> Honour:
        """Whether the second half of an answer is the same when it is drawn by itself."""
        if not self.named:
            return "refused"
        half = len(first.ids) // 2
        if not half:
            return "unknown"
        more = await self._ask(seed, first.ids[:half], max_tokens=len(first.ids) - half)
        return "honoured" if more.ids == first.ids[half:] else "ignored"

    async def _ids(self) -> Honour:
        """Whether the most likely answer goes on as it did when its beginning is given.

        One of two places is enough: a server that encodes a prefix at once may differ in the last bit of a float from
        one that drew it.
        """
        whole = (await self._ask(1, temperature=0.0)).ids
        if len(whole) < 2:
            return "unknown"
        for half in sorted({len(whole) // 2, max(1, len(whole) // 4)}):
            more = await self._ask(
                1, whole[:half], temperature=0.0, max_tokens=max(1, len(whole) - half)
            )
            if more.ids == whole[half:]:
                return "honoured"
        return "ignored"

    async def _stop(self, first: Answer, seed: int) -> Honour:
        text = self._inner(first.ids)
        if text is None:
            return "unknown"
        found = (await self._ask(seed, **stop_at([text]))).ids
        decode = self.tokens.decode
        ends = text in decode(found) and text not in decode(found[:-1])
        return "honoured" if ends else "ignored"

    def _inner(self, ids: Sequence[int]) -> str | None:
        """The text of a token in the midst of an answer that does not end with it."""
        decode = self.tokens.decode
        for at in range(1, len(ids) - 1):
            text, before = decode(ids[at : at + 1]), decode(ids[:at])
            whole = decode(ids[: at + 1])
            if text.strip() and "\ufffd" not in whole and text not in before and text in whole:
                return text
        return None

    def _words(self, answer: Answer) -> Honour:
        decode = self.tokens.decode
        whole, shown = decode(answer.ids), decode(answer.ids[:-1])
        if "\ufffd" in whole:
            return "unknown"  # a character may be cut
        return "honoured" if answer.text.strip() in (whole.strip(), shown.strip()) else "ignored"

    def _bounded(self, content: bytes, most: int) -> Answer:
        """An answer, of one that is too long the beginning."""
        answer = parse_piece(content, self.lane.transport.scrub, self.lane.model)
        if fault := strange_id(answer, self.tokens):
            raise Malformed(fault)
        if len(answer.ids) <= most:
            return answer
        self.over = True
        logprobs = answer.logprobs and answer.logprobs[:most]
        text = self.tokens.decode(answer.ids[:most])
        return replace(answer, ids=answer.ids[:most], logprobs=logprobs, text=text)

    async def _ask(self, seed: int, given: Sequence[int] = (), **changes: Any) -> Answer:
        """One request, again while the server is busy."""
        body = {**self.body, "seed": seed, **changes}
        body["prompt"] = [*self.body["prompt"], *given]
        if self.named:
            body["noise"] = {"seed": seed, "name": "probe", "index": 0, "at": len(given)}
        left = TRIES
        while True:
            left -= 1
            try:
                async with asyncio.timeout(SECONDS):
                    content = await send(self.lane, body)
                return self._bounded(content, body["max_tokens"])
            except (Busy, Failed, Unreachable):
                if not left:
                    raise
                await asyncio.sleep(self.lane.breaker.rest)
