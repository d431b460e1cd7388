"""``push: OWNER/NAME``: the model that a recipe ends with goes to the Hugging Face hub, when the run is finished.

Never by default. What goes up is the artifact as its manifest knows it, with the card of ``longstep card``, in one
commit: a hub that fails on the way has the model whole or not at all, and the run stays finished either way.
"""

from __future__ import annotations

import fnmatch
import re
import shlex
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from longstep.artifacts import files_under, read_json, verify_manifest, write_json
from longstep.config import (
    Located,
    Strict,
    UserError,
    field_validator,
    model_validator,
    nearest,
    validate,
)
from longstep.models.adapted import ADAPTED, NAMED
from longstep.models.origin import CARD
from longstep.models.pointer import BASE

if TYPE_CHECKING:
    from longstep.run.recipe import Recipe

#: In the run folder: what was pushed last, and where to.
PUSHED = "pushed.json"
#: What a hub has under other names would be loaded beside the new weights, or instead of them.
_LOADED = ("*.safetensors", "*.safetensors.index.json", "*adapter_config.json")
#: As the hub names repositories.
_NAME = re.compile(
    r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9_])?/[A-Za-z0-9_]([\w.-]*[A-Za-z0-9_])?", re.ASCII
)
_LONGEST = 96


class Push(Strict):
    """Where the model that a recipe ends with is uploaded to, when the run is finished.

    Attributes:
        to: ``OWNER/NAME`` on the hub; ``push: OWNER/NAME`` alone says this and no more.
        stage: whose model; needed where a recipe ends with several.
        private: seen by its owner alone; ``false`` shows it to everybody.
    """

    to: str
    stage: str | None = None
    private: bool = True

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, given: Any) -> Any:
        return {"to": given} if isinstance(given, str) else given

    @field_validator("to")
    @classmethod
    def _owner_and_name(cls, to: str) -> str:
        if not _NAME.fullmatch(to) or len(to) > _LONGEST or ".." in to or "--" in to:
            raise ValueError(
                f"expected OWNER/NAME as on the hub, such as me/my-reasoner, got {to!r}"
            )
        return to

    def command(self, folder: Path) -> str:
        """What pushes a run's model there."""
        stage = [] if self.stage is None else ["--stage", self.stage]
        public = [] if self.private else ["--public"]
        return shlex.join(["longstep", "push", str(folder), self.to, *stage, *public])


def final_stage(recipe: Recipe, wanted: str | None) -> str:
    """The stage whose model goes to the hub: the one named, or the only one that no other model is made from.

    Raises:
        UserError: there is none, there are several, or the one named only brings the model of somebody else.
    """
    stages = recipe.stages
    made = [name for name, each in stages.items() if each.produces == "model" and not each.brings]
    if not made:
        raise UserError("push: no stage of this recipe trains or merges a model; leave it out")
    if wanted is not None and wanted not in made:
        close = nearest(wanted, made)
        hint = f"; did you mean {close!r}?" if close else ""
        raise UserError(
            f"push.stage: {wanted!r} is no stage that trains or merges a model{hint} (there are: {', '.join(made)})"
        )
    used = {each for name in made for each in recipe.needed_for([name]) if each != name}
    last = [wanted] if wanted is not None else [name for name in made if name not in used]
    if len(last) > 1:
        raise UserError(
            f"push: the recipe ends with several models; name one of {', '.join(last)}: "
            f"push={{to: OWNER/NAME, stage: {last[0]}}}"
        )
    return last[0]


def hub_refusals(push: Push) -> Iterator[str]:
    """Why the hub would not take a model of this name from here; asked before anything is spent and at the end."""
    from httpx2 import HTTPError
    from huggingface_hub import HfApi, constants, get_token

    if constants.is_offline_mode():
        yield "push: HF_HUB_OFFLINE is set, so nothing can be uploaded; unset it"
        return
    if get_token() is None:
        yield "push: no token of the hub is here; type hf auth login, or set HF_TOKEN"
        return
    try:
        who = HfApi().whoami()
    except (HTTPError, OSError, ValueError) as error:
        yield f"push: {constants.ENDPOINT} does not say whose token this is: {_told(error)}"
        return
    names = [who["name"], *(each["name"] for each in who.get("orgs", []))]
    owner = push.to.partition("/")[0]
    if owner.lower() not in map(str.lower, names):
        yield (
            f"push: {owner!r} is neither you nor an organisation of yours on {constants.ENDPOINT}; expected one of "
            f"{', '.join(names)} before the /"
        )
    if who.get("auth", {}).get("accessToken", {}).get("role") == "read":
        yield "push: the token may only read; make one that may write"


def push_run(folder: Path, push: Push | None, say: Callable[[str], None]) -> None:
    """Upload the model of a finished run, unless this very model is there already.

    Args:
        folder: of the run.
        push: where to; ``None`` takes what the run's recipe says.
        say: takes one line for each thing that happened.

    Raises:
        UserError: nothing says where to, the stage is unfinished or damaged, or the hub does not take it.
    """
    from longstep.run.card import whole_card
    from longstep.run.recipe import Recipe

    if not (folder / "run.json").is_file():
        raise UserError(f"{folder}: not a run folder (no run.json)")
    recipe = validate(Recipe, Located(read_json(folder / "run.json")["recipe"]))
    push = push or recipe.push
    if push is None:
        raise UserError(
            f"{folder}: its recipe names no place; type longstep push {folder} OWNER/NAME"
        )
    stage = final_stage(recipe, push.stage)
    content = verify_manifest(folder / stage)["content"]
    known = {"to": push.to, "stage": stage, "content": content}
    if (record := folder / PUSHED).is_file():
        before = read_json(record)
        if all(before.get(key) == value for key, value in known.items()):
            say(f"push: {before['url']} has this model already; delete {record} to push it again")
            return
    files = _files(folder / stage / "out")
    for refusal in hub_refusals(push):
        raise UserError(refusal)
    files[CARD] = whole_card(folder, stage).encode()
    again = f"the run is finished and whole; type {push.command(folder)} to push again"
    done = _upload(push, files, f"Stage {stage} of {recipe.name}", again)
    write_json(record, {**known, **done})
    say(f"push: {stage} is {done['url']}, {len(files)} files")


def _files(out: Path) -> dict[str, Path | bytes]:
    """What goes up, by name.

    Raises:
        UserError: an adapter alone, whose base nobody else has.
    """
    files: dict[str, Path | bytes] = {
        path.relative_to(out).as_posix(): path for path in files_under(out)
    }
    alone = files.pop(BASE, None)  # says something of this disk
    if alone is not None and read_json(out / ADAPTED)[NAMED] is None:
        raise UserError(
            f"push: {out} is an adapter alone (lora.keep: only), and its base is on this disk, so nobody else could "
            "load it; train it with keep: beside"
        )
    return files


def _upload(
    push: Push, files: Mapping[str, Path | bytes], message: str, again: str
) -> dict[str, str]:
    """Send files as one commit; gives the address and the commit.

    Raises:
        UserError: the hub did not take it; it ends with ``again``.
    """
    from httpx2 import HTTPError
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi
    from huggingface_hub.errors import RepositoryNotFoundError

    api = HfApi()
    try:
        try:
            found = api.model_info(push.to)
        except RepositoryNotFoundError:
            api.create_repo(push.to, private=push.private)
            found = api.model_info(push.to)
        if push.private and found.private is False:
            raise UserError(
                f"push: {push.to} is there already and everybody sees it; say so with private: false (--public), or "
                "take another name"
            )
        stale = [
            each.rfilename
            for each in found.siblings or ()
            if each.rfilename not in files
            and any(fnmatch.fnmatch(each.rfilename, p) for p in _LOADED)
        ]
        operations = [
            *(CommitOperationDelete(name) for name in stale),
            *(CommitOperationAdd(name, given) for name, given in sorted(files.items())),
        ]
        made = api.create_commit(push.to, operations, commit_message=message)
    except (HTTPError, OSError, RuntimeError, ValueError, KeyError) as error:
        raise UserError(f"push: {push.to} was not uploaded ({_told(error)}); {again}") from None
    return {"url": f"{api.endpoint}/{push.to}", "commit": made.oid}


def _told(error: BaseException) -> str:
    """What went wrong, in one line; an upload that failed in a thread keeps its reason behind it."""
    causes = [error, error.__cause__ if isinstance(error, RuntimeError) else None]
    told = [(each, " ".join(str(each).split()).rstrip(".")) for each in causes if each is not None]
    return ": ".join(said or type(each).__name__ for each, said in told)
