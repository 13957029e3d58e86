"""What the documents name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "configs").rglob("*.md")),
]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_exist(page):
    text = page.read_text(encoding="utf-8")
    named = re.findall(
        r"(?<![\w/])(?:configs|tools|docs|tests|mmseg_mllm|requirements)/[\w./-]*\w\.(?:py|sh|md|txt|jpg)",
        text,
    )
    missing = [path for path in named if not (ROOT / path).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if not (page.parent / link).exists()]


def test_config_tables_name_every_config():
    text = "".join((ROOT / page).read_text(encoding="utf-8") for page in ("README.md", "docs/model_zoo.md"))
    names = {path.name for path in (ROOT / "configs" / "mllmseg").glob("*.py")}
    assert names == set(re.findall(r"^\| `(\w+\.py)` \|", text, flags=re.MULTILINE))


def test_no_placeholder_is_left():
    assert not [page.name for page in PAGES if "{{" in page.read_text(encoding="utf-8")]
