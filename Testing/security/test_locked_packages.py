"""The lists that `make test` installs fit what pyproject.toml and requirements.txt ask for; else: `make lock`."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LISTS = [ROOT / "Testing" / f"requirements{part}.lock" for part in ("", "-torch")]
CPU_LIST, READERS_LIST = (ROOT / "Testing" / f"requirements-{part}.lock" for part in ("torch-cpu", "readers"))
# Not for the tests, and so in no list.
TOOLS = {"pip-audit", "uv"}


def entries(path: Path) -> list[str]:
    """Of one package each: the name and version, and the digests."""
    return re.findall(r"^[^#\s].*(?:\n    --hash.*)*", path.read_text(encoding="utf-8"), flags=re.MULTILINE)


def locked() -> dict[str, set[str]]:
    """Versions by name; for several versions of Python there may be several."""
    found: dict[str, set[str]] = {}
    for entry in (entry for path in LISTS for entry in entries(path)):
        name, version = entry.split()[0].split("==")
        found.setdefault(name, set()).add(version)
    return found


def required() -> list[Requirement]:
    """What the library and its extras for the tests ask for directly."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    named = [requirement for extra in extras.values() for requirement in extra] + project["dependencies"]
    return [Requirement(line) for line in named if not line.startswith("liverseg[")]


@pytest.mark.parametrize("path", [*LISTS, CPU_LIST, READERS_LIST], ids=lambda path: path.name)
def test_every_locked_package_has_a_version_and_digests(path: Path) -> None:
    assert entries(path)
    for entry in entries(path):
        assert re.match(r"[a-z0-9-]+==\S+ ", entry) and "--hash=sha256:" in entry, entry


@pytest.mark.parametrize("requirement", required(), ids=str)
def test_what_is_required_is_locked_in_a_version_that_fits(requirement: Requirement) -> None:
    name = canonicalize_name(requirement.name)
    if name not in TOOLS:
        assert all(requirement.specifier.contains(version) for version in locked()[name])


def test_every_pin_is_the_locked_version() -> None:
    lines = (ROOT / "Testing" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    differing = {name for name, version in pins.items() if locked().get(canonicalize_name(name)) != {version}}
    assert differing == TOOLS


def test_both_builds_of_pytorch_are_of_one_version() -> None:
    assert [entry.split()[0] for entry in entries(CPU_LIST)] == [
        f"torch=={version}+cpu" for version in locked()["torch"]
    ]
