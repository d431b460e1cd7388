"""A server that speaks vLLM's ``/v1/completions`` with token ids, over a toy model, and that can be told to lie.

The toy writes a thought of short steps, closes it, and boxes a digit. Its next token is a function of all ids so far, of
the seed, and of how many tokens this request has drawn: as a real server does, it begins its noise anew at every request.
``python vllm_stub.py PORT`` runs an honest one.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fault_server import QUICK, Act, FaultServer, reply
from longstep.generate import Endpoint, Prompt, Sampling
from longstep.generate.piece import Vocabulary
from longstep.generate.pieces import PiecesGenerator
from longstep.scaling.beam import BeamSearch
from longstep.scaling.drive import Grower
from longstep.types import Problem, Segment

END, CLOSE, SIZE = 0, 1, 128
PROMPT = (60, 113, 62)


def decode(ids: Sequence[int]) -> str:
    names = {END: "<|end|>", CLOSE: "</think>"}
    return "".join(names.get(each) or chr(each) for each in ids)


def encode(text: str) -> list[int]:
    head, tag, tail = text.partition("</think>")
    return [*map(ord, head), *([CLOSE] if tag else []), *map(ord, tail)]


def toy(ids: Sequence[int], dice: random.Random | None) -> int:
    """The next token; without dice the most likely one."""
    rng = dice or random.Random(hashlib.sha256(repr(tuple(ids)).encode()).digest())
    text = decode(ids)
    if "</think>" in text:
        said, whole = text.partition("</think>")[2], "\\boxed{"
        if said.startswith(whole):
            return {0: 48 + rng.randrange(3), 1: 125}.get(len(said) - len(whole), END)
        return ord(whole[len(said)])
    if text.endswith(";"):
        return CLOSE if rng.random() < 0.4 else 97 + rng.randrange(5)
    return 59 if rng.random() < 0.3 else 97 + rng.randrange(5)


Answer = dict[str, Any]
Lie = Callable[[Mapping[str, Any], Answer], Answer | Act]


def honest(body: Mapping[str, Any]) -> Answer:
    """One choice as vLLM words it."""
    given, drawn, reason = list(body["prompt"]), [], "length"
    while len(drawn) < body["max_tokens"]:
        place = f"{given}/{body.get('seed')}/{len(drawn)}"
        dice = random.Random(hashlib.sha256(place.encode()).digest())
        drawn.append(toy([*given, *drawn], dice if body["temperature"] else None))
        if drawn[-1] in (END, *body.get("stop_token_ids", ())):
            reason = "stop"
            break
        if any(text in decode(drawn) for text in body.get("stop", ())):
            reason = "stop"
            break
    shown = drawn[:-1] if drawn[-1] == END else drawn
    choice: Answer = {"index": 0, "text": decode(shown), "finish_reason": reason}
    if body.get("return_token_ids"):
        choice |= {"token_ids": drawn, "prompt_token_ids": given}
    if body.get("logprobs") is not None:
        choice["logprobs"] = {"token_logprobs": [-(token % 7) / 7 for token in drawn]}
    return choice


class Stub(FaultServer):
    """Answers honestly, but for what a lie makes of it; knows how many requests it had at once."""

    def __init__(self, lie: Lie | None = None, seconds: float = 0.0, port: int = 0) -> None:
        self.now = self.most = 0
        self._count = threading.Lock()
        self._lie, self._seconds = lie, seconds
        super().__init__(self._script, port)

    def _script(self, body: dict[str, Any], before: int) -> Act:
        with self._count:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(self._seconds)
        with self._count:
            self.now -= 1
        if "prompt" not in body:
            return reply(404, b"no chat here")
        choice = honest(body)
        given = choice if self._lie is None else self._lie(body, choice)
        if callable(given):
            return given
        return reply(200, json.dumps({"model": "m", "choices": [given]}).encode())


def tokens() -> Vocabulary:
    """What a client knows of the toy."""
    return Vocabulary(decode, frozenset({END}), SIZE)


def grow(url: str, folder: Path) -> list[list[Segment]]:
    """A beam over six problems, a wave each, from whatever the folder holds; what the killed process of a test does."""
    problems = [Problem(f"p{n}", "", "1", verifier="exact") for n in range(6)]
    asked = [(each, Prompt(each.id, (*PROMPT, 65 + n))) for n, each in enumerate(problems)]
    how = Sampling(temperature=1.0, max_tokens=60, batch_size=4, seed=3, logprobs=True)
    config = Endpoint.model_validate({"model": "m", "url": url, **QUICK})
    strategy = BeamSearch(keep=2, expand=2, step=(";",))
    with PiecesGenerator(config, tokens(), folder) as generator:
        return list(Grower(generator, encode, how, strategy).forest(asked, folder / "trees.jsonl"))


if __name__ == "__main__":
    Stub(port=int(sys.argv[1]))
    time.sleep(120)
