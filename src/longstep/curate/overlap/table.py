"""The questions of benchmarks as hashes: what an index is made of, and all that a fingerprint file holds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from longstep.curate.overlap.answers import Answers, hashed
from longstep.curate.overlap.features import Features, features
from longstep.curate.overlap.hashing import U64, Ints, sequence_sums, window_hashes
from longstep.curate.overlap.tokens import ANY_NUMBER, Tokens, tokenise
from longstep.curate.overlap.wording import NUMBER


@dataclass(frozen=True, slots=True)
class Table:
    """Hashes of Q questions.

    Attributes:
        whole: hash of all words in their order, length Q.
        masked: the same, every number the same.
        lengths: words of each question.
        features: its words and pairs.
        answers: its answer.
    """

    whole: U64
    masked: U64
    lengths: Ints
    features: Features
    answers: Answers


def table(texts: Sequence[str], answers: Sequence[str | None] | None = None) -> Table:
    """Hash questions and their answers."""
    tokens = tokenise(texts)
    whole, masked = wholes(tokens)
    symbols = np.flatnonzero(np.diff(tokens.bounds) == 0)
    whole[symbols] = masked[symbols] = [symbol_hash(texts[at]) for at in symbols.tolist()]
    known = hashed(answers or [None] * len(texts))
    return Table(whole, masked, np.diff(tokens.bounds), features(tokens), known)


def wholes(tokens: Tokens) -> tuple[U64, U64]:
    """Hash the words of each text in their order: as they are, and with every number the same."""
    start, end = tokens.bounds[:-1], tokens.bounds[1:]
    plain = window_hashes(sequence_sums(tokens.hashes), start, end)
    hidden = np.where(tokens.classes == NUMBER, ANY_NUMBER, tokens.hashes)
    return plain, window_hashes(sequence_sums(hidden), start, end)


def symbol_hash(text: str) -> np.uint64:
    """Hash a text without words by its characters, white space left out."""
    digest = hashlib.blake2b("".join(text.split()).encode(errors="surrogatepass"), digest_size=8)
    return np.uint64(int.from_bytes(digest.digest(), "little"))


def concatenated(tables: Sequence[Table]) -> Table:
    """Put tables behind each other."""
    parts = [each.features for each in tables]
    offsets = np.cumsum([0, *(len(part.hashes) for part in parts)])
    bounds = [part.bounds[:-1] + offset for part, offset in zip(parts, offsets[:-1], strict=True)]
    joined = Features(
        np.concatenate([part.hashes for part in parts]),
        np.concatenate([part.counts for part in parts]),
        np.concatenate([part.tags for part in parts]),
        np.concatenate([*bounds, offsets[-1:]]),
    )
    return Table(
        np.concatenate([each.whole for each in tables]),
        np.concatenate([each.masked for each in tables]),
        np.concatenate([each.lengths for each in tables]),
        joined,
        Answers(
            np.concatenate([each.answers.values for each in tables]),
            np.concatenate([each.answers.totals for each in tables]),
        ),
    )
