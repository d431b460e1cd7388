"""What rows are compared with: shipped fingerprints, benchmarks that longstep can load, and the user's own files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longstep.artifacts import sha256_file, write_rows
from longstep.config import UserError, nearest
from longstep.curate.overlap import AnyContamination, Index, Item, Overlap
from longstep.curate.overlap.legacy import LegacyIndex
from longstep.curate.overlap.shipped import protected, shipped
from longstep.evaluate import BENCHMARKS
from longstep.formats.faults import RowError
from longstep.formats.files import layout_of, read_file
from longstep.formats.lines import parse

AnyIndex = Index | LegacyIndex
#: Benchmarks whose authors ask that their text is not put where crawlers may find it.
PROTECTED = "gpqa_diamond"
#: A file with this share of a protected benchmark's questions is a copy of it.
COPY = 0.05


@dataclass(frozen=True, slots=True)
class Known:
    """One benchmark, found: a file of rows, or a shipped fingerprint (hashes only)."""

    name: str
    path: Path
    fingerprint: bool


def known(names: Sequence[str], folder: Path) -> list[Known]:
    """Find every benchmark; the questions of those that longstep can load are written below ``folder``.

    Raises:
        UserError: a name is neither a file, nor a fingerprint, nor a benchmark.
    """
    found = [_known(name, folder) for name in names]
    twice = [each.name for each in found if [other.name for other in found].count(each.name) > 1]
    if twice:
        raise UserError(
            f"--against: two benchmarks are called {twice[0]!r}; rename one of the files"
        )
    return found


def _known(name: str, folder: Path) -> Known:
    if Path(name).is_file():
        return Known(Path(name).name.split(".")[0] or name, Path(name), fingerprint=False)
    if name in shipped():
        return Known(name, shipped()[name], fingerprint=True)
    if name in BENCHMARKS:
        path = folder / f"{name}.jsonl"
        if not path.is_file():
            questions = BENCHMARKS[name].questions()
            write_rows(path, ({"id": each.id, "prompt": each.prompt} for each in questions))
        return Known(name, path, fingerprint=False)
    names = sorted({*shipped(), *BENCHMARKS})
    close = nearest(name, names)
    hint = f"; did you mean {close!r}?" if close else ""
    raise UserError(
        f"--against {name}: no such file and no benchmark of this name{hint} (there are: {', '.join(names)})"
    )


def items(source: Known) -> Iterator[Item]:
    """The questions of a file of rows; a row without an id is called by its line.

    Raises:
        UserError: a line is no row.
    """
    layout = layout_of(source.path)
    for line in read_file(source.path):
        try:
            record = layout.read(parse(line))
        except RowError as error:
            raise error.at(source.path, line.number) from None
        yield Item(source.name, record.id or str(line.number), record.prompt, record.answer)


def index_of(contamination: AnyContamination, sources: Sequence[Known]) -> AnyIndex:
    """Index the benchmarks.

    Raises:
        UserError: a mode that compares words is asked about a fingerprint.
    """
    texts = [each for source in sources if not source.fingerprint for each in items(source)]
    prints = [source for source in sources if source.fingerprint]
    if not isinstance(contamination, Overlap):
        # a fingerprint has no words: an item without text, for the mode to say so
        return contamination.build([*texts, *(Item(each.name, "", None) for each in prints)])
    parts = [Index.load(each.path) for each in prints]
    return contamination.merged([*parts, *([contamination.build(texts)] if texts else [])])


def withheld(sources: Sequence[Known]) -> frozenset[str]:
    """Names of the benchmarks whose text must not be written: GPQA, whatever the file is called."""
    return frozenset(source.name for source in sources if _is_protected(source))


def _is_protected(source: Known) -> bool:
    if protected(source.name):
        return True
    if source.fingerprint or PROTECTED not in shipped():
        return False
    index = Index.load(shipped()[PROTECTED])
    questions = [each.text or "" for each in items(source)]
    same = [any(hit.kind == "identical" for hit in hits) for hits in index.scan(questions)]
    return sum(same) > COPY * len(same)


def ledger(index: AnyIndex, sources: Sequence[Known]) -> dict[str, Any]:
    """What was compared with, for the manifest."""
    hashes = {each.name: sha256_file(each.path) for each in sources}
    return {**index.ledger(), "sources": hashes}
