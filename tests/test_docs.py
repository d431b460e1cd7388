"""Links of all pages lead somewhere, and so do the places that error messages name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from longstep.yaml12 import parse

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(
    path
    for folder in (".", "docs", "recipes/*", "tests/labels")
    for path in ROOT.glob(f"{folder}/*.md")
)
_LINK = re.compile(r"\]\((?!https?://|mailto:)([^)\s]+)\)")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Fragments of a page's headings, as GitHub and mkdocs make them."""
    headings = re.findall(r"^#+ (.+)$", _FENCED.sub("", page.read_text("utf-8")), re.MULTILINE)
    bare = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings]
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in bare}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in _LINK.findall(_FENCED.sub("", page.read_text("utf-8"))):
        file, _, fragment = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        if page.parent.name == "docs" and target.parent != page.parent:
            broken.append(f"{link}: is outside of the site")
        if not target.exists() or (fragment and fragment not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_error_messages_lead_to_headings() -> None:
    named = {
        anchor
        for path in (ROOT / "src").rglob("*.py")
        for anchor in re.findall(r"\bpage\(['\"]([\w-]+)['\"]\)", path.read_text("utf-8"))
    }
    assert len(named) >= 4
    assert named <= anchors(ROOT / "docs" / "troubleshooting.md")


def test_the_site_holds_every_page_of_docs() -> None:
    site = parse((ROOT / "mkdocs.yml").read_text("utf-8"))[0]
    listed = {
        file
        for group in site["nav"]
        for entry in next(iter(group.values()))
        for file in entry.values()
    }
    pages = {path.name for path in (ROOT / "docs").glob("*.md")}
    assert listed - {"first-minutes.ipynb"} == pages
