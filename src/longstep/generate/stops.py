"""Where an answer ends early: before a stop text in what the model itself wrote."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import replace

from longstep.types import Completion

Decode = Callable[[Sequence[int]], str]


def cut(
    completion: Completion,
    prefix: str,
    stops: Sequence[str],
    decode: Decode,
    keep: bool = False,
) -> Completion:
    """End a completion before the stop text that was complete first, as if it had been watched token by token.

    With ``keep`` the text ends behind it.

    Of two that end at one place the longer is cut away. A forced prefix is not searched, for the model did not write
    it. Token ids are kept up to the one that completes the stop text, for so many had to be drawn.
    """
    written = completion.text.removeprefix(prefix)
    found = [(written.find(stop), stop) for stop in stops]
    places = [(begin + len(stop), begin) for begin, stop in found if begin >= 0]
    if not places:
        return completion
    end, begin = min(places)
    ids = completion.token_ids
    count = bisect_left(
        range(len(ids)), True, key=lambda k: decode(ids[:k]).startswith(written[:end])
    )
    text = completion.text[: len(completion.text) - len(written) + (end if keep else begin)]
    logps = completion.logprobs and completion.logprobs[:count]
    return replace(
        completion, text=text, token_ids=ids[:count], finish_reason="stop", logprobs=logps
    )
