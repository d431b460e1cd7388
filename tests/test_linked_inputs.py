"""Inputs as the hub's cache holds them: a folder of links into another one, read and hashed by content (fault 32)."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from longstep.artifacts import hash_input, write_manifest
from longstep.config import UserError
from longstep.models.load import shipped_folder
from short_recipe import Setting, attempt, contents
from zoo import build

TUNED = """
name: linked
stages:
  traces: {{kind: sample, by: {{kind: reference, model: "{model}"}}, data: "@problems", sampling: {{max_tokens: 24}}}}
  problems: {{kind: curate, sources: [{{kind: chain, count: 8, difficulty: [1, 1]}}]}}
  sft: {{kind: sft, model: "{model}", data: "@traces", steps: 1, batch: 4, max_length: 96, log_every: 1}}
  base: {{kind: checkpoint, path: "{model}"}}
  merged: {{kind: merge, method: {{kind: linear}}, parents: ["@base", "@sft"]}}
"""


def cached(source: Path, hub: Path) -> Path:
    """A snapshot as huggingface_hub lays it out: links into blobs/, named by hash."""
    snapshot, blobs = hub / "snapshots" / "1f2e", hub / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for number, file in enumerate(sorted(filter(Path.is_file, source.iterdir()))):
        shutil.copyfile(file, blobs / f"b{number}")
        (snapshot / file.name).symlink_to(f"../../blobs/b{number}")
    return snapshot


def run_in(folder: Path, model: Path) -> str:
    attempt(folder, Setting(text=TUNED.format(model=model)))
    return folder.with_name(f"{folder.name}.said").read_text("utf-8")


def test_32_a_hub_cache_folder_is_an_input_of_every_stage_and_equals_its_copy(tmp_path):
    source = build("qwen2", tmp_path / "plain")
    linked = cached(source, tmp_path / "hub")
    assert hash_input(linked) == hash_input(source)
    copy = shutil.copytree(source, tmp_path / "copy" / linked.name)  # cards name the folder
    assert run_in(tmp_path / "one", linked) == "done"
    assert run_in(tmp_path / "two", copy) == "done"
    made = contents(tmp_path / "one")
    assert made["base"] == contents(tmp_path / "two")["base"] and len(made) == 5
    assert not any(path.is_symlink() for path in (tmp_path / "one").rglob("*"))


def test_32_what_a_link_leads_to_is_what_counts(tmp_path):
    linked = cached(shipped_folder("longstep-tiny"), tmp_path / "hub")
    before = hash_input(linked)
    with (linked / "config.json").resolve().open("a") as file:
        file.write(" ")
    assert hash_input(linked) != before


def test_32_a_folder_reached_by_a_link_and_one_inside_of_it_count_too(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "x").write_text("1")
    (tmp_path / "whole" / "sub").mkdir(parents=True)
    (tmp_path / "whole" / "sub" / "x").write_text("1")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "sub").symlink_to(tmp_path / "far")
    (tmp_path / "name").symlink_to(tmp_path / "linked")
    assert hash_input(tmp_path / "name") == hash_input(tmp_path / "whole")


@pytest.mark.parametrize(("target", "words"), [("gone", "where nothing is"), (".", "holds it")])
def test_32_a_link_to_nothing_or_to_itself_is_refused_in_words(tmp_path, target, words):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").symlink_to(target)
    with pytest.raises(UserError, match=words):
        hash_input(tmp_path / "m")


def test_32_a_link_in_what_a_stage_wrote_is_still_refused(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "secret").write_text("x")
    (tmp_path / "out" / "x").symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match="symbolic link inside an artifact is refused"):
        write_manifest(tmp_path)
