"""Problems from a dataset on the Hugging Face hub, or from a local folder of its files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

from longstep.config import UserError
from longstep.problems.columns import Table
from longstep.types import Problem

#: File endings read from a local folder -> the loader of ``datasets``.
LOADERS = {".parquet": "parquet", ".jsonl": "json", ".json": "json"}


class HubDataset(Table):
    """A dataset's rows in their order, streamed: nothing is converted or cached first.

    Attributes:
        name: ``owner/name`` on the hub, or a local file or folder of parquet or JSONL files. In a
            folder, files with the split's name in theirs are read.
        subset: the dataset's configuration, for datasets that have several.
        split: name of the split.
        revision: commit or tag of the dataset; pin it, or the same recipe may read other rows
            tomorrow.
    """

    kind: Literal["hub"] = "hub"
    name: str
    subset: str | None = None
    split: str = "train"
    revision: str | None = None

    def load(self, seed: int) -> Iterator[Problem]:
        """The problems of the split; ``seed`` has nothing to decide.

        Raises:
            UserError: there is no such dataset, file or column.
        """
        label = self.label or Path(self.name).name
        for number, row in enumerate(islice(self._rows(), self.limit)):
            yield self.problem(row, label, f"{self.name}[{self.split}] row {number}")

    def _rows(self) -> Iterable[object]:
        import datasets

        local = Path(self.name)
        try:
            if local.exists():
                files = self._local_files(local)
                loader = LOADERS[files[0].suffix]
                names = [str(file) for file in files]
                return datasets.load_dataset(
                    loader, data_files=names, split="train", streaming=True
                )
            return datasets.load_dataset(
                self.name, self.subset, split=self.split, revision=self.revision, streaming=True
            )
        except (OSError, ValueError) as error:
            reason = str(error).strip().split("\n")[0]
            raise UserError(
                f"dataset {self.name!r}, split {self.split!r}: cannot be loaded ({reason}); "
                "check the name and the network, or give a local folder of its parquet files as name"
            ) from None

    def _local_files(self, local: Path) -> list[Path]:
        if local.is_file():
            files = [local]
        else:
            inside = sorted(file for file in local.rglob("*") if self.split in file.stem)
            files = [file for file in inside if file.suffix in LOADERS]
        endings = {LOADERS.get(file.suffix) for file in files}
        if len(endings) != 1 or None in endings:
            raise UserError(
                f"{local}: expected parquet or JSONL files of one kind with {self.split!r} in their names, "
                f"found {', '.join(file.name for file in files) or 'none'}"
            )
        return files
