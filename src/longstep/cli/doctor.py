"""What this machine has, and whether the shipped model answers; what one model is, can do, and what is wrong."""

from __future__ import annotations

import os
import platform
import shutil
from contextlib import closing
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from longstep.config import UserError
from longstep.models.load import SHIPPED
from longstep.run.extras import absent

#: By extra; "" is what every installation has.
LIBRARIES = {
    "": ("math-verify", "pydantic", "safetensors"),
    "train": ("torch", "transformers", "trl", "peft", "accelerate", "datasets"),
}


def examine() -> dict[str, Any]:
    """Facts by name; ``problems`` is a list of sentences, empty when all is well."""
    facts: dict[str, Any] = {"python": platform.python_version(), "cores": os.cpu_count()}
    problems: list[str] = []
    # A light installation is no fault: an extra that is absent is a fact, with what to type for it.
    lacking = absent()
    facts |= {f"extra {extra}": how for extra, how in lacking.items()}
    for extra, names in LIBRARIES.items():
        for name in names if extra not in lacking else ():
            try:
                facts[name] = version(name)
            except PackageNotFoundError:
                problems.append(f"{name} is not installed; run make demo, or pip install longstep")
    facts["free disk"] = f"{shutil.disk_usage('.').free >> 30} GB"
    if not problems and "train" not in lacking:
        facts["device"] = _device()
        problems.extend(_shipped_problems(facts))
    facts["problems"] = problems
    return facts


def _device() -> str:
    from longstep.models.load import best_device

    return best_device()


def _shipped_problems(facts: dict[str, Any]) -> list[str]:
    from longstep.cli.chat import Chat

    found: list[str] = []
    for name in SHIPPED:
        try:
            with closing(Chat(name, thinking=True, max_tokens=64)) as talk:
                facts[name] = talk.ask("a3b+4?")
        except UserError as error:
            found.append(f"{name}: {error}")
    return found


def examine_reference(reference: str) -> dict[str, Any]:
    """A model's facts, abilities and faults; nothing is downloaded for it.

    Raises:
        UserError: there is no such model here.
    """
    from longstep.merge.folders import refuse_unmergeable
    from longstep.models.examine import examine_model
    from longstep.models.load import locate

    folder = locate(reference, offline=True)
    found = examine_model(folder, {"merge with another of its kind": refuse_unmergeable})
    return {"model": reference, "folder": str(folder), **asdict(found)}


def in_words(examined: dict[str, Any]) -> list[str]:
    """The same as lines for a person."""
    facts = [f"  {name:<14} {value}" for name, value in examined["facts"].items()]
    able = [
        f"  {verb}: {f'no: {why}' if why else 'yes'}" for verb, why in examined["abilities"].items()
    ]
    wrong = [f"  {number}. {each}" for number, each in enumerate(examined["wrong"], 1)]
    return [
        f"{examined['model']} ({examined['folder']})",
        "what it is",
        *facts,
        "what it can do here",
        *able,
        "what is wrong, and how to mend it" if wrong else "nothing is wrong with it",
        *wrong,
    ]
