"""Whoever follows the documentation types what it says, so every command in it must exist."""

import re
import shlex
from pathlib import Path

import pytest

from streams.cli import COMMANDS
from tests.docs.commands import check_call

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PLACEHOLDER = re.compile(r"\b[A-Z]{3,}\b|\.\.\.")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def shell_lines(page: Path) -> list[str]:
    """Return the commands of a page's fenced blocks of shell, without prompts and comments."""
    blocks = re.findall(
        r"^```(?:sh|shell|bash|console)\n(.*?)^```", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line.removeprefix("$ ") for line in lines if line.strip()]


def freshet_calls() -> list[tuple[str, list[str]]]:
    """Return (page, words behind `freshet`) of every call in a fenced block or between backticks."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        spans = [each for each in re.findall(r"`(freshet [^`\n]+)`", text) if not PLACEHOLDER.search(each)]
        for line in [*shell_lines(page), *spans]:
            words = shlex.split(line, comments=True)
            if words:
                words[0] = words[0].removeprefix(".venv/bin/")
            while words and "=" in words[0]:  # variables before a command
                words = words[1:]
            if words[:1] == ["freshet"]:
                found.append((page.name, words[1:]))
    return found


def make_targets() -> set[str]:
    """Return the targets of the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))


@pytest.mark.parametrize(("page", "words"), freshet_calls(), ids=lambda each: str(each))
def test_every_call_of_freshet_is_taken(page: str, words: list[str]) -> None:
    """Subcommands, options and their values exist."""
    check_call(words)


def test_every_make_target_exists() -> None:
    """`make` is asked for nothing that the Makefile does not have."""
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    asked = set(re.findall(r"`make ([a-z]+)`", text))
    asked |= {
        word for page in PAGES for line in shell_lines(page) for word in re.findall(r"^make ([a-z]+)", line)
    }
    assert {"demo", "test"} <= asked <= make_targets()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Files that a page links to exist, and so do the headings that it points at."""
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}, (
                target
            )


def test_what_a_worker_says_of_its_readiness_is_real() -> None:
    """Each reason in the runbook's table stands in the code."""
    table = (
        (ROOT / "docs" / "runbook.md").read_text("utf-8").split("`/ready` says one of:")[1].split("\n\n")[1]
    )
    code = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "streams").glob("*.py"))
    reasons = re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)
    assert len(reasons) > 3
    assert all(reason in code for reason in reasons)


def test_every_command_is_introduced() -> None:
    """The README names all commands that there are."""
    assert all(f"`{name}`" in README for name in COMMANDS)
