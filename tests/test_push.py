"""``push``: a finished run's model goes to a hub, once, whole or not at all; a hub of the test's own takes it."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants

from longstep.artifacts import read_json, read_manifest, write_json
from longstep.cli.running import push_after
from longstep.config import Located, UserError, validate
from longstep.models.origin import front_matter
from longstep.run.early import refuse_early
from longstep.run.push import PUSHED, Push, final_stage, push_run
from longstep.run.recipe import Recipe
from longstep.run.runner import execute
from longstep.yaml12 import parse
from short_recipe import Setting, contents, run_of

RECIPE = """
name: pushed
stages:
  base: {kind: checkpoint, path: longstep-tiny}
  problems: {kind: curate, sources: [{kind: chain, count: 8, difficulty: [1, 1]}]}
  traces: {kind: sample, by: {kind: reference, model: "@base"}, data: "@problems", sampling: {samples: 1, max_tokens: 60}}
  sft: {kind: sft, model: "@base", data: "@traces", steps: 1, batch: 4, max_length: 96}
"""
TOKEN = "hf_test"


@dataclass
class Hub:
    """What a hub keeps and was asked; ``broken`` names the request that it refuses, ``role`` what the token may."""

    url: str = ""
    files: dict[str, dict[str, bytes]] = field(default_factory=dict)
    private: dict[str, bool] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    broken: str = ""
    role: str = "write"

    def answer(self, verb: str, path: str, body: bytes) -> tuple[int, Any]:
        """Status and JSON for one request, of those that huggingface_hub makes to upload a folder."""
        name = path.split("/", 3)[-1].split("/preupload")[0].split("/commit")[0]
        match verb, path:
            case "GET", "/api/whoami-v2":
                who = {"name": "me", "orgs": [{"name": "Lab"}]}
                return 200, {**who, "auth": {"accessToken": {"role": self.role}}}
            case "POST", "/api/repos/create":
                given = json.loads(body)
                name = f"{given['organization']}/{given['name']}"
                self.files[name], self.private[name] = {}, given["visibility"] == "private"
                return 200, {"url": f"{self.url}/{name}"}
            case "POST", "/api/validate-yaml":
                return 200, {"errors": [], "warnings": []}
            case "GET", _ if path.startswith("/api/models/"):
                if name not in self.files:
                    return 404, {"error": "Repository not found"}
                siblings = [{"rfilename": each} for each in self.files[name]]
                return 200, {"id": name, "private": self.private[name], "siblings": siblings}
            case "POST", _ if "/preupload/" in path:
                sent = [each["path"] for each in json.loads(body)["files"]]
                mode = {True: "lfs", False: "regular"}
                rows = [
                    {"path": each, "uploadMode": mode[each.endswith(".safetensors")]}
                    for each in sent
                ]
                return 200, {"files": [{**each, "shouldIgnore": False} for each in rows]}
            case "POST", _ if path.endswith("/info/lfs/objects/batch"):
                objects = [self._place(each) for each in json.loads(body)["objects"]]
                return 200, {"transfer": "basic", "objects": objects}
            case "PUT", _:
                self.large[path.rpartition("/")[2]] = body
                return 200, {}
            case "POST", _ if "/commit/" in path:
                self._commit(name, [json.loads(line) for line in body.splitlines()])
                return 200, {"commitUrl": f"{self.url}/{name}/commit/1", "commitOid": "1" * 40}
        return 500, {"error": f"the test's hub does not know {verb} {path}"}

    def _place(self, given: dict[str, Any]) -> dict[str, Any]:
        if given["oid"] in self.large:
            return given
        return {**given, "actions": {"upload": {"href": f"{self.url}/large/{given['oid']}"}}}

    def _commit(self, name: str, lines: list[dict[str, Any]]) -> None:
        for line in lines[1:]:
            value = line["value"]
            match line["key"]:
                case "file":
                    self.files[name][value["path"]] = base64.b64decode(value["content"])
                case "lfsFile":
                    self.files[name][value["path"]] = self.large[value["oid"]]
                case "deletedFile":
                    del self.files[name][value["path"]]


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = self.path.partition("?")[0]
        self.hub.asked.append(f"{self.command} {path}")
        if self.hub.broken and self.hub.broken in self.hub.asked[-1]:
            status, said = 403, {"error": "over your quota"}
        elif self.headers.get("Authorization") not in (f"Bearer {TOKEN}", None):
            status, said = 401, {"error": "Invalid credentials"}
        else:
            status, said = self.hub.answer(self.command, path, body)
        data = json.dumps(said).encode()
        self.send_response(status)
        if status == 404:
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = _serve

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    made = Hub()
    handler = type("Handler", (_Handler,), {"hub": made})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", made.url)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    yield made
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    execute(run_of(folder, Setting(text=RECIPE)))
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def to(name: str = "me/mine", **more: Any) -> Push:
    return validate(Push, Located({"to": name, **more}))


def pushed(folder: Path, push: Push | None) -> list[str]:
    said: list[str] = []
    push_run(folder, push, said.append)
    return said


def test_a_model_goes_up_whole_and_private_with_its_scores_and_ledger(hub: Hub, run: Path) -> None:
    [said] = pushed(run, to())
    out, files = run / "sft" / "out", hub.files["me/mine"]
    assert set(files) == {path.name for path in out.iterdir()} and "model.safetensors" in files
    there = {name: sha256(data).hexdigest() for name, data in files.items() if name != "README.md"}
    manifest = read_manifest(run / "sft")
    assert manifest is not None
    assert there == {n: e["sha256"] for n, e in manifest["files"].items() if n != "README.md"}
    assert hub.private == {"me/mine": True} and f"{hub.url}/me/mine" in said
    (run / "README.md").write_bytes(files["README.md"])
    front = front_matter(run)
    assert (front["license"], front["base_model"]) == ("apache-2.0", ["longstep-tiny"])
    assert "## Ledger" in files["README.md"].decode() and "| `sft` |" in files["README.md"].decode()
    assert read_json(run / PUSHED)["content"] == manifest["content"]
    assert TOKEN not in "".join(p.read_text("utf-8", "replace") for p in run.rglob("*.json*"))


def test_what_is_there_is_not_pushed_twice_and_a_changed_model_is(hub: Hub, run: Path) -> None:
    pushed(run, to())
    before = len(hub.asked)
    [said] = pushed(run, to())
    assert "has this model already" in said and len(hub.asked) == before
    # Another model under the same name: what the hub would load beside its weights goes with the same commit.
    hub.files["me/mine"].update({"model-00001-of-00002.safetensors": b"old", "notes.md": b"mine"})
    write_json(run / PUSHED, {**read_json(run / PUSHED), "content": "another"})
    pushed(run, to())
    names = set(hub.files["me/mine"])
    assert "model-00001-of-00002.safetensors" not in names and "notes.md" in names
    # Under another name it is not there yet.
    pushed(run, to("Lab/mine", private=False))
    assert hub.private["Lab/mine"] is False


@pytest.mark.parametrize("step", ["PUT ", "/commit/", "/preupload/", "/api/repos/create"])
def test_a_hub_that_fails_midway_leaves_the_run_finished_and_the_next_push_goes_through(
    step: str, hub: Hub, run: Path
) -> None:
    before, hub.broken = contents(run), step
    with pytest.raises(UserError) as refused:
        pushed(run, to())
    said = str(refused.value)
    assert said.startswith("push: me/mine was not uploaded (") and "403" in said
    assert said.endswith(f"type longstep push {run} me/mine to push again") and "\n" not in said
    assert contents(run) == before and not (run / PUSHED).exists()
    assert hub.files.get("me/mine", {}) == {}
    hub.broken = ""
    pushed(run, to())
    assert "model.safetensors" in hub.files["me/mine"] and contents(run) == before


def test_the_same_command_pushes_a_run_that_was_finished_before(hub: Hub, run: Path) -> None:
    asking = run_of(run, Setting(("push=me/mine",), text=RECIPE))
    assert execute(asking) == []
    push_after(asking)
    assert "model.safetensors" in hub.files["me/mine"]
    # The record of the run says it now, so the verb needs no name.
    before = len(hub.asked)
    assert "already" in pushed(run, None)[0] and len(hub.asked) == before


def test_a_run_that_was_not_asked_to_pushes_nothing(hub: Hub, run: Path) -> None:
    push_after(run_of(run, Setting(text=RECIPE)))
    assert hub.asked == []
    with pytest.raises(UserError, match="names no place; type longstep push"):
        pushed(run, None)


def test_a_repository_that_everybody_sees_takes_nothing_private(hub: Hub, run: Path) -> None:
    hub.files["me/mine"], hub.private["me/mine"] = {}, False
    with pytest.raises(UserError, match=r"everybody sees it; say so with private: false"):
        pushed(run, to())
    assert hub.files["me/mine"] == {}
    pushed(run, to(private=False))
    assert "config.json" in hub.files["me/mine"]


def test_a_changed_file_is_not_pushed(hub: Hub, run: Path) -> None:
    (run / "sft" / "out" / "config.json").write_text("{}", "utf-8")
    with pytest.raises(UserError, match="changed after the stage finished"):
        pushed(run, to())
    assert hub.asked == []


@pytest.mark.parametrize("what", ["token", "offline", "wrong token", "owner", "reads", "nobody"])
def test_what_cannot_be_pushed_is_refused_before_anything_is_spent(
    what: str, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sentence = {
        "token": "no token of the hub is here; type hf auth login",
        "offline": "HF_HUB_OFFLINE is set",
        "wrong token": "does not say whose token this is",
        "owner": "'you' is neither you nor an organisation of yours",
        "reads": "the token may only read",
        "nobody": "does not say whose token this is",
    }[what]
    match what:
        case "token":
            monkeypatch.delenv("HF_TOKEN")
            monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
            monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
        case "offline":
            monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        case "wrong token":
            monkeypatch.setenv("HF_TOKEN", "hf_other")
        case "reads":
            hub.role = "read"
        case "nobody":
            monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    name = "you/mine" if what == "owner" else "me/mine"
    task = run_of(tmp_path / "run", Setting((f"push={name}",), text=RECIPE))
    with pytest.raises(UserError) as refused:
        execute(task)
    said = str(refused.value)
    assert sentence in said and "\n" not in said and said.startswith("push: ")
    assert f"type longstep push RUN {name} when the run is finished" in said
    assert not (tmp_path / "run" / "base").exists() and hub.files == {}
    # Another machine may push, so a plan says nothing; nor does a stage that comes before.
    refuse_early(task.recipe, task.located, ["sft"])
    refuse_early(task.recipe, task.located, ["base"], here=True)


@pytest.mark.parametrize(
    "name", ["mine", "me/", "/mine", "me/a/b", "https://hf.co/me/a", "me/..", "me/a.", "", "me /a"]
)
def test_a_name_that_the_hub_cannot_have_is_refused_with_its_line(name: str) -> None:
    located = Located(parse(RECIPE)[0])
    located.data["push"] = name
    with pytest.raises(UserError, match=r"push\.to: expected OWNER/NAME as on the hub"):
        validate(Recipe, located)


def recipe(stages: str) -> Recipe:
    return validate(Recipe, Located(parse(f"name: r\nstages:\n{stages}")[0]))


def test_the_model_that_is_pushed_is_the_one_that_no_other_is_made_from() -> None:
    with pytest.raises(UserError, match="no stage of this recipe trains or merges a model"):
        final_stage(
            recipe("  base: {kind: checkpoint, path: longstep-tiny, think_tokens: add}"), None
        )
    chain = """
  base: {kind: checkpoint, path: longstep-tiny}
  a: {kind: sft, model: "@base", data: x.jsonl, steps: 1}
  b: {kind: sft, model: "@a", data: x.jsonl, steps: 1}
"""
    assert final_stage(recipe(chain), None) == "b" and final_stage(recipe(chain), "a") == "a"
    arms = chain + '  c: {kind: sft, model: "@a", data: x.jsonl, steps: 1}\n'
    with pytest.raises(UserError, match=r"ends with several models; name one of b, c: push=\{to"):
        final_stage(recipe(arms), None)
    with pytest.raises(UserError, match=r"'bb' is no stage .*did you mean 'b'\?"):
        final_stage(recipe(chain), "bb")
    with pytest.raises(UserError, match="'base' is no stage that trains"):
        final_stage(recipe(chain), "base")


def test_the_verb_pushes_as_a_person_would_type_it(hub: Hub, run: Path) -> None:
    env = {**os.environ, "HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}
    words = [sys.executable, "-m", "longstep", "push", str(run), "Lab/mine", "--public"]
    done = subprocess.run(words, capture_output=True, text=True, env={**env, "HF_HUB_OFFLINE": "0"})
    assert done.returncode == 0, done.stderr
    assert f"push: sft is {hub.url}/Lab/mine" in done.stdout and hub.private == {"Lab/mine": False}
    words[-2:] = ["nowhere"]
    done = subprocess.run(words, capture_output=True, text=True, env=env)
    assert done.returncode == 2 and "expected OWNER/NAME as on the hub" in done.stderr
