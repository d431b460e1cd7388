"""What rows are compared with, and the one comparison: stage ``curate`` and ``data decontaminate`` give equal verdicts.

Benchmarks are shipped fingerprints, benchmarks that longstep can load, and the user's own files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from longstep.artifacts import sha256_file, sha256_json
from longstep.config import UserError, nearest
from longstep.curate.overlap import AnyContamination, Index, Item, Match
from longstep.curate.overlap.shipped import protected, shipped
from longstep.evaluate import BENCHMARKS, Benchmark
from longstep.formats.faults import RowError, suggest
from longstep.formats.files import layout_of, read_file
from longstep.formats.layouts import mapped
from longstep.formats.lines import parse
from longstep.formats.record import has

#: Benchmarks whose authors ask that their text is not put where crawlers may find it.
PROTECTED = "gpqa_diamond"
#: A file with this share of a protected benchmark's questions is a copy of it.
COPY = 0.05


@dataclass(frozen=True, slots=True)
class Known:
    """One benchmark, found.

    Attributes:
        name: of the benchmark.
        path: a file of rows, or a shipped fingerprint; ``None`` where longstep loaded it.
        fingerprint: whether the file holds hashes only.
        loaded: the questions that longstep loaded. They stay in memory, since a protected text is never written.
        columns: field of a record -> column of the file; where they name no answer, its questions have none.
    """

    name: str
    path: Path | None
    fingerprint: bool = False
    loaded: tuple[Item, ...] = ()
    columns: Mapping[str, str] = field(default_factory=dict)

    def items(self) -> Iterator[Item]:
        """The questions; a row of a file without an id is called by its line.

        Raises:
            UserError: a line is no row, or a column that was named is in no row.
        """
        if self.path is None:
            yield from self.loaded
            return
        layout = mapped(self.columns) if self.columns else layout_of(self.path)
        answered = not self.columns or "answer" in self.columns
        absent, seen = set(self.columns.values()), dict[str, None]()
        for line in read_file(self.path):
            try:
                row = parse(line)
                absent = {column for column in absent if not has(row, column)}
                seen |= dict.fromkeys(row)
                record = layout.read(row)
            except RowError as error:
                raise error.at(self.path, line.number) from None
            answer = record.answer if answered else None
            yield Item(self.name, record.id or str(line.number), record.prompt, answer)
        for column in sorted(absent):
            raise UserError(
                f"--against-columns: no row of {self.path} has the column {column!r}{suggest(column, seen)} (present: "
                f"{', '.join(seen)})"
            )

    def sha256(self) -> str:
        """What was compared with, for ledgers."""
        if self.path is not None:
            return sha256_file(self.path)
        return sha256_json([(each.item, each.text, each.answer) for each in self.loaded])


def known(
    members: Sequence[str | Benchmark],
    rule: AnyContamination,
    columns: Mapping[str, str] | None = None,
) -> list[Known]:
    """Find every benchmark: a file, a name, or one given whole.

    Args:
        members: what they are called.
        rule: how they are compared.
        columns: field of a record -> column of those that are files.

    Raises:
        UserError: a name is neither a file, nor a fingerprint, nor a benchmark; two are called alike; or columns are
            named and none is a file.
    """
    found = [_known(member, rule) for member in members]
    files = [each for each in found if each.path is not None and not each.fingerprint]
    if columns and not files:
        raise UserError(
            f"--against-columns says how a benchmark's file is laid out, and {', '.join(map(str, members))} is none; "
            "leave it out, or give a file with --against"
        )
    found = [replace(each, columns=columns or {}) if each in files else each for each in found]
    names = [each.name for each in found]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UserError(f"two benchmarks to compare with are called {twice[0]!r}; rename one")
    return found


def by_fingerprint(member: str | Benchmark, rule: AnyContamination) -> bool:
    """Whether a benchmark's shipped hashes do: published rules compare words and want its text, if it can be had."""
    if not isinstance(member, str) or member not in shipped():
        return False
    return rule.fingerprints or member not in BENCHMARKS


def _known(member: str | Benchmark, rule: AnyContamination) -> Known:
    if isinstance(member, Benchmark):
        return _loaded(member)
    if Path(member).is_file():
        return Known(Path(member).name.split(".")[0] or member, Path(member))
    if by_fingerprint(member, rule):
        return Known(member, shipped()[member], fingerprint=True)
    if member in BENCHMARKS:
        return _loaded(BENCHMARKS[member])
    names = sorted({*shipped(), *BENCHMARKS})
    close = nearest(member, names)
    hint = f"; did you mean {close!r}?" if close else ""
    raise UserError(
        f"--against {member}: no such file and no benchmark of this name{hint} (there are: {', '.join(names)})"
    )


def _loaded(benchmark: Benchmark) -> Known:
    name = benchmark.name
    asked = tuple(Item(name, p.id, p.prompt, p.answer) for p in benchmark.questions())
    return Known(name, None, loaded=asked)


@dataclass(frozen=True, slots=True)
class Compared:
    """What comparing says of one row.

    Attributes:
        matches: best first.
        worst: the match for which the row goes, if it goes.
        secret: whether the row holds text that must not be written: GPQA's authors ask for that.
    """

    matches: tuple[Match, ...]
    worst: Match | None
    secret: bool


class Comparison:
    """Benchmarks, indexed under a rule. Memory: their questions, whatever the number of rows.

    Attributes:
        hidden: names of the benchmarks whose text must not be written, whatever their files are called.
    """

    def __init__(self, rule: AnyContamination, sources: Sequence[Known]) -> None:
        """Build the index.

        Raises:
            UserError: a rule that compares words is asked about a fingerprint.
        """
        texts = [each for source in sources if not source.fingerprint for each in source.items()]
        prints = [source.path for source in sources if source.fingerprint and source.path]
        self._sources, self._remove = tuple(sources), frozenset(rule.remove)
        self._index = rule.indexed(texts, prints)
        self.hidden = frozenset(source.name for source in sources if _is_protected(source))

    def compare(self, texts: Sequence[str], answers: Sequence[str | None]) -> Iterator[Compared]:
        """What each text is, in order; equal answers are evidence for a match, others against it."""
        for matches in self._index.scan(texts, answers):
            worst = next((each for each in matches if self.removes(each)), None)
            secret = any(
                m.benchmark in self.hidden and m.kind != "shared_template" for m in matches
            )
            yield Compared(matches, worst, secret)

    def removes(self, match: Match) -> bool:
        """Whether a match of this class makes a row go."""
        return match.kind in self._remove

    def ledger(self) -> dict[str, Any]:
        """What was compared with, for manifests."""
        hashes = {source.name: source.sha256() for source in self._sources}
        return {**self._index.ledger(), "sources": hashes}


def _is_protected(source: Known) -> bool:
    if protected(source.name):
        return True
    if source.fingerprint or PROTECTED not in shipped():
        return False
    index = Index.load(shipped()[PROTECTED])
    questions = [each.text or "" for each in source.items()]
    same = [any(hit.kind == "identical" for hit in hits) for hits in index.scan(questions)]
    return sum(same) > COPY * len(same)
