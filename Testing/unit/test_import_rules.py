"""The doors between the files (design, section 3): who may know what, and what registering the module may cost."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULE_FOLDER = ROOT / "LiverSeg"
LIBRARY_FOLDER = MODULE_FOLDER / "LiverSegLib"
LIBRARY = sorted(LIBRARY_FOLDER.rglob("*.py"))
MODULE = sorted(MODULE_FOLDER.rglob("*.py"))
TRAINING = sorted((ROOT / "Training").rglob("*.py"))

# Highest first: a file imports from its own layer and from those below it. A new file is given its layer here.
LAYERS = [
    {"cli", "batch"},
    {"mrml", "files", "nifti", "dicom", "itk", "headers", "segments", "report", "picture"},
    {"segmenter"},
    {"model", "postprocess", "quality"},
    {
        "network",
        "grid",
        "margins",
        "devices",
        "volume",
        "upright",
        "resample",
        "metrics",
        "reference",
        "phantom",
        "atomic",
    },
    {"errors", "__init__"},
]
LAYER_OF = {name: depth for depth, names in enumerate(LAYERS) for name in names}
TORCH_FILES = {"network.py", "grid.py", "margins.py", "devices.py", "model.py", "segmenter.py"}
RUN_TIME_PACKAGES = {"torch", "numpy", "scipy", "nibabel", "SimpleITK", "PIL", "slicer", "vtk", "vtkmodules"}


def imported_by(path: Path) -> set[str]:
    """Dotted names of all that a file imports at run time, wherever in the file, and of what it takes from there."""
    return set(_imports(ast.parse(path.read_text(encoding="utf-8")), package=path.parent.name))


def _imports(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = ".".join(filter(None, (package if node.level else "", node.module)))
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)
    for child in ast.iter_child_nodes(node):
        if not _is_for_type_checkers_only(child):
            yield from _imports(child, package)


def _is_for_type_checkers_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def packages_of(path: Path) -> set[str]:
    """Top-level names that a file imports."""
    return {name.partition(".")[0] for name in imported_by(path)}


def importers(files: list[Path], *packages: str) -> set[str]:
    """Names of the files that import any of the packages."""
    return {path.name for path in files if packages_of(path) & set(packages)}


def library_imports(path: Path) -> set[str]:
    """Files of the library, without the ending, that a file imports."""
    names = {name.split(".")[1] for name in imported_by(path) if name.startswith("LiverSegLib.")}
    return names & {other.stem for other in LIBRARY}


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("import torch.nn as nn", "torch.nn"),
        ("from torch import Tensor", "torch"),
        ("from .volume import CTVolume", "LiverSegLib.volume"),
        ("from . import volume", "LiverSegLib.volume"),
        ("from LiverSegLib import volume", "LiverSegLib.volume"),
        ("def lazily():\n    import torch", "torch"),
    ],
)
def test_no_way_of_importing_escapes_these_tests(line: str, name: str, tmp_path: Path) -> None:
    file = tmp_path / "LiverSegLib" / "some.py"
    file.parent.mkdir()
    file.write_text(line, encoding="utf-8")
    assert name in imported_by(file)


def test_an_import_for_type_checkers_only_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "some.py"
    file.write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch", encoding="utf-8")
    assert "torch" not in imported_by(file)


def test_only_mrml_knows_slicer_and_vtk() -> None:
    assert importers(LIBRARY + TRAINING, "slicer", "vtk", "vtkmodules") <= {"mrml.py"}


def test_the_module_file_takes_from_slicer_only_what_makes_it_a_module() -> None:
    taken = {name for name in imported_by(MODULE_FOLDER / "LiverSeg.py") if name.split(".")[0] in {"slicer", "vtk"}}
    assert all(name.startswith(("slicer.ScriptedLoadableModule", "slicer.i18n")) for name in taken), taken


def test_only_the_module_file_knows_qt() -> None:
    assert importers(MODULE + TRAINING, "qt", "ctk") <= {"LiverSeg.py"}


def test_only_the_network_and_what_runs_it_know_torch() -> None:
    assert importers(MODULE, "torch") <= TORCH_FILES


def test_the_library_knows_nothing_of_training_tests_or_the_module() -> None:
    assert importers(LIBRARY, "Training", "Testing", "LiverSeg") == set()


def test_the_library_needs_only_its_run_time_packages() -> None:
    used = set().union(*(packages_of(path) for path in LIBRARY))
    assert used - set(sys.stdlib_module_names) - {"LiverSegLib"} <= RUN_TIME_PACKAGES


def test_every_file_of_the_library_has_one_layer() -> None:
    assert {path.stem for path in LIBRARY} <= set(LAYER_OF)
    assert len(LAYER_OF) == sum(len(names) for names in LAYERS)


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.name)
def test_imports_run_downwards(path: Path) -> None:
    upwards = {name for name in library_imports(path) if LAYER_OF[name] < LAYER_OF[path.stem]}
    assert upwards == set()


def test_there_are_no_import_circles() -> None:
    graph = {path.stem: library_imports(path) for path in LIBRARY}
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError and names the circle


HEAVY = ("torch", "nibabel", "scipy")


def loaded_after(statements: str) -> list[str]:
    """Which heavy packages a fresh Python has loaded after these statements."""
    script = f"{statements}\nimport sys\nprint([name for name in {HEAVY} if name in sys.modules])"
    command = [sys.executable, "-c", script]
    finished = subprocess.run(command, cwd=MODULE_FOLDER, capture_output=True, text=True, timeout=120, check=False)
    assert finished.returncode == 0, finished.stderr
    return ast.literal_eval(finished.stdout.splitlines()[-1])


def test_the_package_itself_loads_nothing_heavy() -> None:
    assert loaded_after("import LiverSegLib") == []


def test_registering_the_module_loads_nothing_heavy() -> None:
    pytest.importorskip("slicer", reason="needs slicer-core")
    assert loaded_after("import LiverSeg\nassert LiverSeg.LiverSegLogic") == []
