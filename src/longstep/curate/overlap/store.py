"""Fingerprint and index files: arrays in one ``.npz``, names and ids as JSON inside. Nothing in them is executed."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from longstep.config import UserError
from longstep.curate.overlap.answers import Answers
from longstep.curate.overlap.features import Features
from longstep.curate.overlap.match import Item
from longstep.curate.overlap.pairs import Postings, filter_of
from longstep.curate.overlap.table import Table

FORMAT = 3
_POSTINGS = tuple(each.name for each in fields(Postings) if each.name != "filter")


def _packed(values: Mapping[str, Any]) -> np.ndarray:
    return np.frombuffer(json.dumps(values).encode(), np.uint8)


def write(
    path: Path, items: Sequence[Item], table: Table, more: Mapping[str, np.ndarray], *, texts: bool
) -> None:
    """Write questions as hashes, and with ``texts`` their text as well."""
    names = list(dict.fromkeys(item.benchmark for item in items))
    head = {
        "format": FORMAT,
        "benchmarks": names,
        "of": [names.index(item.benchmark) for item in items],
        "items": [item.item for item in items],
        "texts": [item.text for item in items] if texts else None,
    }
    arrays = {
        "head": _packed(head), "whole": table.whole, "masked": table.masked, "lengths": table.lengths.astype(np.uint32),
        "hashes": table.features.hashes, "counts": table.features.counts, "tags": table.features.tags,
        "sizes": np.diff(table.features.bounds).astype(np.uint32), "answers": table.answers.values,
        "totals": table.answers.totals, **more,
    }  # fmt: skip
    with path.open("wb") as file:
        (np.savez if texts else np.savez_compressed)(file, **arrays)


def read(path: Path) -> tuple[list[Item], Table, Postings | None, np.ndarray | None]:
    """Read what ``write`` wrote; postings and weights when they were written.

    Raises:
        UserError: it is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        head = json.loads(bytes(arrays["head"]))
        if head["format"] != FORMAT:
            raise UserError(
                f"{path}: format {head['format']}, this longstep reads {FORMAT}; build it again"
            )
        texts = head["texts"] or [None] * len(head["items"])
        names = map(head["benchmarks"].__getitem__, head["of"])
        items = [Item(*each) for each in zip(names, head["items"], texts, strict=True)]
        bounds = np.concatenate([[0], np.cumsum(arrays["sizes"], dtype=np.int64)])
        features = Features(arrays["hashes"], arrays["counts"], arrays["tags"], bounds)
        table = Table(
            arrays["whole"],
            arrays["masked"],
            arrays["lengths"].astype(np.int64),
            features,
            Answers(arrays["answers"], arrays["totals"]),
        )
        sizes = {len(items), len(table.whole), len(table.lengths), len(bounds) - 1}
        if sizes != {len(table.answers.values)} or sizes != {len(table.answers.totals)}:
            raise ValueError("arrays of different lengths")
        found = None
        if "bits" in arrays:
            found = Postings(
                filter_of(arrays["p_hashes"]), *(arrays[f"p_{name}"] for name in _POSTINGS)
            )
        return items, table, found, arrays.get("bits")
    except (
        OSError,
        EOFError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        zipfile.BadZipFile,
    ) as error:
        raise UserError(
            f"{path}: not an index or fingerprint of longstep ({error}); build it again"
        ) from None


def posting_arrays(postings: Postings, bits: np.ndarray) -> dict[str, np.ndarray]:
    """What to add to a file so that an index need not be sorted again."""
    values = {"hashes": postings.hashes, "bounds": postings.bounds, "items": postings.items, "bits": postings.bits,
              "totals": postings.totals}  # fmt: skip
    return {"bits": bits, **{f"p_{name}": values[name] for name in _POSTINGS}}
