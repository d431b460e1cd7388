"""The package as an index and a stranger see it: links, metadata, and a wheel that works outside of the repository."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

import longstep
from longstep.yaml12 import parse
from patience import PATIENCE

ROOT = Path(__file__).resolve().parents[1]
URL = "https://host.example/owner/longstep"
sys.path.insert(0, str(ROOT / "scripts"))

from package import absolute, build  # noqa: E402


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real wheel, built here and unpacked as ``pip install`` would."""
    folder = tmp_path_factory.mktemp("package")
    [built] = build(folder / "dist", URL, ["build_wheel"])
    assert built.name == f"longstep-{longstep.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(built) as content:
        content.extractall(folder / "site")
    return folder / "site"


def test_the_wheel_finds_its_recipes_and_models_outside_of_the_repository(
    wheel: Path, tmp_path: Path
):
    code = (
        "import json, longstep; from longstep.models.load import locate; from longstep.run.recipe import load, recipe_files;"
        "recipe, _ = load(recipe_files('light-r1', 'tiny'));"
        "print(json.dumps([longstep.__file__, longstep.__version__, recipe.order()[-1], str(locate('longstep-tiny'))]))"
    )
    environment = {**os.environ, "PYTHONPATH": str(wheel)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    where, version, last, model = json.loads(done.stdout)
    assert Path(where).is_relative_to(wheel) and Path(model).is_relative_to(wheel)
    assert (version, last) == (longstep.__version__, "scores")


def test_what_an_index_shows(wheel: Path):
    metadata = message_from_string(next(wheel.glob("*.dist-info/METADATA")).read_text("utf-8"))
    assert (
        metadata["Version"] == longstep.__version__
        and metadata["License-Expression"] == "Apache-2.0"
    )
    urls = dict(line.split(", ") for line in metadata.get_all("Project-URL", []))
    assert urls["Source"] == URL and set(urls) == {"Source", "Documentation", "Changelog", "Issues"}
    text = metadata.get_payload()
    assert isinstance(text, str)
    assert f"]({URL}/blob/v{longstep.__version__}/docs/results.md)" in text
    assert f"]({URL}/raw/v{longstep.__version__}/docs/report.png)" in text
    assert re.findall(r"\]\((?!https?://|#)", text) == []
    assert list(wheel.glob("*.dist-info/licenses/LICENSE"))


def test_links_of_the_readme_lead_somewhere():
    readme = (ROOT / "README.md").read_text("utf-8")
    links = re.findall(r"\]\(x/(?:blob|raw)/y/([^)#]+)", absolute(readme, "x", "y"))
    assert len(links) > 10 and [link for link in links if not (ROOT / link).exists()] == []


def test_one_version_everywhere():
    citation = parse((ROOT / "CITATION.cff").read_text("utf-8"))[0]
    assert citation["version"] == longstep.__version__
    assert re.search(
        rf"^## {re.escape(longstep.__version__)}\b",
        (ROOT / "CHANGELOG.md").read_text(),
        re.MULTILINE,
    )
