"""The page of a run: what it shows and in which order, and that no name or reason can make it anything but a page."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from urllib.parse import unquote_to_bytes
from xml.etree.ElementTree import Element

import html5lib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from LiverSegLib import messages
from LiverSegLib.batch.page import write_page
from LiverSegLib.batch.record import CaseRecord
from LiverSegLib.data.places import Place

# What a file system may give for a name.
NAMES = st.binary(min_size=1, max_size=40).filter(lambda name: b"\0" not in name).map(os.fsdecode)
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def done(name: str, seconds: float = 5.0, warnings: Sequence[str] = (), **numbers: float | None) -> CaseRecord:
    """A record as a whole case leaves it."""
    report = {"liver_volume_ml": 1500.0, "tumour_volume_ml": None, "warnings": list(warnings), **numbers}
    files = {"segmentation": f"cases/{name}/segmentation.nii.gz", "picture": f"cases/{name}/picture.png"}
    return CaseRecord(name, f"{name}.nii.gz", "done", report=report, files=files, seconds=seconds)


def failed(name: str, reason: str = "The file is empty (0 bytes); copy it again.") -> CaseRecord:
    return CaseRecord(name, f"{name}.nii.gz", "failed", reason=reason, kind="InputError", seconds=0.1)


class Page:
    """A page, parsed by the rules of browsers; what those would have to mend is an error."""

    def __init__(self, text: str) -> None:
        self.text = text
        parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
        self.root: Element = parser.parse(text)

    def cases(self) -> list[Element]:
        return self.root.findall(".//ol[@id='cases']/li")

    def names(self) -> list[str]:
        """Headings of the cases from top to bottom."""
        return ["".join(case.find("h2").itertext()) for case in self.cases()]

    def case(self, name: str) -> Element:
        return self.cases()[self.names().index(name)]

    def facts(self, element: Element) -> dict[str, str]:
        """The numbers of a case, or of the header, by their labels."""
        return {entry.find("dt").text: entry.find("dd").text for entry in element.findall("dl/div")}

    def headline(self) -> dict[str, str]:
        return self.facts(self.root.find(".//header"))

    def urls(self) -> list[str]:
        """All that it loads or links to."""
        return [element.attrib[key] for element in self.root.iter() for key in ("href", "src") if key in element.attrib]


def text_of(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def page_of(folder: Path, records: Sequence[CaseRecord], title: str = "A run", skipped: int = 0) -> Page:
    write_page(folder / "index.html", records, title, skipped)
    return Page((folder / "index.html").read_text(encoding="utf-8"))


# ---- what it shows ---------------------------------------------------------------------------------------------------


def test_the_headline_counts_the_cases_and_gives_the_median_dice(tmp_path: Path) -> None:
    records = [done("a", dice=0.9), done("b", dice=0.95), done("c", dice=0.97), done("d"), failed("e")]
    page = page_of(tmp_path, records, "Cohort 7", skipped=2)
    assert text_of(page.root.find(".//h1")) == page.root.find(".//title").text == "Cohort 7"
    assert page.headline() == {
        messages.PAGE_CASES: "5",
        messages.DONE: "4",
        messages.PAGE_FAILED: "1",
        messages.PAGE_SKIPPED: "2",
        messages.PAGE_MEDIAN_DICE: "0.950",
    }


def test_a_case_shows_its_numbers_and_its_warnings(tmp_path: Path) -> None:
    record = done("a", 4.26, ["Look at it.", "Look again."], dice=0.9312, quality=0.884, tumour_volume_ml=3.14)
    page = page_of(tmp_path, [record])
    assert page.facts(page.case("a")) == {
        messages.MEASURE_DICE: "0.931",
        messages.MEASURE_QUALITY: "0.88",
        messages.MEASURE_LIVER_VOLUME: "1500 ml",
        messages.MEASURE_TUMOUR_VOLUME: "3.1 ml",
        messages.MEASURE_TIME: "4.3 s",
    }
    assert [text_of(entry) for entry in page.case("a").findall("ul/li")] == ["Look at it.", "Look again."]


def test_a_case_shows_the_places_to_check(tmp_path: Path) -> None:
    place = Place(6, (1.0, 2.0, 3.0), ml=4.0, side="right", height="lower", inside=True)
    page = page_of(tmp_path, [done("a", places=[asdict(place)]), done("b")])
    assert [text_of(entry) for entry in page.case("a").findall("ol/li")] == [str(place)]
    assert not page.case("b").findall("ol/li")


def test_a_number_that_is_not_known_is_left_out(tmp_path: Path) -> None:
    page = page_of(tmp_path, [done("a", dice=None, quality=float("nan"))])
    assert set(page.facts(page.case("a"))) == {messages.MEASURE_LIVER_VOLUME, messages.MEASURE_TIME}


def test_a_failed_case_shows_its_reason_and_no_picture(tmp_path: Path) -> None:
    page = page_of(tmp_path, [failed("a", "a.nii.gz is shorter than its header promises; copy it again.")])
    assert text_of(page.case("a").find("p")) == "a.nii.gz is shorter than its header promises; copy it again."
    assert page.case("a").find(".//img") is None


def test_a_picture_is_a_link_to_itself_that_loads_when_it_is_scrolled_to(tmp_path: Path) -> None:
    page = page_of(tmp_path, [done("a")])
    link = page.case("a").find("a")
    picture = link.find("img")
    assert link.get("href") == picture.get("src") == "cases/a/picture.png"
    assert picture.get("loading") == "lazy" and picture.get("alt")


# ---- the order -------------------------------------------------------------------------------------------------------


def test_failed_cases_come_first_and_then_the_lowest_dice(tmp_path: Path) -> None:
    records = [done("good", dice=0.97), failed("z"), done("bad", dice=0.4), failed("y"), done("fair", dice=0.9)]
    assert page_of(tmp_path, records).names() == ["y", "z", "bad", "fair", "good"]


def test_without_references_the_most_warnings_come_first(tmp_path: Path) -> None:
    records = [done("a"), done("b", warnings=["Look."]), done("c", warnings=["Look.", "Look again."]), done("d")]
    assert page_of(tmp_path, records).names() == ["c", "b", "a", "d"]


def test_an_estimate_of_quality_counts_more_than_the_number_of_warnings(tmp_path: Path) -> None:
    records = [done("a", quality=0.95, warnings=["Look.", "Look again."]), done("b", quality=0.7), done("none found")]
    assert page_of(tmp_path, records).names() == ["none found", "b", "a"]


@pytest.mark.slow
@given(st.randoms(use_true_random=False))
def test_the_page_does_not_depend_on_the_order_of_work(tmp_path_factory: pytest.TempPathFactory, order) -> None:
    folder = tmp_path_factory.mktemp("page")
    records = [*(done(f"case {n}", dice=n % 3 / 3, seconds=n % 2) for n in range(8)), failed("x"), failed("y")]
    first = page_of(folder, records).text
    order.shuffle(records)
    assert page_of(folder, records).text == first


def test_every_order_that_the_page_offers_is_a_numbering_of_all_cases(tmp_path: Path) -> None:
    records = [done("b", 1, dice=0.9, quality=0.5), done("a", 9, dice=0.8, quality=0.9), failed("c")]
    page = page_of(tmp_path, records)
    offered = [option.get("value") for option in page.root.findall(".//select[@id='order']/option")]

    def in_order(order: str) -> list[str]:
        places = {int(case.get(f"data-{order}")): name for case, name in zip(page.cases(), page.names(), strict=True)}
        assert set(places) == {0, 1, 2}
        return [places[place] for place in range(3)]

    assert {order: in_order(order) for order in offered} == {
        "dice": ["c", "a", "b"],
        "doubt": ["c", "b", "a"],
        "name": ["a", "b", "c"],
        "time": ["a", "b", "c"],
    }
    assert in_order(offered[0]) == page.names()


# ---- names and reasons of any kind -----------------------------------------------------------------------------------

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</title></style></script><b>",
    "&lt;b&gt; & &amp;",
    "<!--",
    "javascript:alert(1)",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_shown_as_they_are_and_do_nothing(tmp_path: Path, text: str) -> None:
    harmless = page_of(tmp_path, [done("name", warnings=["warning"]), failed("other", "reason")], "title")
    page = page_of(tmp_path, [done(text, warnings=[text]), failed(f"{text} 2", text)], text)
    assert page.names() == [f"{text} 2", text]
    assert text_of(page.case(text).find("ul/li")) == text_of(page.cases()[0].find("p")) == text
    assert shape(page.root) == shape(harmless.root)


def shape(element: Element) -> list[tuple[str, list[str]]]:
    """All elements with the names of their attributes."""
    return [(inner.tag, sorted(inner.attrib)) for inner in element.iter() if isinstance(inner.tag, str)]


@settings(max_examples=30)
@given(st.lists(NAMES, min_size=1, max_size=4, unique=True), st.text(max_size=60))
def test_any_name_and_any_reason_give_a_valid_page(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], reason: str
) -> None:
    folder = tmp_path_factory.mktemp("page")
    page = page_of(folder, [*map(done, names), failed("failed", reason)], reason)
    assert len(page.cases()) == len(names) + 1


@settings(max_examples=30)
@given(NAMES)
def test_a_link_leads_to_the_file_whatever_its_name(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    page = page_of(tmp_path_factory.mktemp("page"), [done(name)])
    expected = os.fsencode(f"cases/{name}/picture.png")
    assert expected in [unquote_to_bytes(url) for url in page.urls()]
    assert all(re.fullmatch(r"[\w.~/%-]+", url, re.ASCII) for url in page.urls())


def test_a_name_cannot_turn_the_reading_order_of_the_page(tmp_path: Path) -> None:
    assert "\u202e" not in page_of(tmp_path, [done("safe\u202egnp.exe")]).text


# ---- what it does not hold -------------------------------------------------------------------------------------------


def test_the_page_loads_nothing_but_pictures_beside_it(tmp_path: Path) -> None:
    page = page_of(tmp_path, [done("a", dice=0.9), failed("b")])
    assert not any("://" in url or url.startswith(("/", "..", "data:")) for url in page.urls())
    assert "http" not in page.text and "@import" not in page.text and "url(" not in page.text
    assert page.root.findall(".//link") == []


def test_no_place_on_this_computer_and_no_patient_data_are_on_the_page(tmp_path: Path) -> None:
    case = done("series_0123456789ab", dice=0.9, input=str(tmp_path / "Doe^Jane"), output=str(tmp_path))
    record = CaseRecord(**{**vars(case), "patient": {"patient_id": "PID-4711", "study_date": "20260102"}})
    text = page_of(tmp_path, [record]).text
    assert str(tmp_path) not in text and str(Path.home()) not in text
    assert "PID-4711" not in text and "20260102" not in text and "Doe" not in text


# ---- writing it, and many cases --------------------------------------------------------------------------------------


def test_thousands_of_cases_make_a_page_of_a_few_megabytes(tmp_path: Path) -> None:
    values = random.Random(0)
    write_page(tmp_path / "index.html", [done(f"case {n:05}", dice=values.random()) for n in range(5000)], "A run")
    assert (tmp_path / "index.html").stat().st_size < 5e6


# ---- in a browser ----------------------------------------------------------------------------------------------------

CHOOSE_AND_FILTER = """<script>
function change(id, value, event) { const control = document.getElementById(id); control.value = value;
  control.dispatchEvent(new Event(event)); }
function seen() { return cases.filter((item) => item.getBoundingClientRect().height).map((item) =>
  item.querySelector("h2").textContent).join(" "); }
const said = [controls.hidden, seen()];
change("order", "name", "change"); said.push(seen());
change("order", "time", "change"); said.push(seen());
change("shown", "warned", "change"); said.push(seen());
change("shown", "failed", "change"); said.push(seen());
change("shown", "", "change"); change("find", "B", "input"); said.push(seen());
document.title = said.join("|");
</script></body>"""


@pytest.mark.skipif(BROWSER is None, reason="needs a browser: chromium is not installed")
def test_in_a_browser_the_order_is_chosen_and_cases_are_filtered(tmp_path: Path) -> None:
    records = [done("a", 1, dice=0.9), done("bb", 9, ["Look."], dice=0.5), failed("b"), done("c", 4, dice=0.7)]
    text = page_of(tmp_path, records).text
    (tmp_path / "operated.html").write_text(text.replace("</body>", CHOOSE_AND_FILTER), encoding="utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    command = [BROWSER, *options, f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
    finished = subprocess.run(
        [*command, (tmp_path / "operated.html").as_uri()],
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
    )
    title = re.search(r"<title>(.*?)</title>", finished.stdout)
    assert title, finished.stderr
    assert title[1].split("|") == ["false", "b bb c a", "a b bb c", "bb c a b", "bb", "b", "bb b"]
