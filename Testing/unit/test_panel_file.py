"""The panel's file: what Qt loads without a word, though it cannot show it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from xml.etree import ElementTree  # the file is our own

PANEL = Path(__file__).parents[2] / "LiverSeg" / "Resources" / "UI" / "LiverSeg.ui"


def test_colours_are_left_to_the_theme() -> None:
    """What is set here would vanish on a dark background, or on a light one."""
    properties = {found.get("name") for found in ElementTree.parse(PANEL).iter("property")}
    assert not properties & {"styleSheet", "palette"}


def test_no_two_things_of_the_panel_lie_in_one_place() -> None:
    for layout in ElementTree.parse(PANEL).iter("layout"):
        places = Counter((item.get("row"), item.get("column")) for item in layout.findall("item") if item.get("row"))
        assert all(count == 1 for count in places.values()), f"{layout.get('name')}: {places}"
