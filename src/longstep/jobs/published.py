"""Somebody's data set of traces or pairs, named in one line: where its rows are, how they are read and what is kept."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Literal

from longstep.config import Field, Strict, UserError, field_validator, model_validator
from longstep.context import Artifact
from longstep.formats.layouts import named
from longstep.formats.llamafactory import INFO
from longstep.formats.parquet import count_rows, is_parquet
from longstep.jobs.fetch import dataset, fetched
from longstep.jobs.rows import RowJob
from longstep.jobs.words import HUB
from longstep.verify import verifier_fault

#: Made-up rows that come with longstep, for the tiny recipes (``scripts/sample_rows.py``).
SHIPPED_ROWS = ("longstep-pairs", "longstep-traces")
#: Kinds of files that are read out of a folder, compressed or not.
_ENDINGS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")
#: A sentence that asks for the answer in a box and for nothing else, at the beginning or the end of a prompt. One that
#: may hold a part of the question ("Find x, and put it in a box") stays.
_ASKS = (
    r"(?:please |now |remember to |make sure to |be sure to )*"
    r"(?:reason|think|let's think|put|return|present|give|write|provide|enclose|place|wrap|output|express|state|box"
    r"|solve the following math|(?:your|the) (?:final )?(?:answer|response))\b"
    r"(?=[^.?!\n]*\b(?:answer|response|result))[^.?!\n]*\\boxed\s?(?:\{[^}\n]*\})?[^.?!\n]*[.!]?"
)
_FRONT = re.compile(rf"\A\s*{_ASKS}(?:\s+|\Z)", re.IGNORECASE)
_BACK = re.compile(rf"(?:\A|(?<=[.?!\n$)]))\s*{_ASKS}\s*\Z", re.IGNORECASE)
#: Longest end of a prompt in which such a sentence is looked for.
_REACH = 400


class Published(Strict):
    """What a published data set is read with; stages ``traces`` and ``pairs`` share it.

    Attributes:
        data: a file, a folder of files, or ``hub:OWNER/NAME,split=train``; ``longstep-traces`` and ``longstep-pairs``
            are shipped with longstep.
        layout: how a row is laid out; ``auto`` tells it from the first rows of each file.
        columns: instead of a layout: field -> column, for fields ``prompt``, ``thought``, ``completion``, ``answer``
            (the key), ``chosen``, ``rejected``, ``solution`` and others of a record.
        key: column with the gold answer, where the layout knows none; a dotted path leads into mappings and lists.
        verifier: judges every answer whose question has a key.
        label: what the problems call their source; empty takes the row's own, or the name of the file.
        encoding: of a text file that is not UTF-8.
        max_bad: most rows that may be unreadable, as a share; they are set aside in ``quarantine.jsonl``.
        require: ``verified`` keeps what the verifier calls right; ``any`` keeps wrong and unverified answers too, and
            counts them.
        thoughtless: what becomes of an answer without a thought: it is dropped, or gets an empty one.
        system: whether system messages are kept; one that describes marks which are gone never is.
        instruction: put behind every prompt, in the place of sentences there that ask for a box in other words.
    """

    data: str = Field(min_length=1)
    layout: str = "auto"
    columns: dict[str, str] = Field(default_factory=dict)
    key: str = ""
    verifier: str = "math"
    label: str = ""
    encoding: str = "utf-8"
    max_bad: float = Field(default=0.01, ge=0, le=1)
    require: Literal["any", "verified"] = "any"
    thoughtless: Literal["drop", "empty"] = "drop"
    system: Literal["keep", "drop"] = "keep"
    instruction: str = ""

    @field_validator("data")
    @classmethod
    def _a_dataset(cls, value: str) -> str:
        if value.startswith("@"):
            raise ValueError(
                f"{value} has been read by a stage; give it to the trainer, and a file, a folder or hub:OWNER/NAME here"
            )
        if value.startswith(HUB):
            try:
                dataset(Path(value))
            except UserError as error:
                raise ValueError(str(error)) from None
        return value

    @model_validator(mode="after")
    def _one_way(self) -> Published:
        if self.columns and self.layout != "auto":
            raise ValueError("layout and columns both say how a row is laid out; give one of them")
        if self.key and "answer" in self.columns:
            raise ValueError("key and columns.answer both name the key's column; give one of them")
        try:
            named(self.layout, self.record_columns)
        except UserError as error:
            raise ValueError(str(error)) from None
        return self

    @property
    def record_columns(self) -> dict[str, str]:
        """The named columns that are fields of a record; a thought is put before its answer later."""
        return {field: column for field, column in self.columns.items() if field != "thought"}

    def datasets(self) -> Iterator[str]:
        """The data set, as a model card names it."""
        given = Path(self.data)
        yield dataset(given).name if self.data.startswith(HUB) else given.name

    def libraries(self) -> frozenset[str]:
        """What fetches a hub's rows, and what reads Parquet."""
        hub = ["datasets"] * self.data.startswith(HUB)
        return frozenset([*hub, *["pyarrow"] * (".parquet" in Path(self.data).suffixes)])

    def references(self) -> Iterator[tuple[str, Artifact]]:
        """The file or folder; what is shipped is told by its name."""
        if not self.data.startswith(HUB) and self.data not in SHIPPED_ROWS:
            yield self.data, "rows"

    def check(self) -> Iterator[str]:
        """A verifier that cannot judge."""
        if fault := verifier_fault(self.verifier):
            yield f"verifier: {fault}"

    def files(self, folder: Path) -> tuple[Path, ...]:
        """The files to read, in order; a hub's rows are fetched into a folder first.

        Raises:
            UserError: there is nothing to read.
        """
        path = Path(self.data)
        if self.data.startswith(HUB):
            return (fetched(path, folder),)
        if self.data in SHIPPED_ROWS:
            return (Path(str(resources.files("longstep") / "data" / "rows" / f"{path}.gz")),)
        if not path.is_dir():
            return (path,)
        found = tuple(each for each in sorted(path.rglob("*")) if _is_data(each))
        if not found:
            raise UserError(
                f"{path}: holds no file of rows ({', '.join(_ENDINGS)}, or these as .gz or .zst)"
            )
        return found

    def reading(self, files: tuple[Path, ...]) -> RowJob:
        """How these files are read."""
        return RowJob(
            inputs=files,
            layout=self.layout,
            columns=self.record_columns,
            encoding=self.encoding,
            max_bad=self.max_bad,
        )

    def rows(self, known: Mapping[str, int]) -> int | None:
        """How many rows there are, for ``longstep plan``; ``None`` when nobody can tell.

        Args:
            known: rows of data sets by name.
        """
        name = dataset(Path(self.data)).name if self.data.startswith(HUB) else self.data
        here = self.data in SHIPPED_ROWS or Path(name).exists()
        if name in known or self.data.startswith(HUB) or not here:
            return known.get(name)
        return sum(_count(path) for path in self.files(Path()))

    def prompted(self, prompt: str) -> str:
        """A prompt as it is trained on."""
        if not self.instruction:
            return prompt
        return f"{_unasked(prompt)}{self.instruction}"


def asks_for_box(prompt: str) -> bool:
    """Whether a prompt says that the answer goes into a box."""
    return "\\boxed" in prompt


def _unasked(prompt: str) -> str:
    """A prompt without sentences at its ends that ask for a box; all of it where nothing else would be left."""
    bare = _FRONT.sub("", prompt[:_REACH]) + prompt[_REACH:]
    bare = bare[:-_REACH] + _BACK.sub("", bare[-_REACH:])
    return bare.strip() or prompt


def _is_data(path: Path) -> bool:
    plain = path.name.removesuffix(".gz").removesuffix(".zst")
    return path.is_file() and plain.endswith(_ENDINGS) and path.name != INFO


def _count(path: Path) -> int:
    if is_parquet(path):
        return count_rows(path)
    with path.open("rb") as file:
        return sum(1 for _ in file)
