"""What Slicer's build installs: an unlisted file would be missing there, and a listed one has to exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
MODULE_FOLDER = ROOT / "LiverSeg"
EXTENSION, MODULE = ROOT / "CMakeLists.txt", MODULE_FOLDER / "CMakeLists.txt"


def listed(variable: str) -> list[str]:
    """Entries of a list that the module's CMakeLists.txt sets."""
    block = re.search(rf"set\({variable}\s+(.*?)\)", MODULE.read_text(encoding="utf-8"), re.DOTALL)
    assert block, f"{MODULE} sets no {variable}"
    return block[1].replace("${MODULE_NAME}", "LiverSeg").split()


def found(*patterns: str) -> set[str]:
    """Files below the module's folder, as CMake would name them."""
    files = (path for pattern in patterns for path in MODULE_FOLDER.glob(pattern))
    return {path.relative_to(MODULE_FOLDER).as_posix() for path in files if path.is_file()}


def test_every_script_of_the_module_is_installed() -> None:
    assert set(listed("MODULE_PYTHON_SCRIPTS")) == found("**/*.py")


def test_every_resource_of_the_module_is_installed() -> None:
    assert set(listed("MODULE_PYTHON_RESOURCES")) == found("Resources/**/*", "LiverSegLib/**/*.html")


def test_nothing_is_listed_twice() -> None:
    entries = listed("MODULE_PYTHON_SCRIPTS") + listed("MODULE_PYTHON_RESOURCES")
    assert len(entries) == len(set(entries))


def test_the_extension_builds_the_module_and_depends_on_pytorch() -> None:
    text = EXTENSION.read_text(encoding="utf-8")
    assert "project(LiverSegExtension)" in text
    assert "add_subdirectory(LiverSeg)" in text
    assert 'set(EXTENSION_DEPENDS "PyTorch")' in text
    assert not re.search(r'set\(EXTENSION_(CONTRIBUTORS|DESCRIPTION) ""\)', text)


@pytest.mark.parametrize(
    "icon", [MODULE_FOLDER / "Resources/Icons/LiverSeg.png", ROOT / "Resources/LiverSegExtension.png"]
)
def test_icons_have_the_size_that_slicer_recommends(icon: Path) -> None:
    with Image.open(icon) as image:
        assert (image.format, image.size) == ("PNG", (128, 128))
