"""Rows and problems from a dataset on the Hugging Face hub, or from a local folder of its files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from longstep.config import Field, Strict, UserError
from longstep.formats.faults import RowError
from longstep.formats.lines import Line, Position, dump
from longstep.problems.columns import Table

if TYPE_CHECKING:
    import datasets

#: File endings read from a local folder -> the loader of ``datasets``.
LOADERS = {".parquet": "parquet", ".jsonl": "json", ".json": "json"}


class Dataset(Strict):
    """A dataset's rows in their order, streamed: nothing is converted or cached first.

    Attributes:
        name: ``owner/name`` on the hub, or a local file or folder of parquet or JSONL files. In a
            folder, files with the split's name in theirs are read.
        subset: the dataset's configuration, for datasets that have several.
        split: name of the split; of several, read one after the other, with a plus: ``train+test``.
        revision: commit or tag of the dataset; pin it, or the same recipe may read other rows
            tomorrow.
    """

    name: str = Field(min_length=1)
    subset: str | None = None
    split: str = "train"
    revision: str | None = None

    @property
    def place(self) -> str:
        """The dataset and its split."""
        return f"{self.name}[{self.split}]"

    @property
    def name_of_rows(self) -> str:
        """The dataset's name without its owner."""
        return Path(self.name).name

    def lines(self) -> Iterator[Line]:
        """The rows, each as a line of JSON; one that JSON has no form for (a picture) comes with a fault.

        Raises:
            UserError: there is no such dataset, or it cannot be read to its end.
        """
        from datasets.exceptions import DatasetsError

        try:
            offset = 0
            for number, row in enumerate(self._open(), 1):
                data, fault = _as_json(row)
                before, offset = offset, offset + len(data)
                yield Line(number, before, data[:-1], Position(number, offset), fault=fault)
        except (OSError, ValueError, DatasetsError) as error:
            reason = str(error).strip().split("\n")[0]
            raise UserError(
                f"dataset {self.name!r}, split {self.split!r}: cannot be loaded ({reason}); "
                "check the name and the network, or give a local folder of its parquet files as name"
            ) from None

    def _open(self) -> Iterator[Any]:
        for split in self.split.split("+"):
            yield from self._open_split(split)

    def _open_split(self, split: str) -> datasets.IterableDataset:
        import datasets

        local = Path(self.name)
        if local.exists():
            files = self._local_files(local, split)
            loader = LOADERS[files[0].suffix]
            names = [str(file) for file in files]
            return datasets.load_dataset(loader, data_files=names, split="train", streaming=True)
        return datasets.load_dataset(
            self.name, self.subset, split=split, revision=self.revision, streaming=True
        )

    def _local_files(self, local: Path, split: str) -> list[Path]:
        if local.is_file():
            files = [local]
        else:
            inside = sorted(file for file in local.rglob("*") if split in file.stem)
            files = [file for file in inside if file.suffix in LOADERS]
        endings = {LOADERS.get(file.suffix) for file in files}
        if len(endings) != 1 or None in endings:
            raise UserError(
                f"{local}: expected parquet or JSONL files of one kind with {split!r} in their names, "
                f"found {', '.join(file.name for file in files) or 'none'}"
            )
        return files


def _as_json(row: Any) -> tuple[bytes, str]:
    """A row as a line of JSON, and why it can be none; a reader of the line says itself what is wrong with a NaN."""
    try:
        return dump(row), ""
    except RowError as error:
        fault = str(error)
    try:
        return json.dumps(row, ensure_ascii=False).encode() + b"\n", ""
    except (TypeError, ValueError):
        return b"{}\n", fault


class HubDataset(Dataset, Table):
    """One row per problem, in the dataset's order."""

    kind: Literal["hub"] = "hub"

    def libraries(self) -> frozenset[str]:
        """Also where the files are local."""
        return frozenset({"datasets"})

    def check(self) -> Iterator[str]:
        """A local file or folder that is not there; else as for every table."""
        path = Path(self.name)
        if not path.exists() and (self.name.startswith((".", "/", "~")) or path.suffix in LOADERS):
            yield f"name: no file or folder {self.name!r}, and no id of the hub like 'owner/name'"
        else:
            yield from super().check()

    def local(self) -> bool:
        """Whether its files are here, and something to read them with."""
        return Path(self.name).exists() and find_spec("datasets") is not None

    @property
    def where_from(self) -> str:
        """Its name."""
        return "name"

    @property
    def called(self) -> str:
        """The dataset's name."""
        return self.name
