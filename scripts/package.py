"""Build the source distribution and the wheel for an index such as PyPI.

``python scripts/package.py OUT --url https://HOST/OWNER/longstep``: an index shows the README without the files beside
it, so its links are made absolute below that address, at the tag of the version; the address goes into the metadata
too. Nothing here is uploaded.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import longstep

ROOT = Path(__file__).resolve().parents[1]
#: What a package is built from.
PARTS = (
    "src", "recipes", "docs", "examples", "pyproject.toml", "README.md", "LICENSE", "MANIFEST.in",
    "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md",
)  # fmt: skip
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?://|#|mailto:)([^)\s]+)\)")


def absolute(readme: str, url: str, tag: str) -> str:
    """A README whose relative links lead below a repository's address; pictures lead to the file itself."""
    return _LINK.sub(
        lambda link: f"{link[1]}[{link[2]}]({url}/{'raw' if link[1] else 'blob'}/{tag}/{link[3]})",
        readme,
    )


def with_urls(pyproject: str, url: str, tag: str) -> str:
    """The project's metadata with its addresses."""
    urls = (
        f'[project.urls]\nSource = "{url}"\nDocumentation = "{url}/tree/{tag}/docs"\n'
        f'Changelog = "{url}/blob/{tag}/CHANGELOG.md"\nIssues = "{url}/issues"\n\n'
    )
    return pyproject.replace("[project.scripts]", f"{urls}[project.scripts]")


def build(out: Path, url: str, hooks: Sequence[str] = ("build_sdist", "build_wheel")) -> list[Path]:
    """Build in a copy, so that nothing is left in the working tree; returns the files."""
    tag = f"v{longstep.__version__}"
    out.mkdir(parents=True, exist_ok=True)
    before = set(out.iterdir())
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "longstep"
        copy.mkdir()
        for part in PARTS:
            if (ROOT / part).is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
                shutil.copytree(ROOT / part, copy / part, symlinks=True, ignore=ignored)
            else:
                shutil.copyfile(ROOT / part, copy / part)
        for name, change in (("README.md", absolute), ("pyproject.toml", with_urls)):
            text = (copy / name).read_text("utf-8")
            (copy / name).write_text(change(text, url, tag), "utf-8")
        for hook in hooks:
            code = f"import sys, setuptools.build_meta as backend; backend.{hook}(sys.argv[1])"
            words = [sys.executable, "-c", code, str(out.resolve())]
            done = subprocess.run(words, cwd=copy, capture_output=True, text=True)
            if done.returncode:
                raise SystemExit(done.stderr)
    return sorted(set(out.iterdir()) - before)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--url", required=True)
    given = parser.parse_args()
    for path in build(given.out, given.url.rstrip("/")):
        print(path)
