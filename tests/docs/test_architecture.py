"""docs/architecture.md and CONTRIBUTING.md agree with the code."""

import re
import tomllib
from pathlib import Path

import pytest
from sequence import BEGIN, PAGE, page

TOP = Path(__file__).resolve().parents[2]


def test_the_sequence_is_that_of_the_real_plan() -> None:
    text = PAGE.read_text()
    assert BEGIN in text and page(text) == text, "run: python tests/docs/sequence.py"


def test_the_map_has_every_room_in_the_order_of_the_contract() -> None:
    contract = tomllib.loads((TOP / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    layers = [room for layer in contract["layers"] for room in re.findall(r"\w+", layer)]
    rooms = {path.name for path in (TOP / "pyrunc").iterdir() if (path / "__init__.py").exists()}
    shown = re.findall(r"^\| `(\w+)/?` \|", PAGE.read_text(), re.MULTILINE)
    assert rooms <= set(shown) and [room for room in layers if room in shown] == [r for r in shown if r in layers]


PAGES = [*TOP.glob("*.md"), *TOP.glob("docs/*.md"), *TOP.glob("integration/*/README.md"), TOP / "nsenter" / "README.md"]
FOLDERS = "pyrunc|nsenter|tests|integration|docs|deploy|bundles"


@pytest.mark.parametrize("name", sorted(str(page.relative_to(TOP)) for page in PAGES if page.name != "CHANGELOG.md"))
def test_every_file_that_a_page_names_exists(name: str) -> None:
    text = (TOP / name).read_text()
    for path in re.findall(rf"`((?:{FOLDERS})/[\w./-]+)(?:`|::)", text):
        # NAME is a placeholder.
        if "NAME" not in path:
            assert (TOP / path).exists(), f"{name}: there is no {path}"
    # "`CREATING` of `pyrunc/cli/...`"
    for word, path in re.findall(rf"`(\w+)` of `((?:{FOLDERS})/[\w./-]+)`", text):
        assert re.search(rf"\b{word}\b", (TOP / path).read_text()), f"{name}: there is no {word} in {path}"
