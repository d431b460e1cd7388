"""Parquet in and out, streamed: rows as the JSON lines they would be, and JSON lines as a table.

A table has one type per column, found from all rows before the first is written. What has none (a list of mixed
things, an empty mapping, a text in one row and a list in another) is written as JSON text, and the file's metadata says
where, so that reading gives back what was written. A field that a row has not is null in a table: both mean the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longstep.config import UserError
from longstep.formats.faults import RowError
from longstep.formats.lines import LINE_LIMIT, START, Line, Position, dump, loads

if TYPE_CHECKING:
    import pyarrow as pa

#: Most rows, and about the most bytes, that are held at once when reading.
_BATCH_ROWS = 1024
_BATCH_BYTES = 8 << 20
#: Key of the file's metadata that lists the fields written as JSON text, as paths of names.
_AS_JSON = b"longstep.json"
#: Rows of a row group when writing.
_GROUP = 4096
#: Bytes of rows of a row group when writing.
_GROUP_BYTES = 32 << 20


def is_parquet(path: Path) -> bool:
    """Whether a file begins as Parquet; a file that cannot be opened does not."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(4) == b"PAR1"
    except OSError:
        return False


# -- reading --------------------------------------------------------------------------------------


def read_parquet(path: Path, start: Position = START, *, limit: int = LINE_LIMIT) -> Iterator[Line]:
    """Give the rows of a Parquet file as lines; they are numbered from 1 and their number is also their offset.

    Nulls and NaN (a missing number in tables made by pandas) are left out of mappings, times
    become ISO text and decimals their digits, and a row that holds bytes has a fault.

    Raises:
        UserError: it cannot be read as Parquet.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = start.lines
    pa.set_memory_pool(pa.system_memory_pool())  # the default one keeps 30 MB of what it freed
    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20) as file:
            coded = loads((file.schema_arrow.metadata or {}).get(_AS_JSON, b"[]"))
            groups, before = _groups_from(file.metadata, start.lines)
            skip = start.lines - before
            rows = _batch_rows(file.metadata)
            # Threads decode ahead, which holds more and is not faster: turning rows into text is what takes time.
            for batch in file.iter_batches(rows, row_groups=groups, use_threads=False):
                if skip >= len(batch):
                    skip -= len(batch)
                    continue
                for row in batch.slice(skip).to_pylist():
                    number += 1
                    yield _line(number, row, coded, limit)
                skip = 0
    except (
        pa.ArrowException,
        OSError,
        ValueError,
        OverflowError,
    ) as error:  # also times beyond year 9999
        reason = str(error).split("\n")[0]
        raise UserError(f"{path}: cannot be read as Parquet after row {number}: {reason}") from None
    except RowError as error:
        raise UserError(f"{path}: its metadata is damaged: {error}") from None


def column_names(path: Path) -> tuple[str, ...]:
    """The columns of a Parquet file; a row that has not one of them has null there.

    Raises:
        UserError: it cannot be read as Parquet.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return tuple(pq.read_schema(path).names)
    except (pa.ArrowException, OSError) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"{path}: cannot be read as Parquet: {reason}") from None


def count_rows(path: Path) -> int:
    """Rows of a Parquet file, from its metadata; 0 when it cannot be read, which reading it will say."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(path).num_rows)
    except (pa.ArrowException, OSError, ValueError):
        return 0


def _batch_rows(metadata: Any) -> int:
    """Few rows at once where rows are long."""
    groups = range(metadata.num_row_groups)
    size = max(metadata.row_group(i).total_byte_size for i in groups) if groups else 0
    rows = max(metadata.row_group(i).num_rows for i in groups) if groups else 1
    return min(max(_BATCH_BYTES * rows // max(size, 1), 1), _BATCH_ROWS)


def _groups_from(metadata: Any, rows: int) -> tuple[list[int], int]:
    """The row groups that hold the rows behind the first ``rows``, and how many rows lie before these groups."""
    before, first = 0, 0
    while first < metadata.num_row_groups:
        size = metadata.row_group(first).num_rows
        if before + size > rows:
            break
        before += size
        first += 1
    return list(range(first, metadata.num_row_groups)), before


def _line(number: int, row: dict[str, Any], coded: list[list[str]], limit: int) -> Line:
    after = Position(number, number)
    try:
        row = _plain(row)
        for path in coded:
            _replace(row, path, lambda text: loads(text.encode()))
        data, fault = dump(row)[:-1], ""
    except RowError as error:
        data, fault = repr(row).encode(errors="replace")[:4096], str(error)
    if len(data) > limit:
        fault = f"the row is {len(data):,} bytes long, more than {limit:,} are no row"
        data = data[:4096]
    return Line(number, number - 1, data, after, True, fault)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _plain(each) for key, each in value.items() if each is not None and each == each
        }
    if isinstance(value, list | tuple):
        return [None if each != each else _plain(each) for each in value]
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


def _replace(row: dict[str, Any], path: list[str], convert: Callable[[Any], Any]) -> None:
    """Convert the value that a path of names leads to, if there is one."""
    for name in path[:-1]:
        inner = row.get(name)
        if not isinstance(inner, dict):
            return
        row = inner
    if path[-1] in row:
        row[path[-1]] = convert(row[path[-1]])


# -- writing --------------------------------------------------------------------------------------


def write_parquet(path: Path, rows: Callable[[], Iterable[dict[str, Any]]]) -> int:
    """Write rows as a Parquet file; returns their number.

    Args:
        path: a new file; give it a temporary name and rename it.
        rows: gives the rows, the same each time: they are gone through twice, once for the types.
    """
    import pyarrow.parquet as pq

    types = _Types()
    for row in rows():
        types.see(row)
    schema, coded = types.schema()
    count = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in _groups(rows()):
            for row in group:
                for place in coded:
                    _replace(row, place, lambda value: dump(value)[:-1].decode())
            writer.write_table(_table(group, schema))
            count += len(group)
    return count


def _table(group: list[dict[str, Any]], schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_pylist(group, schema=schema)


def _groups(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        group.append(row)
        size += len(dump(row))
        if len(group) >= _GROUP or size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group


class _Node:
    """The values seen in one place: which scalar kinds, and the nodes below mappings and lists."""

    def __init__(self) -> None:
        self.kinds: set[str] = set()
        self.fields: dict[str, _Node] = {}
        self.item: _Node | None = None

    def see(self, value: Any) -> None:
        if value is None:
            return
        if isinstance(value, dict):
            self.kinds.add("mapping")
            for name, each in value.items():
                self.fields.setdefault(name, _Node()).see(each)
        elif isinstance(value, list | tuple):
            self.kinds.add("list")
            self.item = self.item or _Node()
            for each in value:
                self.item.see(each)
        elif isinstance(value, bool):
            self.kinds.add("bool")
        elif isinstance(value, int):
            self.kinds.add(_size(value))
        else:
            self.kinds.add("float" if isinstance(value, float) else "text")

    def type(self, path: list[str], coded: list[list[str]] | None) -> pa.DataType | None:
        """The one type that holds all, or ``None``; below a mapping a field without one is added to ``coded``."""
        import pyarrow as pa

        simple = {
            "bool": pa.bool_(),
            "int": pa.int64(),
            "long": pa.int64(),
            "float": pa.float64(),
            "text": pa.string(),
        }
        if not self.kinds:
            return pa.string()
        if self.kinds == {"int", "float"}:
            return pa.float64()
        if self.kinds == {"int", "long"}:
            return pa.int64()
        if len(self.kinds) > 1:
            return None
        kind = next(iter(self.kinds))
        if kind == "list":
            inner = self.item.type(path, None) if self.item and self.item.kinds else None
            return inner and pa.list_(inner)
        if kind == "mapping":
            return self._struct(path, coded) if self.fields else None
        return simple.get(kind)

    def _struct(self, path: list[str], coded: list[list[str]] | None) -> pa.DataType | None:
        import pyarrow as pa

        found: list[pa.Field] = []
        for name, node in self.fields.items():
            inner = node.type([*path, name], coded)
            if inner is None:
                if coded is None:
                    return None
                coded.append([*path, name])
                inner = pa.string()
            found.append(pa.field(name, inner))
        return pa.struct(found)


def _size(value: int) -> str:
    """Integers that floats hold exactly, those of 64 bits, and those beyond."""
    if abs(value) <= 2**53:
        return "int"
    return "long" if -(2**63) <= value < 2**63 else "huge"


class _Types(_Node):
    """The types of a table's columns."""

    def schema(self) -> tuple[pa.Schema, list[list[str]]]:
        """The columns, and the paths of those that hold JSON text."""
        import pyarrow as pa

        coded: list[list[str]] = []
        struct = self._struct([], coded)
        assert struct is not None
        fields = [struct.field(i) for i in range(struct.num_fields)]
        return pa.schema(fields, metadata={_AS_JSON: dump(coded)[:-1]}), coded
