"""What a stage is handed before anything runs: what the stages it reads will make, as far as that can be told.

Only what is certain is said: an artifact of which nothing is known refuses nothing, and the stage itself finds out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol, TypeVar

from longstep.artifacts import read_rows
from longstep.config import Strict, UserError, members
from longstep.context import Where
from longstep.models.load import hub_id
from longstep.models.lora import Lora
from longstep.types import Completion, Pair, Problem, SoftTarget
from longstep.wording import dotted

R = TypeVar("R")
#: Row files that stages read, and what a row of each is.
ROWS: Mapping[str, type] = {
    "problems.jsonl": Problem,
    "completions.jsonl": Completion,
    "pairs.jsonl": Pair,
    "soft_targets.jsonl": SoftTarget,
}
#: Rows of somebody else's file that are looked at; problems are read to the end.
LOOKED_AT = 1000
REMEDIES = {
    "pass_rate": "rate them before, by a stage of kind sample with rate: true",
    "difficulty": "their source tells none; take pass_rate, or a source that does",
    "solution": "take a source with worked solutions, or let a model draw",
    "verdict": "verify them before: a stage of kind sample does as it draws",
}


class Models(Protocol):
    """Answers for model folders, without their weights; each refusal is a ``UserError``. ``models.start`` does it."""

    def located(self, reference: str, revision: str | None) -> Path | None:
        """The folder of a model; ``None`` when only the hub knows."""
        ...

    def refuse(self, folder: Path, whole: bool) -> None:
        """Refuse a folder that no stage can use."""
        ...

    def refuse_tokenizer(self, folder: Path, template: Path | None, tagged: bool) -> None:
        """Refuse a tokenizer that cannot be loaded so."""
        ...

    def refuse_prompts(
        self, folder: Path, template: Path | None, tagged: bool, thoughts: bool
    ) -> None:
        """Refuse a tokenizer that renders no prompt, or no thoughts."""
        ...

    def refuse_adapters(self, folder: Path, lora: Any) -> None:
        """Refuse adapters for layers that the model lacks."""
        ...

    def refuse_saved(self, folder: Path, lora: Any) -> None:
        """Refuse to train modules beside adapters that the model lacks."""
        ...

    def context(self, folder: Path) -> int:
        """Tokens the model was built for."""
        ...


@dataclass(frozen=True)
class Start:
    """Where a model's weights come from, and what stages do to its tokenizer on the way; training leaves that alone.

    Attributes:
        folder: the Hugging Face folder that is there before the run.
        template: a chat template that replaces the folder's own.
        tagged: think tags are added.
        untaught: nothing was trained since they were.
        whole: its weights are there too; not of a model that is still to be fetched.
        made_by: the last stage that changes the weights; empty while they are the folder's.
    """

    folder: Path
    template: Path | None = None
    tagged: bool = False
    untaught: bool = False
    whole: bool = True
    made_by: str = ""

    def after(self, stage: str) -> Start:
        """The model that a stage makes of this one."""
        return replace(self, made_by=stage, untaught=False)

    def differs(self, other: Start) -> bool:
        """Whether this is certainly another model, by its weights."""
        return (self.folder, self.made_by) != (other.folder, other.made_by)

    @property
    def tokenizer(self) -> tuple[Path, Path | None, bool]:
        """What decides its tokenizer."""
        return self.folder, self.template, self.tagged


@dataclass(frozen=True)
class Foreseen:
    """What a stage will make.

    Attributes:
        start: of a model: where it comes from; ``None`` when nobody can tell.
        files: of rows: the names of its files, ``None`` when nobody can tell; of a model: what it has beside its own.
        lacks: fields that none of its rows will have: ``pass_rate``, ``difficulty``, ``solution``, ``verdict``.
        problems: a file of problems that is there already.
        expert: of soft targets and value heads: the model they are for.
        drawer: of answers: the model that draws them.
    """

    start: Start | None = None
    files: frozenset[str] | None = None
    lacks: frozenset[str] = frozenset()
    problems: Path | None = None
    expert: Start | None = None
    drawer: Start | None = None


@dataclass(frozen=True)
class Ahead:
    """What can be known before the run.

    Attributes:
        name: the stage's.
        inputs: ``@name`` to what that stage will make.
        models: answers for model folders; a run's asks the hub, a plan's does not.
        seen: what was read of rows that are there already.
    """

    name: str
    inputs: Mapping[str, Foreseen]
    models: Models
    seen: dict[str, Foreseen] = field(default_factory=dict)

    def start(self, reference: str, revision: str | None = None) -> Start | None:
        """Where a model comes from; ``None`` when only the hub or a stage could tell.

        Raises:
            UserError: there is no such model, or it is none that longstep takes.
        """
        if reference.startswith("@"):
            return self.inputs[reference].start
        folder = self.models.located(reference, revision)
        if folder is None:
            return None
        return Start(folder, whole=not hub_id(reference) or folder == Path(reference))

    def rows(self, reference: str) -> Foreseen:
        """What an artifact of rows will hold.

        Raises:
            UserError: it is there already, and a row in it cannot be read.
        """
        if reference.startswith("@"):
            return self.inputs[reference]
        if reference not in self.seen:
            self.seen[reference] = _there(Path(reference))
        return self.seen[reference]

    def keeps(self, reference: str, name: str) -> bool:
        """Whether a model will have a file that not every model has."""
        if reference.startswith("@"):
            return name in (self.inputs[reference].files or ())
        folder = self.models.located(reference, None)
        return folder is not None and (folder / name).is_file()

    # -- complaints, as ``key: sentence`` ---------------------------------------------------------

    def files(self, key: str, reference: str, *names: str) -> Iterator[str]:
        """Files that an artifact of rows will not hold, or whose rows are of another kind."""
        path = Path(reference)
        if not reference.startswith("@") and path.is_file():
            for said in _said(key, lambda: _look(path, ROWS.get(names[-1]))):
                yield f"{said}; {_maker(names[-1])}"
            return
        known = self.rows(reference).files
        for name in names:
            if known is not None and name not in known:
                have = ", ".join(sorted(each for each in known if each.endswith(".jsonl")))
                yield f"{key}: {reference} holds no {name} (it holds {have or 'no rows'}); {_maker(name)}"
                return
            elif not reference.startswith("@"):
                yield from _said(key, lambda name=name: _look(path / name, ROWS.get(name)))

    def fields(
        self, config: Strict, reference: str, given: frozenset[str] = frozenset()
    ) -> Iterator[str]:
        """What some part of a config wants of its problems and none of them will have.

        Args:
            config: of the stage.
            reference: its rows.
            given: fields that the stage itself provides.
        """
        lacks = self.rows(reference).lacks - given
        for path, each in members(config):
            for wanted in sorted(each.wants() & lacks):
                yield (
                    f"{dotted(path) or 'data'}: needs the {wanted} of problems, and those of {reference} have none; "
                    f"{REMEDIES[wanted]}"
                )

    def where(self, where: Where, reference: str) -> Iterator[str]:
        """A selection that leaves nothing of problems that are there already."""
        found = self.rows(reference)
        problems = found.problems
        if problems is None or where == Where() or where.wants() & found.lacks:
            return
        edge = where.edge(read_rows(problems, Problem))
        if not any(where.takes(each, edge) for each in read_rows(problems, Problem)):
            yield f"where: {where.told()} leaves none of the problems of {reference}; widen it"

    def model(
        self, key: str, reference: str, thoughts: bool = False, revision: str | None = None
    ) -> Iterator[str]:
        """What is wrong with a model and its tokenizer."""
        try:
            start = self.start(reference, revision)
        except UserError as error:
            yield f"{key}: {error}"
            return
        if start is not None:
            prompts = partial(self.models.refuse_prompts, *start.tokenizer, thoughts)
            yield from self.whole(key, start) or _said(key, prompts)

    def whole(self, key: str, start: Start) -> list[str]:
        """What is wrong with the folder that a model starts at."""
        return [*_said(key, lambda: self.models.refuse(start.folder, start.whole))]

    def loads(self, key: str, start: Start) -> Iterator[str]:
        """A tokenizer that cannot be loaded, or not be given a template or tags."""
        yield from _said(key, partial(self.models.refuse_tokenizer, *start.tokenizer))

    def adapters(self, key: str, reference: str, lora: Lora) -> Iterator[str]:
        """Adapters for layers that a model lacks, or for one with new tokens that nothing would train."""
        start = self.known(reference)
        if start is None or self.whole(key, start):
            return
        yield from _said(f"{key}.targets", lambda: self.models.refuse_adapters(start.folder, lora))
        yield from _said(
            f"{key}.modules_to_save", lambda: self.models.refuse_saved(start.folder, lora)
        )
        if start.untaught and lora.new_tokens == "refuse" and not lora.modules_to_save:
            yield (
                f"{key}.new_tokens: the think tags of {reference} are new, and adapters never move their rows; "
                "train all weights first (leave lora out), name the embedding in modules_to_save, or write "
                "new_tokens: keep"
            )

    def look(self, key: str, path: Path, cls: type) -> Iterator[str]:
        """A file whose first rows are not of this kind."""
        if path.is_file():
            yield from _said(key, lambda: _look(path, cls))

    def together(
        self, key: str, first: str, other: str, compare: Callable[[Path, Path], None]
    ) -> Iterator[str]:
        """Two models that cannot be used together; those whose tokenizers change on the way are compared later."""
        one, two = self.known(first), self.known(other)
        if one is not None and two is not None and not one.tagged and not two.tagged:
            yield from _said(key, lambda: compare(one.folder, two.folder))

    def room(self, key: str, reference: str, tokens: int) -> Iterator[str]:
        """Answers that leave no room for a prompt in a model's context."""
        start = self.known(reference)
        if start is None or self.whole(key, start):
            return
        try:
            context = self.models.context(start.folder)
        except UserError as error:
            yield f"{key}: {error}"
            return
        if tokens >= context:
            yield (
                f"{key}: answers of {tokens} tokens leave no room for a prompt in the context of {context} tokens "
                f"that {reference} has; set fewer"
            )

    def known(self, reference: str, revision: str | None = None) -> Start | None:
        """A model's start, or ``None`` where the complaint about the reference itself says enough."""
        try:
            return self.start(reference, revision)
        except UserError:
            return None


def _there(path: Path) -> Foreseen:
    if not path.is_dir():
        return Foreseen()  # a file stands for whichever is asked for
    files = frozenset(each.name for each in path.iterdir())
    problems = path / "problems.jsonl"
    known = problems if problems.is_file() else None
    lacks = frozenset[str]() if known is None else _lacking(known)
    if _unverified(path / "completions.jsonl"):
        lacks |= {"verdict"}
    return Foreseen(files=files, lacks=lacks, problems=known)


def _lacking(problems: Path) -> frozenset[str]:
    """Fields that no problem of a file has; rows that cannot be read are another complaint."""
    lacks = {"pass_rate", "difficulty", "solution"}
    try:
        for row in read_rows(problems, Problem):
            if not lacks:
                break
            lacks -= {
                name
                for name, value in (
                    ("pass_rate", row.pass_rate),
                    ("difficulty", row.difficulty),
                    ("solution", row.solution),
                )
                if value is not None
            }
    except UserError:
        return frozenset()
    return frozenset(lacks)


def _unverified(completions: Path) -> bool:
    """Whether no completion of a file has a verdict; read no further than to the first that has."""
    if not completions.is_file():
        return False
    try:
        return all(row.verdict is None for row in read_rows(completions, Completion))
    except UserError:
        return False


def _look(path: Path, cls: type[R] | None) -> None:
    if cls is not None:
        rows = read_rows(path, cls)
        first = next(rows, None)
        if first is None:
            raise UserError(f"{path}: holds no row; expected {cls.__name__} rows")
        for _ in rows if cls is Problem else islice(rows, LOOKED_AT):
            pass


def _maker(file: str) -> str:
    makers = {
        "problems.jsonl": "a stage of kind curate makes problems",
        "completions.jsonl": "a stage of kind sample draws completions, one of kind traces reads published ones",
        "pairs.jsonl": "a stage of kind pairs reads published ones",
    }
    return makers.get(file, "a stage of kind contrast or lrsamples makes soft targets")


def _said(key: str, work: Callable[[], object]) -> Iterator[str]:
    try:
        work()
    except UserError as error:
        yield f"{key}: {error}"
