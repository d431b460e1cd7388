"""The index of benchmark questions: batches of rows in, matches out."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from longstep.config import UserError
from longstep.curate.normalise import place
from longstep.curate.overlap import store
from longstep.curate.overlap.answers import Answers, Signs, agreement, hashed
from longstep.curate.overlap.background import shipped
from longstep.curate.overlap.config import KINDS, NOTHING, REWORDED, Evidence, Thresholds, classify
from longstep.curate.overlap.contrast import re_posed, turned
from longstep.curate.overlap.exact import Ngrams
from longstep.curate.overlap.features import (
    Features,
    Floats,
    Hashes,
    features,
    pair_features,
    word_features,
)
from longstep.curate.overlap.hashing import U64, Ints, lookup, sequence_sums, window_hashes
from longstep.curate.overlap.match import Item, Match
from longstep.curate.overlap.pairs import (
    Overlaps,
    Postings,
    candidates,
    overlaps,
    postings,
    spread,
)
from longstep.curate.overlap.table import Table, concatenated, symbol_hash, wholes
from longstep.curate.overlap.tokens import Tokens, tokenise

#: Texts and characters that are looked at together: what fits into the processor's caches.
BATCH, BATCH_CHARS = 256, 200_000
#: Longer texts are looked at in pieces that overlap.
PIECE, SEAM = 400_000, 20_000
#: Matches of one row that are given.
MOST = 20
#: Words from which a shared word marks the span of a match, in bits.
MARKING = 6.0


class Index:
    """Benchmark questions, ready to be looked for.

    Attributes:
        items: the questions, in order.
        thresholds: where the classes begin.
        answers: whether the rows' answers count as evidence.
    """

    def __init__(
        self,
        items: Sequence[Item],
        hashes: Table,
        thresholds: Thresholds,
        found: Postings | None = None,
        bits: Floats | None = None,
    ) -> None:
        self.answers: Literal["use", "ignore"] = "use"
        self.items, self.thresholds = tuple(items), thresholds
        self._table = hashes
        self._bits = shipped().weights(hashes.features.hashes) if bits is None else bits
        self._postings = postings(hashes.features, self._bits) if found is None else found
        self._whole = _Sorted(hashes.whole)
        self._masked = _Sorted(hashes.masked)
        self._known = np.array([each.text is not None for each in self.items], bool)
        self._asked = np.array([re_posed(each.text) for each in self.items], bool)
        self._grams: dict[int, Ngrams] = {}

    # -- files ---------------------------------------------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write the index with its questions' text, for ``load``."""
        more = store.posting_arrays(self._postings, self._bits)
        store.write(path, self.items, self._table, more, texts=True)

    def save_fingerprint(self, path: Path) -> None:
        """Write hashes only, packed: no word of a question is in the file."""
        store.write(path, self.items, self._table, {}, texts=False)

    @classmethod
    def load(cls, path: Path, thresholds: Thresholds | None = None) -> Index:
        """Read an index or a fingerprint.

        Raises:
            UserError: it is neither.
        """
        items, hashes, found, bits = store.read(path)
        return cls(items, hashes, thresholds or Thresholds(), found, bits)

    def merged(self, *others: Index) -> Index:
        """Put several indexes into one; the thresholds are those of this one."""
        parts = [self, *others]
        items = [item for part in parts for item in part.items]
        return Index(items, concatenated([part._table for part in parts]), self.thresholds)

    def ledger(self) -> dict[str, object]:
        """Say what was looked for, for manifests: questions, texts known and a hash per benchmark; the thresholds."""
        names = Counter(item.benchmark for item in self.items)
        known = Counter(item.benchmark for item in self.items if item.text is not None)
        of = np.array([item.benchmark for item in self.items])
        rows = {
            name: {
                "questions": count,
                "with_text": known[name],
                "sha256": hashlib.sha256(
                    np.sort(self._table.whole[of == name]).tobytes()
                ).hexdigest(),
            }
            for name, count in names.items()
        }
        return {"kind": "overlap", "benchmarks": rows, "thresholds": self.thresholds.model_dump()}

    # -- matching ------------------------------------------------------------------------------------------------------

    def scan(
        self, texts: Sequence[str], answers: Sequence[str | None] | None = None
    ) -> list[tuple[Match, ...]]:
        """Give each text's matches, best first; each question at most once, and at most 20 of them.

        Args:
            texts: the rows' questions.
            answers: their answers, where they are known: equal ones are evidence for a match, others against it.
        """
        known = answers if answers and self.answers == "use" else [None] * len(texts)
        found: list[tuple[Match, ...]] = []
        for cut in _batches(texts):
            scan = self._scan_long if len(texts[cut.start]) > PIECE else self._scan
            found += scan(texts[cut], known[cut])
        return found

    def shares_ngram(self, texts: Sequence[str], n: int) -> NDArray[np.bool_]:
        """Say of each text whether it has ``n`` words in a row with a question, in lower case, without punctuation.

        The cheap question, for volumes: LaTeX, numbers and answer sentences stay as they are.

        Raises:
            UserError: a question is known by its fingerprint only.
        """
        if n not in self._grams:
            without = next((item for item in self.items if item.text is None), None)
            if without is not None:
                raise UserError(
                    f"{without.benchmark} is known by its fingerprint only, and runs of {n} words need the text: "
                    "give a file of the benchmark instead"
                )
            self._grams[n] = Ngrams([item.text or "" for item in self.items], n)
        return self._grams[n].shared(texts)

    def _scan_long(
        self, texts: Sequence[str], answers: Sequence[str | None]
    ) -> list[tuple[Match, ...]]:
        (text,) = texts
        best: dict[tuple[str, str], Match] = {}
        for start in range(0, max(len(text) - SEAM, 1), PIECE - SEAM):
            for match in self._scan([text[start : start + PIECE]], answers)[0]:
                span = match.span[0] + start, match.span[1] + start
                moved = Match(
                    match.benchmark, match.item, match.kind, match.score, span, match.text
                )
                key = match.benchmark, match.item
                best[key] = min(best.get(key, moved), moved, key=_order)
        return [tuple(sorted(best.values(), key=_order)[:MOST])]

    def _scan(self, texts: Sequence[str], answers: Sequence[str | None]) -> list[tuple[Match, ...]]:
        tokens = tokenise(texts)
        rows = features(tokens)
        whole, masked = wholes(tokens)
        for at in np.flatnonzero(np.diff(tokens.bounds) == 0).tolist():
            whole[at] = masked[at] = symbol_hash(texts[at])
        row, item, agree = self._pairs(rows, whole, masked, hashed(answers))
        asked = np.fromiter((re_posed(text) for text in texts), bool, len(texts))
        # the key of "find m + n" says nothing about the fraction m/n; a fingerprint does not tell how it asks
        agree = np.where(
            (agree < 0) & self._known[item] & (asked[row] != self._asked[item]), 0, agree
        )
        if not len(row):
            return [()] * len(texts)
        o = overlaps(rows, row, self._table.features, item, self._bits, shipped())
        same = whole[row] == self._table.whole[item]
        skeleton = masked[row] == self._table.masked[item]
        places = self._contained(tokens, row, item, o)
        where = o, same, skeleton, places[:, 1] > 0
        evidence = Evidence(agree, np.zeros(len(row), bool))
        kinds = classify(*where, evidence, self.thresholds)
        doubtful = np.flatnonzero((kinds == REWORDED) & (agree < 0))
        if len(doubtful):
            sides = rows, row[doubtful], self._table.features, item[doubtful]
            evidence.turned[doubtful] = turned(*sides, o.take(doubtful))
            kinds = classify(*where, evidence, self.thresholds)
        found: list[list[Match]] = [[] for _ in texts]
        marks = np.stack([word_features(tokens), pair_features(tokens)])
        for c in np.flatnonzero(kinds != NOTHING).tolist():
            r, one = int(row[c]), self.items[item[c]]
            span = self._span(
                tokens, marks, r, int(item[c]), places[c], bool(same[c] or skeleton[c])
            )
            span = place(texts[r], span) if span[1] else (0, len(texts[r]))
            score = 1.0 if same[c] else round(float(o.held[c]), 4)
            found[r].append(Match(one.benchmark, one.item, KINDS[kinds[c]], score, span, one.text))
        return [tuple(sorted(each, key=_order)[:MOST]) for each in found]

    def _pairs(
        self, rows: Features, whole: U64, masked: U64, answers: Answers
    ) -> tuple[Ints, Ints, Signs]:
        """Pairs (row, question) worth a comparison, each once, and whether their answers agree."""
        row, item, enough = candidates(rows, self._postings)
        enough |= agreement(answers.take(row), self._table.answers.take(item)) > 0
        parts = [
            (row[enough], item[enough]),
            self._whole.find(whole),
            self._masked.find(masked),
        ]
        size = max(len(self.items), 1)
        keys = np.unique(np.concatenate([row * size + item for row, item in parts]))
        row, item = np.divmod(keys, size)
        return row, item, agreement(answers.take(row), self._table.answers.take(item))

    def _contained(self, tokens: Tokens, row: Ints, item: Ints, o: Overlaps) -> NDArray[np.int64]:
        """First word and last, exclusive, of a question that stands in the row in one piece; (0, 0) elsewhere."""
        spans = np.zeros((len(row), 2), np.int64)
        lengths = self._table.lengths[item]
        for c in np.flatnonzero((o.held > 0.999) & (lengths > 0)):
            start, end, length = tokens.bounds[row[c]], tokens.bounds[row[c] + 1], lengths[c]
            if end - start < length:
                continue
            sums = sequence_sums(tokens.hashes[start:end])
            first = np.arange(end - start - length + 1)
            at = np.flatnonzero(
                window_hashes(sums, first, first + length) == self._table.whole[item[c]]
            )
            if len(at):
                spans[c] = start + at[0], start + at[0] + length
        return spans

    def _span(
        self,
        tokens: Tokens,
        marks: Hashes,
        row: int,
        item: int,
        exact: NDArray[np.int64],
        all_of_it: bool,
    ) -> tuple[int, int]:
        """Characters of the folded row from the first to the last shared rare word or pair."""
        first, last = int(tokens.bounds[row]), int(tokens.bounds[row + 1])
        if first == last:
            return 0, 0
        if exact[1]:
            first, last = int(exact[0]), int(exact[1])
        elif not all_of_it:
            first, last = self._marked(marks, item, first, last)
        return int(tokens.starts[first]), int(tokens.ends[last - 1])

    def _marked(self, marks: Hashes, item: int, first: int, last: int) -> tuple[int, int]:
        bounds = self._table.features.bounds
        mine = slice(bounds[item], bounds[item + 1])
        hashes, bits = self._table.features.hashes[mine], self._bits[mine]
        rare = hashes[bits >= min(MARKING, float(bits.max()))]
        # words, then pairs; the last pair is one with the next text
        width, place = np.divmod(lookup(rare, marks[:, first:last].ravel()[:-1])[1], last - first)
        if not len(place):
            return first, last
        return first + int(place.min()), first + int((place + width).max()) + 1


class _Sorted:
    """Find all questions with a hash."""

    def __init__(self, hashes: U64) -> None:
        self._order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[self._order]

    def find(self, hashes: U64) -> tuple[Ints, Ints]:
        at, hit = lookup(self._hashes, hashes)
        ends = np.searchsorted(self._hashes, hashes[hit], side="right")
        sizes = ends - at[hit]
        return np.repeat(hit, sizes), self._order[spread(at[hit], sizes)]


def _order(match: Match) -> tuple[int, float]:
    return KINDS.index(match.kind), -match.score


def _batches(texts: Sequence[str]) -> Iterator[slice]:
    """Cut texts into batches of bounded length; a long text is alone."""
    first = size = 0
    for at, text in enumerate(texts):
        if at > first and (at - first == BATCH or size + len(text) > BATCH_CHARS):
            yield slice(first, at)
            first, size = at, 0
        size += len(text)
    if first < len(texts):
        yield slice(first, len(texts))
