"""What a model comes from and under which licence, as far as its folder says so: for cards of what is made of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from longstep.artifacts import read_json, write_json
from longstep.models.load import SHIPPED, hub_id
from longstep.yaml12 import YamlError, parse

#: Beside the weights of a ``checkpoint`` stage: a folder alone does not say what it is called.
ORIGIN = "origin.json"
CARD = "README.md"
#: The tag in the card of every model that a stage made.
TAG = "longstep"
UNKNOWN = "unknown"
_FENCE = "---"
#: What no repository has in its name; a hub refuses a card whose ``base_model`` has it.
_NO_NAME = re.compile(r"[^\w.-]+", re.ASCII)
_LONGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class License:
    """A licence as a card of the hub spells it: ``other`` has a name and a link."""

    id: str = UNKNOWN
    name: str = ""
    link: str = ""

    @property
    def told(self) -> str:
        """In a sentence."""
        more = ", ".join(filter(None, (self.name, self.link)))
        return f"{self.id} ({more})" if more else self.id


@dataclass(frozen=True, slots=True)
class Ancestor:
    """One published model, or a folder, that a model goes back to."""

    model: str
    license: License


def write_origin(out: Path, source: Path, reference: str) -> None:
    """Say beside the weights what a checkpoint is; ``source`` is where they were, with their card."""
    write_json(out / ORIGIN, [asdict(each) for each in origins(source, reference)])


def origins(folder: Path, reference: str) -> tuple[Ancestor, ...]:
    """What a model goes back to: itself where it has a name or no stage made it, else what its card names.

    Args:
        folder: the model.
        reference: what the recipe calls it: a shipped name, a folder, a hub id or ``@stage``.
    """
    if (folder / ORIGIN).is_file():
        return tuple(
            Ancestor(each["model"], License(**each["license"]))
            for each in read_json(folder / ORIGIN)
        )
    front = front_matter(folder)
    licence = _license(front)
    made_from = _words(front.get("base_model"))
    if TAG in _words(front.get("tags")) and made_from and not published(reference):
        return tuple(Ancestor(name, licence) for name in made_from)
    return (Ancestor(_called(reference), licence),)


def together(found: Iterable[Ancestor]) -> License:
    """The licence of what is made of several models: theirs where they agree, else ``unknown`` or ``other``."""
    licences = {each.license for each in found}
    if len(licences) == 1:
        return licences.pop()
    return License() if not licences or License() in licences else License("other", "several")


def front_matter(folder: Path) -> Mapping[str, Any]:
    """The YAML at the top of a model's card; empty where there is none that can be read."""
    path = folder / CARD
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        text = file.read(_LONGEST).decode("utf-8", errors="replace").replace("\r\n", "\n")
    fence, _, rest = text.partition("\n")
    inner, end, _ = rest.partition(f"\n{_FENCE}")
    if fence.strip() != _FENCE or not end:
        return {}
    try:
        found, _ = parse(inner)
    except YamlError:
        return {}
    return found if isinstance(found, dict) else {}


def _license(front: Mapping[str, Any]) -> License:
    said = [" ".join(_words(front.get(key))) for key in ("license", "license_name", "license_link")]
    return License(said[0], said[1], said[2]) if said[0] else License()


def _words(value: object) -> list[str]:
    """A text, or the texts of a list."""
    values = value if isinstance(value, list) else [value]
    return [each.strip() for each in values if isinstance(each, str) and each.strip()]


def _called(reference: str) -> str:
    """A name that says nothing of the disk of whoever made it, and that a hub takes in a card."""
    return reference if published(reference) else _NO_NAME.sub("-", Path(reference).resolve().name)


def published(reference: str) -> bool:
    """Whether others find it by this name: a shipped model, or something of the hub."""
    return reference in SHIPPED or (hub_id(reference) and not Path(reference).exists())
