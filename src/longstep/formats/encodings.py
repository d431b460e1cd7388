"""Text in any encoding as UTF-8 bytes, in blocks; a byte that does not belong to the encoding stops the reading."""

from __future__ import annotations

import codecs
import io
from pathlib import Path
from typing import Any

from longstep.config import UserError

_BLOCK = 1 << 20
_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def as_utf8(file: io.BufferedReader[Any], encoding: str, path: Path) -> io.BufferedReader[Any]:
    """Give ``file`` as it is when its text is UTF-8, else a reader of the same text in UTF-8.

    Raises:
        UserError: there is no such encoding, or the file begins with the mark of another one. Reading raises it too,
            where a byte fits the encoding nowhere.
    """
    if codecs_name(encoding) not in ("utf-8", "ascii"):
        decoder = codecs.getincrementaldecoder(encoding)()
        return io.BufferedReader(_Recoded(file, decoder, path, encoding), _BLOCK)
    if told := _MARKS.get(file.peek(2)[:2]):
        raise UserError(f"{path}: is text in {told}, not UTF-8; say so with encoding: {told}")
    return file


def codecs_name(encoding: str) -> str:
    """The standard name of a text encoding.

    Raises:
        UserError: there is none of this name.
    """
    try:
        "".encode(encoding)  # refuses codecs that are none of text, such as zip
        return codecs.lookup(encoding).name
    except LookupError:
        raise UserError(
            f"no text encoding is called {encoding!r}; try utf-8, utf-16, latin-1 or gb18030"
        ) from None


class _Recoded(io.RawIOBase):
    """The UTF-8 bytes of a text in another encoding."""

    def __init__(
        self,
        file: io.BufferedReader[Any],
        decoder: codecs.IncrementalDecoder,
        path: Path,
        encoding: str,
    ) -> None:
        self._file, self._decoder = file, decoder
        self._path, self._encoding = path, encoding
        self._read, self._ended = 0, False
        self._text = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as the next block goes; 0 at the end."""
        while not self._text and not self._ended:
            held = len(self._decoder.getstate()[0])
            data = self._file.read(_BLOCK)
            self._ended = not data
            try:
                self._text = memoryview(self._decoder.decode(data, final=self._ended).encode())
            except UnicodeDecodeError as error:
                byte = max(self._read - held + error.start, 0)
                raise UserError(
                    f"{self._path}: is not text in {self._encoding}: stopped at byte {byte} "
                    f"({error.reason}); give the encoding that it was written in"
                ) from None
            except UnicodeEncodeError:
                raise UserError(
                    f"{self._path}: holds half of a character pair (a lone surrogate) before byte "
                    f"{self._read + len(data)}; repair the text"
                ) from None
            self._read += len(data)
        count = min(len(buffer), len(self._text))
        buffer[:count] = self._text[:count]
        self._text = self._text[count:]
        return count

    def close(self) -> None:
        self._file.close()
        super().close()
