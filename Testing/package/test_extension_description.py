"""LiverSegExtension.json against the rules of the Extensions Index, and against what CMakeLists.txt says.

The rules are those of slicer-extension-catalog-entry-schema-v1.0.2.json in Slicer and of check_description_files.py in
the Extensions Index (both of August 2026), as far as they need no network.
"""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from PIL import Image

from Testing.package.conftest import Installed
from Testing.package.make_package import EXTENSION, ROOT

FILE = ROOT / f"{EXTENSION}.json"
SCHEMA = (
    "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/slicer-extension-catalog-entry-schema-v1.0.2.json#"
)
REQUIRED = {"$schema", "category", "scm_url"}
TYPES = {
    "$schema": str,
    "category": str,
    "scm_url": str,
    "scm_revision": str,
    "scm_type": str,
    "build_dependencies": list,
    "dicom_support_rule": str,
    "build_subdirectory": str,
    "enabled": bool,
    "tier": int,
}
# No such address can ever exist (RFC 2606): it says that the public one is still to be filled in.
PLACEHOLDER = "publication.invalid"
LARGEST_CHECKOUT = 100 * 1024**2


def broken_rules(entry: dict) -> list[str]:
    """What the schema has against an entry of the Extensions Index; empty when it is valid."""
    broken = [f"{key} is missing" for key in REQUIRED - set(entry)]
    for key, value in entry.items():
        if key not in TYPES:
            broken.append(f"{key} is unknown")
        elif type(value) is not TYPES[key]:
            broken.append(f"{key} is not of type {TYPES[key].__name__}")
    if entry.get("scm_type", "git") not in ("git", "local"):
        broken.append("scm_type is neither git nor local")
    dependencies = entry.get("build_dependencies")
    if isinstance(dependencies, list) and not all(isinstance(name, str) for name in dependencies):
        broken.append("build_dependencies holds something else than names")
    tier = entry.get("tier", 1)
    if type(tier) is int and not 1 <= tier <= 5:
        broken.append("tier is not from 1 to 5")
    return broken


@pytest.fixture
def entry() -> dict:
    return json.loads(FILE.read_text(encoding="utf-8"))


@pytest.fixture
def description(installed: Installed) -> dict[str, str]:
    """What the build writes for the Extensions Manager, from the variables of CMakeLists.txt."""
    lines = installed.package.description.read_text(encoding="utf-8").splitlines()
    return {key: value for key, _, value in (line.partition(" ") for line in lines)}


def test_the_entry_is_valid(entry: dict) -> None:
    assert entry["$schema"] == SCHEMA
    assert broken_rules(entry) == []


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"scm_url": None}, "scm_url is not of type str"),
        ({"tier": 6}, "tier is not from 1 to 5"),
        ({"tier": True}, "tier is not of type int"),
        ({"build_dependencies": "PyTorch"}, "build_dependencies is not of type list"),
        ({"build_dependencies": [1]}, "build_dependencies holds something else than names"),
        ({"depends": ["PyTorch"]}, "depends is unknown"),
        ({"scm_type": "svn"}, "scm_type is neither git nor local"),
    ],
)
def test_a_broken_entry_is_found(entry: dict, change: dict, rule: str) -> None:
    assert broken_rules({**entry, **change}) == [rule]


def test_the_entry_says_what_the_build_says(entry: dict, description: dict[str, str]) -> None:
    assert FILE.stem == re.findall(r"^project\((\w+)\)", (ROOT / "CMakeLists.txt").read_text(), re.MULTILINE)[0]
    assert entry["category"] == description["category"]
    assert entry["build_dependencies"] == description["depends"].split()
    assert entry["build_subdirectory"] == description["build_subdirectory"]
    assert entry["scm_url"] == f"{description['homepage']}.git"


def test_the_names_are_as_the_index_wants_them(entry: dict) -> None:
    assert urlsplit(entry["scm_url"]).scheme in ("git", "https")
    assert Path(urlsplit(entry["scm_url"]).path).stem == f"Slicer{EXTENSION}"
    assert not EXTENSION.lower().startswith("slicer")


def test_all_addresses_are_public_or_none_is(entry: dict, description: dict[str, str]) -> None:
    urls = [entry["scm_url"], description["homepage"], description["iconurl"], *description["screenshoturls"].split()]
    assert len({urlsplit(url).hostname == PLACEHOLDER for url in urls}) == 1


def test_icon_and_screenshots_are_pictures_of_this_repository(description: dict[str, str]) -> None:
    urls = [description["iconurl"], *description["screenshoturls"].split()]
    assert len(urls) >= 2
    for url in urls:
        with Image.open(ROOT / url.partition("/main/")[2]) as picture:
            assert picture.format == "PNG"
    for icon in ("LiverSeg/Resources/Icons/LiverSeg.png", urls[0].partition("/main/")[2]):
        with Image.open(ROOT / icon) as picture:
            assert picture.size == (128, 128), "as Slicer recommends"


def test_the_index_finds_icon_and_screenshots_in_the_text_of_the_build_file() -> None:
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert re.search(r'set\s*\(EXTENSION_ICONURL\s*"([^"]+)"[ ]*\)', text)
    assert re.search(r'set\s*\(EXTENSION_SCREENSHOTURLS\s*"([^"]+)"\)', text)


def test_the_description_is_whole_and_names_licence_and_purpose(description: dict[str, str]) -> None:
    assert description["description"].endswith("Not for diagnosis.")
    assert "Apache License 2.0" in description["description"] and "non-commercial" in description["description"]


def test_the_checkout_is_small_enough_for_the_index() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("no git checkout here, so there is no list of its files")
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert sum(path.stat().st_size for path in files if path.is_file()) < LARGEST_CHECKOUT
    assert (ROOT / "LICENSE").is_file()
