"""Two members of the zoo through every verb; ``make zoo`` takes all of them and writes docs/models.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from longstep.models.examine import examine_model
from zoo_journey import MEMBERS, STEPS, VARIANTS, journey, promised

PAGE = Path(__file__).resolve().parents[1] / "docs" / "models.md"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["qwen2", "qwen3-moe"])
def test_a_model_is_asked_tuned_killed_resumed_merged_and_scored(tmp_path, name):
    member = MEMBERS[name](tmp_path / name)
    assert set(promised(examine_model(member)).values()) == {True}
    assert journey(member, tmp_path / "journey") == dict.fromkeys(STEPS, "")


@pytest.mark.parametrize("name", VARIANTS)
def test_the_doctor_reads_what_published_folders_vary(tmp_path, name):
    found = examine_model(MEMBERS[name](tmp_path / "m"))
    lacking = {
        "no chat template": "chat_template: FILE",
        "no think tags": "think_tokens: add",
    }
    if name in lacking:
        assert any(lacking[name] in line for line in found.wrong)
    else:
        assert found.wrong == []


def test_the_page_names_every_member():
    rows = [
        line.split("|")[1].strip()
        for line in PAGE.read_text("utf-8").splitlines()
        if line.startswith("| ")
    ]
    assert rows == ["model", *MEMBERS]
