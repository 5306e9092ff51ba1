"""The module as it is installed: CMake lays it out from the lists of the CMakeLists.txt files, and it works from there.

A file that no list names is missing there, however well the repository works with it.
"""

from __future__ import annotations

import re
import shutil
import tarfile
from pathlib import Path

import pytest

from Testing.package.conftest import Installed
from Testing.package.make_package import ROOT, PackageError, lay_out, pack

MODULES = "lib/Slicer-5.13/qt-scripted-modules"
DESCRIPTION = "share/Slicer-5.13/LiverSegExtension.s4ext"
NOT_INSTALLED = {"CMakeLists.txt"}
# Only the application has Qt and Slicer's own Python layer; whatever else is missing was not installed.
IMPORT_ALL = """
import importlib, pathlib
folder = pathlib.Path({folder!r})
for path in sorted(folder.rglob("*.py")):
    parts = path.relative_to(folder).with_suffix("").parts
    try:
        if parts[0] != "Scripts":
            importlib.import_module(".".join(parts).removesuffix(".__init__"))
    except ModuleNotFoundError as error:
        if error.name.partition(".")[0] not in ("qt", "ctk", "slicer"):
            raise
"""

# The bench is the repository's, so its root is on the path here; LiverSegLib does not lie there.
OPEN_PANEL = """
import sys
sys.path.append({root!r})
from Testing.bench import slicer_application
with slicer_application() as application:
    application.load_module({module!r})
    application.open_panel()
    assert not application.errors, application.errors
    import LiverSegLib
    print(LiverSegLib.__file__, *(source["sampleName"] for source in application.sample_data_sources))
"""


def a_copy_of_the_sources(folder: Path) -> Path:
    """What CMake reads of the repository, to be changed by a test."""
    source = folder / "source"
    source.mkdir()
    for name in ("CMakeLists.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "LiverSeg", source / "LiverSeg", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("CMakeLists.txt", "Slicer"):
        (source / "Testing").mkdir(exist_ok=True)
        path = ROOT / "Testing" / name
        (shutil.copytree if path.is_dir() else shutil.copy)(path, source / "Testing" / name)
    return source


def test_every_file_of_the_module_is_installed_under_its_own_path_and_nothing_else(installed: Installed) -> None:
    module = ROOT / "LiverSeg"
    files = (path.relative_to(module) for path in module.rglob("*") if path.is_file())
    expected = {
        f"{MODULES}/{path.as_posix()}"
        for path in files
        if "__pycache__" not in path.parts and not path.parts[0].endswith(".egg-info")
    } - {f"{MODULES}/{name}" for name in NOT_INSTALLED}
    assert installed.files() == expected | {DESCRIPTION}


def test_nothing_of_the_repository_is_importable_from_the_installed_module(installed: Installed) -> None:
    code = "import LiverSeg, LiverSegLib, sys; print(LiverSeg.__file__, LiverSegLib.__file__, *sys.path, sep='\\n')"
    said = installed.python(code)
    assert said.returncode == 0, said.stderr
    module_file, library_file, *path = said.stdout.split("\n")
    assert Path(module_file).parent == Path(library_file).parents[1] == installed.package.modules
    assert str(ROOT) not in path and str(ROOT / "LiverSeg") not in path


@pytest.mark.slow
def test_every_installed_file_can_be_imported(installed: Installed) -> None:
    said = installed.python(IMPORT_ALL.format(folder=str(installed.package.modules)))
    assert said.returncode == 0, said.stderr


def test_the_self_test_passes_from_the_installed_tree(installed: Installed) -> None:
    assert re.search(r"^\d+: OK", installed.ctest("py_nomainwindow_LiverSeg"), re.MULTILINE)


def test_a_script_segments_the_phantom_with_the_installed_network(installed: Installed) -> None:
    said = installed.ctest("py_nomainwindow_segment_phantom")
    assert "Dice" in said and "SKIPPED" not in said


@pytest.mark.slow
def test_a_batch_runs_with_the_installed_script_and_ends_with_its_exit_code(installed: Installed) -> None:
    said = installed.ctest("py_nomainwindow_(make_phantom_cases|batch|check_batch|failing_batch)")
    assert re.search(r"^100% tests passed.* out of 4$", said, re.MULTILINE), said
    assert "SKIPPED" not in said and "1 of 1 cases failed" in said


def test_without_pytorch_a_batch_says_how_to_install_it(installed: Installed, tmp_path: Path) -> None:
    said = installed.run_without("torch", "py_nomainwindow_batch", tmp_path)
    assert said.returncode == 2
    assert said.stderr.count("\n") == 1 and "PyTorch" in said.stderr and "click Segment Liver" in said.stderr


def test_the_panel_opens_from_the_installed_tree(installed: Installed) -> None:
    module = installed.package.modules / "LiverSeg.py"
    said = installed.python(OPEN_PANEL.format(root=str(ROOT), module=str(module)))
    assert said.returncode == 0, said.stderr
    library_file, *samples = said.stdout.split()
    assert Path(library_file).parents[1] == installed.package.modules
    assert set(samples) == {"CTLiver", "LiverPhantom"}


@pytest.mark.slow
def test_without_pytorch_the_script_is_skipped_and_says_so(installed: Installed, tmp_path: Path) -> None:
    said = installed.run_without("torch", "py_nomainwindow_segment_phantom", tmp_path)
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith("SKIPPED: ") and "PyTorch" in said.stdout


@pytest.mark.slow
def test_without_pytorch_the_self_test_passes(installed: Installed, tmp_path: Path) -> None:
    said = installed.run_without("torch", "py_nomainwindow_LiverSeg", tmp_path)
    assert said.returncode == 0, said.stderr
    assert "skipped=" in said.stderr


@pytest.mark.parametrize("file", ["LiverSegLib/data/metrics.py", "Resources/Icons/LiverSeg.png"])
def test_a_listed_file_that_does_not_exist_stops_the_build_and_is_named(tmp_path: Path, file: str) -> None:
    source = a_copy_of_the_sources(tmp_path)
    (source / "LiverSeg" / file).unlink()
    with pytest.raises(PackageError, match=re.escape(file)):
        lay_out(tmp_path / "package", source)


def test_the_archive_holds_one_folder_with_the_description_as_the_extensions_manager_wants_it(tmp_path: Path) -> None:
    package = lay_out(tmp_path)
    with tarfile.open(pack(package)) as archive:
        names = {member.name for member in archive if member.isfile()}
    assert names == {f"LiverSegExtension/{name}" for name in Installed(package).files()}
    assert sum(name.endswith(".s4ext") for name in names) == 1


@pytest.mark.slow
def test_another_version_of_slicer_gets_folders_of_its_own(tmp_path: Path) -> None:
    package = lay_out(tmp_path, slicer_version="5.8")
    assert (package.folder / "lib/Slicer-5.8/qt-scripted-modules/LiverSeg.py").is_file()
    assert package.description.is_file()


def test_the_self_test_is_registered_with_a_main_window_and_without(installed: Installed) -> None:
    tests = installed.tests()
    batch = {"make_phantom_cases", "batch", "check_batch", "failing_batch"}
    without_window = {f"py_nomainwindow_{name}" for name in {"LiverSeg", "segment_phantom", *batch}}
    assert set(tests) == {"py_LiverSeg", *without_window}
    assert all("--testing" in command for command in tests.values())
    assert {name for name, command in tests.items() if "--no-main-window" in command} == without_window
