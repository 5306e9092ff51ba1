"""Lays the extension out as Slicer's build installs it, and packs it as the Extensions Manager takes it.

``make package`` runs it. CMake itself reads this repository's CMakeLists.txt files; in place of Slicer it finds
SlicerStandIn/, which installs what they list and nothing else. Slicer is not needed, and neither is a compiler.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from cmake import CMAKE_BIN_DIR

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = Path(__file__).resolve().parent / "SlicerStandIn"
EXTENSION = "LiverSegExtension"
# Slicer looks for an extension's modules in a folder with its own version in the name.
SLICER_VERSION = "5.13"


@dataclass(frozen=True)
class Package:
    """An extension that was laid out: where it is installed, and where CMake keeps its tests."""

    folder: Path
    build: Path
    slicer_version: str = SLICER_VERSION

    @property
    def modules(self) -> Path:
        """The folder that Slicer puts on Python's path, with LiverSeg.py in it."""
        return self.folder / "lib" / f"Slicer-{self.slicer_version}" / "qt-scripted-modules"

    @property
    def description(self) -> Path:
        """What the Extensions Manager shows of the extension and needs to install it from a file."""
        return self.folder / "share" / f"Slicer-{self.slicer_version}" / f"{EXTENSION}.s4ext"


class PackageError(Exception):
    """The extension cannot be laid out; what CMake said about it."""


def lay_out(output: Path, source: Path = ROOT, slicer_version: str = SLICER_VERSION) -> Package:
    """Install the extension of the folder `source` into `output`/LiverSegExtension, anew.

    Raises
    ------
    PackageError
        If a listed file does not exist, or a CMakeLists.txt has any other error.
    """
    package = Package(output.resolve() / EXTENSION, output.resolve() / "build", slicer_version)
    for old in (package.folder, package.build):
        shutil.rmtree(old, ignore_errors=True)
    packages = dict.fromkeys((sysconfig.get_path("purelib"), sysconfig.get_path("platlib")))
    settings = {
        "CMAKE_INSTALL_PREFIX": package.folder,
        "CMAKE_TOOLCHAIN_FILE": STAND_IN / "no-compiler.cmake",
        "Slicer_DIR": STAND_IN,
        "Slicer_VERSION_SHORT": slicer_version,
        "Slicer_PYTHON": sys.executable,
        "Slicer_SITE_PACKAGES": ";".join(packages),
        f"{EXTENSION}_FORCED_WC_REVISION": _revision(source),
    }
    _cmake("-S", source, "-B", package.build, *(f"-D{name}={value}" for name, value in settings.items()))
    _cmake("--install", package.build)
    return package


def pack(package: Package) -> Path:
    """Pack what was laid out beside its folder as one .tar.gz with a single folder in it, as Slicer's CPack does."""
    base = package.folder.parent / f"{EXTENSION}-{_version()}-Slicer-{package.slicer_version}"
    return Path(shutil.make_archive(str(base), "gztar", package.folder.parent, EXTENSION))


def _cmake(*arguments: object) -> None:
    command = [str(Path(CMAKE_BIN_DIR) / "cmake"), *map(str, arguments)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        raise PackageError(finished.stderr.strip() or finished.stdout.strip())


def _revision(source: Path) -> str:
    """The commit that `source` is at, empty where it is no git checkout."""
    command = ["git", "-C", str(source), "rev-parse", "HEAD"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    return finished.stdout.strip()


def _version() -> str:
    text = (ROOT / "LiverSeg/LiverSegLib/__init__.py").read_text(encoding="utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    if found is None:
        raise PackageError("LiverSegLib/__init__.py names no __version__.")
    return found[1]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make_package", description=__doc__)
    parser.add_argument("output", type=Path, nargs="?", default=ROOT / "out/package", help="folder (out/package)")
    parser.add_argument("--slicer", default=SLICER_VERSION, help=f"version of Slicer that it is for ({SLICER_VERSION})")
    options = parser.parse_args()
    try:
        package = lay_out(options.output, slicer_version=options.slicer)
        archive = pack(package)
    except PackageError as error:
        print(f"make_package: {error}", file=sys.stderr)
        return 1
    print(f"{package.modules}\n{archive} ({archive.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
