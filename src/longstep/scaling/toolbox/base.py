"""What a tool is: a function from what the model wrote in a call to the text that it reads back."""

from __future__ import annotations

from longstep.config import Strict


class Tool(Strict):
    """Base of all members. The same call must always have the same answer, for trees are grown again after a kill."""

    def answer(self, call: str) -> str:
        """What comes of a call; one that cannot be done is refused in the answer, never by an exception.

        Args:
            call: what the model wrote between the marks: anything, of any meaning.
        """
        raise NotImplementedError


def refusal(reason: str) -> str:
    """The answer to a call that cannot be done; plain letters, so that every tokenizer can write it."""
    return f"error: {reason}"
