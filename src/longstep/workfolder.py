"""A folder of work, the same for a recipe's stage and for a data job: begun once, resumed, sealed, never mixed.

    FOLDER/RECORD          what the result depends on, written first (``config.json`` of a stage, ``job.json`` of a job)
    FOLDER/partial/ ...    unfinished work, removed in the end. ``partial/refused`` says that a job stopped by itself
                           (a stage never says so): other settings or mended inputs may begin again here
    FOLDER/out/            the result
    FOLDER/manifest.json   the hash of every result, written last: without it the folder is not an artifact

Whoever comes back with other settings, inputs or code is refused with the names of what changed, for a result made half
under one and half under the other is nobody's.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from longstep.artifacts import (
    MANIFEST,
    read_json,
    read_manifest,
    sha256_file,
    verify_manifest,
    write_json,
    write_manifest,
)
from longstep.closure import recoded
from longstep.config import Strict, UserError, dump

PARTIAL = "partial"
REFUSED = "refused"
_SHOWN = 4

#: ``config``, ``inputs``, ``code`` and whatever else the result depends on, JSON-ready.
Parts = Mapping[str, Any]


@dataclass(frozen=True)
class WorkFolder:
    """One piece of work in its folder.

    Attributes:
        path: the folder.
        record: name of the file that is written first.
        who: the work, as a complaint begins.
        remedy: what else than another ``--out`` helps when something changed.
        scratch: folders that only unfinished work needs.
    """

    path: Path
    record: str
    who: str
    remedy: str
    scratch: tuple[str, ...] = (PARTIAL,)

    def begun(self) -> bool:
        """Whether work was begun here."""
        return (self.path / self.record).is_file()

    def facts(self) -> dict[str, Any]:
        """The record of work that was begun; ``parts`` are what its result depends on.

        Raises:
            UserError: the record is damaged.
        """
        record = read_json(self.path / self.record)
        parts = record.get("parts") if isinstance(record, dict) else None
        if not isinstance(parts, dict) or not {"config", "inputs", "code"} <= parts.keys():
            raise UserError(
                f"{self.path / self.record}: is damaged; delete {self.path} to begin again"
            )
        return record

    def refuse_change(self, now: Parts) -> None:
        """Compare the parts in ``now`` with those the work was begun with, if it was.

        Raises:
            UserError: they differ; named as ``path: before -> after``.
        """
        if self.begun() and (changes := self._changes(now)):
            more = f"; and {len(changes) - _SHOWN} more" if len(changes) > _SHOWN else ""
            raise UserError(
                f"{self.who}: changed since it was begun: {'; '.join(changes[:_SHOWN])}{more}; "
                f"choose another --out, or {self.remedy}"
            )

    def begin(self, parts: Parts, **facts: object) -> bool:
        """Write down what the result depends on, or find it written; true when work is resumed.

        Raises:
            UserError: the work was begun with other parts.
        """
        if self.begun():
            refused = self.path / PARTIAL / REFUSED
            if not (refused.exists() and self._changes(parts)):
                self.refuse_change(parts)
                return True
            self.finish()  # first, so that no seal is continued with other settings
        write_json(self.path / self.record, {**facts, "parts": parts})
        return False

    def finished(self) -> dict[str, Any] | None:
        """The manifest of finished work, its files verified; what a kill left of the scratch goes.

        Raises:
            UserError: a file is missing, added or changed.
        """
        if read_manifest(self.path) is None:
            return None
        manifest = verify_manifest(self.path)
        self.finish()
        return manifest

    def seal(self, **facts: object) -> dict[str, Any]:
        """Write the manifest over ``out``, last of all; returns it as a later process reads it."""
        write_manifest(self.path, **facts)
        self.finish()
        return read_json(self.path / MANIFEST)

    def finish(self) -> None:
        """Remove what only unfinished work needs."""
        for name in self.scratch:
            shutil.rmtree(self.path / name, ignore_errors=True)

    def _changes(self, now: Parts) -> list[str]:
        then = self.facts()["parts"]
        if "code" in now and isinstance(then["code"], dict):
            now = {**now, "code": recoded(then["code"], now["code"])}
        return differences({key: then.get(key) for key in now}, now)


# -- what a config's result depends on ------------------------------------------------------------


def settled(config: Strict) -> dict[str, Any]:
    """The config as JSON-ready values, without what may change while the work goes on."""
    given = dump(config)
    for _, _, name, holder in list(_changeable(config, given, "")):
        del holder[name]
    return given


def changeable(config: Strict) -> dict[str, Any]:
    """``dotted.path -> value`` of what may change, of the config and of the configs inside of it."""
    return {path: holder[name] for path, _, name, holder in _changeable(config, dump(config), "")}


def rounding(config: Strict) -> set[str]:
    """The dotted paths of what may change and then changes the order of sums."""
    fields = _changeable(config, dump(config), "")
    return {path for path, owner, name, _ in fields if name in owner.rounding_fields()}


def _changeable(
    value: Any, given: Any, path: str
) -> Iterator[tuple[str, Strict, str, dict[str, Any]]]:
    """``path, config, field, dictionary that holds its value`` of each free or rounding field."""
    if isinstance(value, Strict):
        for name in sorted(value.free_fields() | value.rounding_fields()):
            yield f"{path}{name}", value, name, given
        for name in type(value).model_fields:
            yield from _changeable(getattr(value, name), given.get(name), f"{path}{name}.")
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from _changeable(each, given[name], f"{path}{name}.")
    elif isinstance(value, list | tuple):
        for number, (each, inner) in enumerate(zip(value, given, strict=True)):
            yield from _changeable(each, inner, f"{path}{number}.")


def differences(then: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """``path: before -> after`` for every leaf that differs."""
    found: list[str] = []
    for key in sorted(then.keys() | now.keys()):
        before, after = then.get(key), now.get(key)
        if before == after:
            continue
        if isinstance(before, dict) and isinstance(after, dict):
            found.extend(differences(before, after, f"{prefix}{key}."))
        else:
            found.append(f"{prefix}{key}: {_short(before)} -> {_short(after)}")
    return found


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


# -- results that are scored anew -----------------------------------------------------------------


def check_sealed(out: Path, anew: Collection[str] = ("results.json",)) -> None:
    """Refuse to score files that are not those the stage wrote; an exported evaluation has nothing to compare with.

    The files ``anew`` may be missing or old: they are about to be written again.
    """
    manifest = read_manifest(out.parent)
    for name, entry in (manifest["files"] if manifest else {}).items():
        path = out / name
        if name not in anew and (not path.is_file() or sha256_file(path) != entry["sha256"]):
            raise UserError(
                f"{path}: is not the file the stage wrote; restore it, or score a copy without manifest.json"
            )


def reseal(out: Path) -> None:
    """Write a finished stage's manifest again after its results were scored anew, keeping what it cost.

    A folder that is not inside of a stage (an exported evaluation) has no manifest to keep.
    """
    manifest = read_manifest(out.parent)
    if manifest is not None:
        facts = {key: value for key, value in manifest.items() if key not in ("files", "content")}
        write_manifest(out.parent, **facts)
