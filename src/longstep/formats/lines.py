"""Lines of a file of rows, one at a time: plain, gzip or zstd, of any size, at a position that can be returned to.

Memory is one block and one line, whatever the file holds: a line above the limit is read past and reported. Offsets
count bytes of the uncompressed UTF-8 text, so a position means the same in ``x.jsonl`` and ``x.jsonl.gz``; plain files
seek to it, compressed ones are read up to it.
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import re
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import orjson
import zstandard

from longstep.config import UserError
from longstep.formats.encodings import as_utf8
from longstep.formats.faults import RowError, describe
from longstep.formats.listed import as_row

#: Longest line that is read as a row, in bytes. A row of 64 samples of 128k tokens has about 32 MB.
LINE_LIMIT = 64 << 20
#: Deepest nesting of lists and mappings in a row; ``orjson`` writes up to 254.
DEPTH_LIMIT = 200
_BLOCK = 1 << 20
#: Compressed bytes given to zstd at once: four bytes can stand for 128 KiB, so this bounds a block to 16 MiB.
_ZSTD_PIECE = 1 << 9
#: orjson takes some 14 bytes of address space for each byte it reads, and dies where that is limited.
_LONG = 4 << 20
#: Part of a line too long to be held that is kept for the report.
_KEPT = 1 << 12
_KEY = re.compile(rb'"\s*:')
#: What reading a file may raise, ``UserError`` apart.
READ_ERRORS = (OSError, EOFError, zlib.error, zstandard.ZstdError)


class Position(NamedTuple):
    """A place between two lines: so many lines lie before it, and so many bytes of uncompressed text."""

    lines: int = 0
    offset: int = 0


START = Position()


class Line(NamedTuple):
    """One line that is not blank.

    Attributes:
        number: counted from 1, blank lines included.
        offset: where it begins, in bytes of the uncompressed text.
        data: the line without its end (LF or CRLF); of a faulty line only the beginning.
        after: the position behind it, to go on from.
        whole: whether it has an end; a torn last line has none.
        fault: why it can be no row, known before parsing; empty for almost all.
    """

    number: int
    offset: int
    data: bytes
    after: Position
    whole: bool = True
    fault: str = ""


def read_lines(
    path: Path, start: Position = START, *, limit: int = LINE_LIMIT, encoding: str = "utf-8"
) -> Iterator[Line]:
    """Give the lines of a file from a position on; blank ones are counted and left out.

    What a file is (gzip, zstd, plain) is told from its first bytes, not from its name. A UTF-8 byte order mark is
    dropped.

    Args:
        path: a regular file, or a link to one.
        start: where to begin, ``Line.after`` of an earlier reading with the same encoding.
        limit: longer lines come with a ``fault`` and without their content.
        encoding: of the text, when it is not UTF-8; offsets are those of the text in UTF-8 then.

    Raises:
        UserError: the file cannot be read, is a Parquet file, is damaged, or has another encoding than was said.
    """
    number, offset = start
    with open_bytes(path, encoding) as file:
        try:
            offset += go_to(file, offset, path)
            while data := file.readline(_BLOCK):
                number += 1
                begin, fault = offset, ""
                offset += len(data)
                if data[-1] != 10 and len(data) == _BLOCK:
                    data, more, fault = _long_line(file, data, limit)
                    offset += more
                text = data.rstrip(b"\r\n")
                if fault or (text and not text.isspace()):
                    after = Position(number, offset)
                    yield Line(number, begin, text, after, data[-1] == 10, fault)
        except READ_ERRORS as error:
            raise unreadable(path, number, error) from None


def _long_line(file: io.BufferedReader, head: bytes, limit: int) -> tuple[bytes, int, str]:
    """The rest of a line longer than a block: its data, how many bytes were read more, and what is wrong."""
    parts, held, more = [head], len(head), 0
    while data := file.readline(_BLOCK):
        more += len(data)
        if held <= limit:
            held += len(data)
            parts.append(data)
        if held > limit:
            parts = [parts[0][:_KEPT]]
        if data[-1] == 10:
            break
    if held <= limit:
        return b"".join(parts), more, ""
    ending = b"\n" if data[-1:] == b"\n" else b""
    reason = f"the line is {len(head) + more:,} bytes long, more than {limit:,} are no row"
    return parts[0] + ending, more, reason


# -- opening --------------------------------------------------------------------------------------


def open_bytes(path: Path, encoding: str = "utf-8") -> io.BufferedReader:
    """Open a file for reading as UTF-8 bytes: decompressed when it begins as gzip or zstd, re-encoded when told.

    Raises:
        UserError: it is missing, no regular file, a Parquet file, or in UTF-16 without being told so.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            what = "a folder" if stat.S_ISDIR(mode) else "no regular file"
            raise UserError(f"{path}: is {what}; expected a file of rows")
        plain = cast(io.BufferedReader, path.open("rb", buffering=_BLOCK))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    head = plain.peek(4)[:4]
    file: io.BufferedReader[Any] = plain
    if head[:2] == b"\x1f\x8b":
        plain.close()  # GzipFile closes only what it opened itself
        file = io.BufferedReader(gzip.GzipFile(path), _BLOCK)  # pyright: ignore[reportArgumentType]
    elif head == b"\x28\xb5\x2f\xfd":
        file = io.BufferedReader(_Zstd(plain), _BLOCK)
    elif head == b"PAR1":
        plain.close()
        raise UserError(f"{path}: is a Parquet file; expected lines of JSON")
    try:
        return as_utf8(file, encoding, path)
    except READ_ERRORS as error:
        file.close()
        raise unreadable(path, 0, error) from None


def unreadable(path: Path, number: int, error: BaseException) -> UserError:
    """What to tell the user of an error among ``READ_ERRORS`` that came after ``number`` lines or rows."""
    if isinstance(error, OSError) and not isinstance(error, gzip.BadGzipFile):
        return UserError(f"{path}: cannot be read: {error.strerror or error}")
    return UserError(
        f"{path}: the compressed data is damaged or cut off after line {number} ({error}); copy the file again"
    )


def go_to(file: io.BufferedReader[Any], offset: int, path: Path) -> int:
    """Move to an offset: seek in a plain file, read past in others; at the beginning, past a byte order mark.

    Returns:
        How many bytes beyond ``offset`` the file is now: those of the mark.
    """
    if not offset:
        return len(file.read(3)) if file.peek(3)[:3] == codecs.BOM_UTF8 else 0
    if isinstance(file.raw, io.FileIO):
        file.seek(offset)
        return 0
    left = offset
    while left and (data := file.read(min(left, _BLOCK))):
        left -= len(data)
    if left:
        raise UserError(
            f"{path}: ends before byte {offset} of its text, where reading was to go on"
        )
    return 0


class _Zstd(io.RawIOBase):
    """The text of a zstd file of one or more frames.

    The library's own stream reader ends without a word where a frame is cut off.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._frames = zstandard.ZstdDecompressor(max_window_size=1 << 27)
        self._frame = self._frames.decompressobj()
        self._fresh = True
        self._text = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as the next pieces go; 0 at the end."""
        while not self._text:
            data = self._file.read(_ZSTD_PIECE)
            if not data and not self._fresh:
                raise EOFError("a zstd frame has no end")
            if not data:
                return 0
            self._text = memoryview(b"".join(self._decompress(data)))
        count = min(len(buffer), len(self._text))
        buffer[:count] = self._text[:count]
        self._text = self._text[count:]
        return count

    def _decompress(self, data: bytes) -> Iterator[bytes]:
        while data:
            yield self._frame.decompress(data)
            self._fresh, data = self._frame.eof, self._frame.unused_data if self._frame.eof else b""
            if self._fresh:
                self._frame = self._frames.decompressobj()

    def close(self) -> None:
        self._file.close()
        super().close()


# -- rows -----------------------------------------------------------------------------------------


def parse(line: Line) -> dict[str, Any]:
    """Read a line as a JSON object; integers of any length stay exact.

    Raises:
        RowError: it is none, is torn, has a key twice, or nests too deep; the reason names the byte in the file.
    """
    if line.fault:
        raise RowError(line.fault)
    if len(line.data) > _LONG:
        return _as_object(_parse_slowly(line.data))
    try:
        row = orjson.loads(line.data)
    except orjson.JSONDecodeError as error:
        raise RowError(_json_problem(line, error)) from None
    row = _as_object(row)
    keys, inexact = _survey(row)
    if inexact or (line.data.count(b":") > keys and len(_KEY.findall(line.data)) > keys):
        return _parse_slowly(line.data)
    return row


def _as_object(value: Any) -> dict[str, Any]:
    """A row as a mapping; a list of turns is one without its column's name."""
    row = as_row(value) if type(value) is list else value
    if type(row) is not dict:
        raise RowError(f'expected a JSON object such as {{"prompt": ...}}, got {describe(value)}')
    return row


def _survey(row: dict[str, Any]) -> tuple[int, bool]:
    """How many keys a row has at all levels, and whether a number may have lost digits."""
    keys, inexact = 0, False
    level: list[Any] = [row]
    for _ in range(DEPTH_LIMIT):
        deeper: list[Any] = []
        for node in level:
            if type(node) is dict:
                keys += len(node)
                values = node.values()
            else:
                values = node
            for value in values:
                kind = type(value)
                if kind is dict or kind is list:
                    deeper.append(value)
                elif kind is float and abs(value) >= 2**53:
                    inexact = True
        if not deeper:
            return keys, inexact
        level = deeper
    raise RowError(f"is nested more than {DEPTH_LIMIT} deep")


def _parse_slowly(data: bytes) -> dict[str, Any]:
    """With the standard library, which tells of every key and keeps every digit of an integer."""
    try:
        return json.loads(data, object_pairs_hook=_no_key_twice)
    except ValueError as error:  # an integer of more than 4,300 digits
        raise RowError(f"a number cannot be read: {error}") from None


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RowError("the key is there twice; which one is meant?", twice)
    return row


def _json_problem(line: Line, error: orjson.JSONDecodeError) -> str:
    data = line.data
    if not line.whole:
        return f"the file ends inside this row, at byte {line.after.offset}: the last line is torn"
    if (at := data.find(b"\0")) >= 0:
        return f"holds a NUL byte at byte {line.offset + at} of the file; was it cut off or padded?"
    try:
        data.decode()
    except UnicodeDecodeError as wrong:
        byte, at = data[wrong.start], line.offset + wrong.start
        return f"is not UTF-8: byte 0x{byte:02x} at byte {at} of the file; give its encoding"
    if _stopped_at_end(error):
        return (
            "is not JSON: the row goes on in the next line, and a file of rows has one row on each; "
            "`jq -c . FILE > rows.jsonl` writes it so, `jq -c '.data[]' FILE` where the rows are a list called data "
            "inside of one object"
        )
    at = len(error.doc[: error.pos].encode(errors="replace")) if isinstance(error.doc, str) else 0
    if re.search(rb"[:\[,]\s*-?(?:NaN|Infinity)", data):
        return "NaN and Infinity are not JSON; write null"
    return f"is not JSON: {error.msg} at byte {line.offset + at} of the file"


def _stopped_at_end(error: orjson.JSONDecodeError) -> bool:
    """Whether all that was there is a good beginning, as the first line of a row that is printed over several."""
    doc = error.doc if isinstance(error.doc, str) else ""
    return error.msg.startswith("unexpected end of data") and doc.rstrip()[-1:] in ("{", "[", ",")


def loads(data: bytes) -> Any:
    """Any JSON value.

    Raises:
        RowError: it is none.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise RowError(f"is not JSON: {error.msg}") from None


def dump(row: object) -> bytes:
    """One row as a line of JSON, its end included; the same row gives the same bytes.

    Raises:
        RowError: it holds something that JSON has no form for.
    """
    try:
        line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        if b"null" not in line or line.count(b"null") == _nones(row):
            return line
    except orjson.JSONEncodeError:
        pass
    try:  # integers above 64 bits, "null" inside a text; NaN, which orjson writes as null, is refused
        text = json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode() + b"\n"
    except (TypeError, ValueError, RecursionError) as error:
        raise RowError(f"cannot be written as JSON: {error}") from None


def _nones(row: object) -> int:
    """How often None is among the values at all levels."""
    count, level = 0, [row]
    while level:
        nodes = [list(node.values()) if isinstance(node, dict) else node for node in level]
        values: list[Any] = [
            value for node in nodes if isinstance(node, list | tuple) for value in node
        ]
        count += sum(value is None for value in values)
        level = [value for value in values if isinstance(value, dict | list | tuple)]
    return count


def compress(data: bytes, ending: str) -> bytes:
    """Data as one gzip member or zstd frame for ``.gz`` or ``.zst``, else as it is; equal data gives equal bytes.

    Members may follow one another in a file: what was compressed in pieces reads as one text.
    """
    if ending == ".gz":
        return gzip.compress(data, 6, mtime=0)
    if ending == ".zst":
        return zstandard.ZstdCompressor(write_checksum=True).compress(data)
    return data
