"""What is typed behind an option of ``longstep data``, as settings of a job."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from longstep.config import Located, UserError, override

#: What a word begins with that means a hub dataset and not a file.
HUB = "hub:"


def pair(text: str, option: str) -> tuple[str, str]:
    """``NAME=VALUE`` cut in two.

    Raises:
        UserError: it is something else.
    """
    name, equals, value = text.partition("=")
    if not (name.strip() and equals and value.strip()):
        raise UserError(f"{option} {text}: expected NAME=VALUE")
    return name.strip(), value.strip()


def pairs(texts: Iterable[str], option: str) -> dict[str, str]:
    """Several ``NAME=VALUE``.

    Raises:
        UserError: one is something else, or a name is given twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, value = pair(text, option)
        if name in found:
            raise UserError(f"{option} {text}: {name} is given twice")
        found[name] = value
    return found


def table(word: str) -> dict[str, Any]:
    """A source of problems: a file, or ``hub:OWNER/NAME,split=test``.

    Raises:
        UserError: a setting behind the dataset's name is no ``key=value``.
    """
    if not word.startswith(HUB):
        return {"kind": "jsonl", "path": word}
    name, *settings = word.removeprefix(HUB).split(",")
    return {"kind": "hub", "name": name, **pairs(settings, word)}


def stem(word: str) -> str:
    """``rows`` for ``a/rows.jsonl.gz``, ``rows-csv`` for ``rows.csv``, ``name`` for ``hub:owner/name,split=test``.

    Two files of one name and two kinds are two data sets, each with results of its own.
    """
    name = Path(word).name
    if word.startswith(HUB):
        return name.removeprefix(HUB).split(",")[0] or name
    plain = name.removesuffix(".gz").removesuffix(".zst").removesuffix(".jsonl")
    return plain.replace(".", "-").strip("-") or name


def member(text: str, option: str) -> dict[str, Any]:
    """A member of a family from ``kind`` or ``kind:key=value,key=value``; values are YAML.

    Raises:
        UserError: a setting is no ``key=value``.
    """
    kind, colon, rest = text.partition(":")
    located = Located({"kind": kind.strip()}, {})
    for setting in _settings(rest) if colon else []:
        key, value = pair(setting, option)
        located = override(located, f"{key}={value}")
    return located.data


def _settings(text: str) -> list[str]:
    """What stands between commas that are in no list and no mapping."""
    found, depth = [""], 0
    for char in text:
        depth += (char in "[{") - (char in "]}")
        if char == "," and depth == 0:
            found.append("")
        else:
            found[-1] += char
    return found


def behind(typed: Sequence[str], option: str) -> list[str]:
    """The words that stand right behind the value of an option, up to the next option."""
    found: list[str] = []
    reading, value = False, False
    for word in typed:
        if word == option or word.startswith(f"{option}="):
            reading, value = True, word == option
        elif value:
            value = False
        elif word.startswith("-"):
            reading = False
        elif reading:
            found.append(word)
    return found


def benchmarks(
    files: Sequence[Path], against: Sequence[str], behind: Sequence[str]
) -> tuple[list[Path], list[str]]:
    """The files to clean, and all names and files to clean them of.

    Args:
        files: every word that belongs to no option.
        against: the values of ``--against``.
        behind: those of ``files`` that were typed right behind one of these values: there a word that is no file
            is another benchmark.

    Raises:
        UserError: a file stands there although another one is to be cleaned, so it could be meant either way; or
            none is to be cleaned.
    """
    names = [word for word in behind if not (Path(word).exists() or word.startswith(HUB))]
    cleaned = [path for path in files if path not in map(Path, names)]
    doubtful = [path for path in cleaned if path in map(Path, behind)]
    if doubtful and len(cleaned) > len(doubtful):
        raise UserError(
            f"{doubtful[0]}: is it to be cleaned or a benchmark? give the files to clean first, and "
            "benchmarks with --against A --against B or --against A,B"
        )
    if not cleaned:
        raise UserError(f"no file to clean; {', '.join(names)}: no such file")
    words = [
        [each] if each.startswith(HUB) or Path(each).exists() else each.split(",")
        for each in [*against, *names]
    ]
    return cleaned, [word.strip() for each in words for word in each if word.strip()]


def drawer(text: str, option: str) -> dict[str, Any]:
    """Who draws: ``KIND:key=value,...`` with a kind of engine, else a model in this process.

    Raises:
        UserError: a setting is no ``key=value``.
    """
    if is_engine(text):
        return member(text, option)
    return {"kind": "model", "model": text}


def is_engine(text: str) -> bool:
    """Whether a word names an engine with its settings, such as ``endpoint:url=URL,model=NAME``."""
    kind, colon, rest = text.partition(":")
    if not (colon and "=" in rest):
        return False
    # Late: most words name no engine, and reading all of them takes long.
    from longstep.draw.samplers import engine_kinds

    return kind.strip() in engine_kinds()


def sampler(model: str, endpoints: Sequence[str], key: str | None, verb: str) -> dict[str, Any]:
    """Who samples: the model in this process, or the servers that serve it.

    Raises:
        UserError: there is a key and nobody to show it to, or servers are named twice.
    """
    urls = [url.strip() for each in endpoints for url in each.split(",") if url.strip()]
    if not urls:
        if key is not None:
            raise UserError(f"{verb}: --api-key-env belongs to --endpoint URL")
        return drawer(model, verb)
    if is_engine(model):
        raise UserError(f"{verb}: {model} says who draws already; leave --endpoint out")
    addresses = [{"url": url, "api_key_env": key} for url in urls]
    return {"kind": "endpoint", "model": model, "endpoints": addresses}


def adaptive_rule(text: str, most: int | None) -> dict[str, Any]:
    """Sampling until a band is decided, from the band as ``select --rule band:...`` spells it.

    Raises:
        UserError: it is no band.
    """
    band = member(text if text.startswith("band") else f"band:{text}", "--adaptive")
    if band.pop("kind") != "band":
        raise UserError(f"--adaptive {text}: expected a band such as min=0.25,max=0.625")
    return {"band": band} | ({} if most is None else {"max": most})


def rating(verb: str, column: str, unit: str | None, samples: int | None) -> dict[str, Any]:
    """How to read a column of ratings.

    Raises:
        UserError: unit or number of samples is not given; a guess would turn hard problems into easy ones.
    """
    if unit is None or samples is None:
        option = "--unit UNIT" if unit is None else "--samples N"
        raise UserError(f"{verb} --import {column}: needs {option}: how the ratings were measured")
    return {"column": column, "unit": unit, "samples": samples}
