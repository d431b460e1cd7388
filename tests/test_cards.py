"""Cards never promise a licence that the base does not have (fault 45)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from longstep.context import Context
from longstep.models.load import shipped_folder
from longstep.models.origin import License, front_matter, origins
from longstep.progress import Progress
from longstep.stages import Checkpoint, Merge, Traces
from longstep.training.card import Made, write_card

LLAMA = "---\nlicense: other\nlicense_name: llama3.2\nlicense_link: https://example.org/l\nbase_model: some/older\n---\n# L\n"


def context(folder: Path, name: str, **inputs: Path) -> Context:
    given = {f"@{each}": path for each, path in inputs.items()}
    quiet = lambda label, total, unit: Progress(label, total, unit, lambda line: None)  # noqa: E731
    return Context(
        name, folder / name, 1, given, quiet, lambda what, facts: None,
        datasets=("open-r1/OpenR1-Math-220k", "mine.jsonl"),
    )  # fmt: skip


def base(folder: Path, name: str, card: str | None) -> Path:
    """The artifact of a checkpoint stage over a local model whose card is this text."""
    source = folder / "models" / name
    shutil.copytree(shipped_folder("longstep-tiny"), source)
    (source / "README.md").unlink()
    if card is not None:
        (source / "README.md").write_text(card, "utf-8")
    at = context(folder, f"checkpoint-{name}")
    Checkpoint(path=str(source)).run(at)
    return at.out


def made(folder: Path, name: str, **inputs: Path) -> dict[str, Any]:
    """The front matter, and under ``text`` the whole, of a card for what is made of these."""
    at = context(folder, name, **inputs)
    at.cost.tokens_trained, at.cost.tokens_probe = 1200, 7
    parents = tuple(at.inputs) * (1 if len(inputs) > 1 else 2)
    config = Merge(method={"kind": "linear"}, parents=parents)  # type: ignore[arg-type]
    write_card(at.fresh_out(), at, config, Made(list(at.inputs), {"stop rate": "1.000"}))
    return {**front_matter(at.out), "text": (at.out / "README.md").read_text("utf-8")}


def test_45_the_licence_is_the_bases_and_goes_from_stage_to_stage(tmp_path: Path) -> None:
    llama = base(tmp_path, "llama", LLAMA)
    first = made(tmp_path, "sft", base=llama)
    assert (first["license"], first["license_name"]) == ("other", "llama3.2")
    assert first["base_model"] == [
        "llama"
    ]  # a folder is no name of the hub, and says nothing of this disk
    assert str(tmp_path) not in first["text"] and "from `@base` (llama)." in first["text"]
    assert first["datasets"] == ["open-r1/OpenR1-Math-220k"]  # a file is no data set of the hub
    assert "* data: open-r1/OpenR1-Math-220k, mine.jsonl" in first["text"]
    assert "* tokens: 1,200 trained, 7 probe" in first["text"]
    second = made(tmp_path, "rl", sft=tmp_path / "sft" / "out")
    assert {k: v for k, v in second.items() if k != "text"} == {
        k: v for k, v in first.items() if k != "text"
    }


def test_45_a_published_model_is_its_own_base_whoever_made_it(tmp_path: Path) -> None:
    card = "---\nlicense: mit\ntags: [longstep]\nbase_model: [Qwen/Q]\n---\n"
    (tmp_path / "README.md").write_text(card, "utf-8")
    [hub], [local] = origins(tmp_path, "me/mine"), origins(tmp_path, str(tmp_path))
    assert (hub.model, local.model) == ("me/mine", "Qwen/Q")
    assert hub.license == local.license == License("mit")


def test_45_a_folder_that_no_repository_could_be_called_is_named_so_that_a_hub_takes_it(
    tmp_path: Path,
) -> None:
    [found] = origins(tmp_path, str(tmp_path / "my model (v2)"))
    assert found.model == "my-model-v2-"


@pytest.mark.parametrize(
    "card",
    [
        None,
        "# no front matter",
        "---\nlicense: [\n---\n",
        "---\nlicense: 7\n---\n",
        "---\nlicense: mit\n",
    ],
)
def test_45_a_licence_that_nobody_states_is_unknown(card: str | None, tmp_path: Path) -> None:
    found = made(tmp_path, "sft", base=base(tmp_path, "quiet", card))
    assert found["license"] == "unknown" and "apache" not in found["text"]
    assert "Licence: unknown (quiet: unknown). Find out" in found["text"]


def test_45_several_licences_are_all_named_and_none_is_chosen(tmp_path: Path) -> None:
    llama = base(tmp_path, "llama", LLAMA)
    mit = base(tmp_path, "mit", "---\nlicense: mit\n---\n")
    both = made(tmp_path, "merged", llama=llama, mit=mit)
    assert (both["license"], both["license_name"]) == ("other", "several")
    assert both["base_model"] == ["llama", "mit"]
    assert "llama: other (llama3.2, https://example.org/l); mit: mit" in both["text"]
    quiet = base(tmp_path, "quiet", None)
    assert made(tmp_path, "again", mit=mit, quiet=quiet)["license"] == "unknown"


def test_45_traces_of_the_hub_and_of_a_file_are_named() -> None:
    published = Traces(data="hub:open-r1/OpenR1-Math-220k,split=train")
    assert list(published.datasets()) == ["open-r1/OpenR1-Math-220k"]
    assert list(Traces(data="some/folder/mine.jsonl").datasets()) == ["mine.jsonl"]


def test_45_the_shipped_models_are_what_their_cards_say() -> None:
    [tiny] = origins(shipped_folder("longstep-tiny"), "longstep-tiny")
    assert (tiny.model, tiny.license) == ("longstep-tiny", License("apache-2.0"))
