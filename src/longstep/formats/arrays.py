"""The items of one JSON array, as Alpaca and LLaMA-Factory files are, found one by one in flat memory."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from longstep.config import UserError
from longstep.formats.lines import (
    LINE_LIMIT,
    READ_ERRORS,
    START,
    Line,
    Position,
    go_to,
    open_bytes,
    unreadable,
)

_BLOCK = 1 << 20
_BRACKET_OR_QUOTE = re.compile(rb'["\[\]{}]')
#: What may stand in a string up to its closing quote, or up to the end of what was read.
_IN_STRING = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_VISIBLE = re.compile(rb"[^ \t\r\n]")


def read_array(
    path: Path, start: Position = START, *, limit: int = LINE_LIMIT, encoding: str = "utf-8"
) -> Iterator[Line]:
    """Give the items of a file that is one JSON array of objects or of lists; numbered instead of lines, from 1.

    Only brackets and strings are looked at here: whether an item is JSON is for ``parse`` to say.

    Raises:
        UserError: the file cannot be read, an item is neither or longer than ``limit`` bytes, or a comma is missing.
    """
    number, offset = start
    with open_bytes(path, encoding) as file:
        try:
            offset += go_to(file, offset, path)
            text = _Text(file, offset, limit)
            if not number and text.visible() != b"[":
                raise UserError(f"{path}: expected a JSON array such as [{{...}}, {{...}}]")
            while (byte := text.visible()) != b"]":
                number += 1
                if byte == b"," and number > 1:
                    byte = text.visible()
                elif number > 1 and byte:
                    raise UserError(f"{path}: item {number}: expected a comma before it")
                if byte and byte not in (b"{", b"["):
                    raise UserError(f"{path}: item {number}: expected an object {{...}}")
                text.keep_from = text.at - len(byte)
                whole = byte != b"" and text.to_end_of_object()
                if len(text.kept()) > limit:
                    raise UserError(
                        f"{path}: item {number} is longer than {limit:,} bytes; is a bracket or quote not closed?"
                    )
                after = Position(number, text.offset + text.at)
                yield Line(number, text.offset + text.keep_from, text.kept(), after, whole)
                if not whole:
                    return
        except READ_ERRORS as error:
            raise unreadable(path, number, error) from None


class _Text:
    """What was read and not yet given away.

    Attributes:
        at: where the scan is, in ``_data``.
        keep_from: what lies before may be forgotten.
        offset: bytes of the file before ``_data``.
    """

    def __init__(self, file: io.BufferedReader[Any], offset: int, limit: int) -> None:
        self._file, self._limit = file, limit
        self._data, self.at, self.keep_from, self.offset = b"", 0, 0, offset

    def visible(self) -> bytes:
        """The next byte that is no white space, or nothing at the end of the file."""
        self.keep_from = self.at
        return self._next(_VISIBLE)

    def to_end_of_object(self) -> bool:
        """Move behind the bracket that closes the object just begun; false when the file ends before."""
        depth = 1
        while depth:
            byte = self._next(_BRACKET_OR_QUOTE)
            if not byte or (byte == b'"' and not self._to_end_of_string()):
                return False
            depth += (byte in b"[{") - (byte in b"]}")
        return True

    def kept(self) -> bytes:
        """What lies between ``keep_from`` and ``at``."""
        return self._data[self.keep_from : self.at]

    def _next(self, what: re.Pattern[bytes]) -> bytes:
        while not (found := what.search(self._data, self.at)):
            self.at = len(self._data)
            if not self._more():
                return b""
        self.at = found.end()
        return found.group()

    def _to_end_of_string(self) -> bool:
        while True:
            found = _IN_STRING.match(self._data, self.at)
            self.at = found.end() if found else self.at
            if self._data[self.at : self.at + 1] == b'"':
                self.at += 1
                return True
            if not self._more():
                return False

    def _more(self) -> bool:
        """Read another block, as long as what is held, so that a long item is not copied over and over."""
        held = len(self._data) - self.keep_from
        block = self._file.read(max(_BLOCK, held)) if held <= self._limit else b""
        self.offset += self.keep_from
        self._data = self._data[self.keep_from :] + block
        self.at -= self.keep_from
        self.keep_from = 0
        return bool(block)
