"""The pages in docs/ quote what the module really says, and their links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter

import pytest

from LiverSegLib import messages

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
MESSAGES = [text for name, text in vars(messages).items() if name.isupper()]
QUOTES = re.findall(r"^> (.+)$", (DOCS / "troubleshooting.md").read_text(encoding="utf-8"), re.MULTILINE)


def could_read(message: str, quote: str) -> bool:
    """Whether a message, with its placeholders filled in somehow, is the quote."""
    parts = (re.escape(text) + (".+" if field is not None else "") for text, field, *_ in Formatter().parse(message))
    return re.fullmatch("".join(parts), quote) is not None


def anchors(page: Path) -> set[str]:
    """What GitHub calls the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("quote", QUOTES)
def test_troubleshooting_quotes_a_message_of_the_module(quote: str) -> None:
    assert any(could_read(message, quote) for message in MESSAGES)


def test_a_sentence_of_nobodys_is_no_message() -> None:
    assert len(QUOTES) > 20
    assert not any(could_read(message, "The liver is fine; have a nice day.") for message in MESSAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_repository_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        linked = (page.parent / file) if file else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target
