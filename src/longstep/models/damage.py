"""The border to libraries that read a user's model files: whatever they raise there becomes one sentence.

transformers, tokenizers and jinja2 raise what they please on a damaged or odd file: errors of their own that share no
base, ``ZeroDivisionError``, ``AttributeError``, from Rust a bare ``Exception``. A list of them is never whole. Nothing
is swallowed here: every error goes on, as a ``UserError`` that names the file and the kind of error.
"""

from __future__ import annotations

from types import TracebackType

from longstep.config import UserError

_SHOWN = 200


class InWords:
    """``with InWords("FOLDER: the model cannot be loaded"):`` around a call of a library, and nothing of our own."""

    def __init__(self, sentence: str) -> None:
        """Take the beginning of the sentence; what the library says follows in brackets."""
        self._sentence = sentence

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Say what was raised, unless it is a sentence already, or no error of the file's (an interrupt)."""
        if isinstance(error, Exception) and not isinstance(error, UserError):
            raise UserError(f"{self._sentence} ({_said(error)})") from None


def _said(error: Exception) -> str:
    """What a library says of a file, in one line; an empty or cut message is no help, so its kind stands before it."""
    text = " ".join(str(error).split())
    if "ignore_mismatched_sizes" in text:
        return "the tensors of its file have other shapes than its config.json says, or experts are missing"
    name = type(error).__name__
    return f"{name}: {text[:_SHOWN]}" if text else name
