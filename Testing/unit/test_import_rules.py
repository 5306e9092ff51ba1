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
MRML = sorted((LIBRARY_FOLDER / "mrml").glob("*.py"))
PANEL = sorted((LIBRARY_FOLDER / "panel").glob("*.py"))
MODULE = sorted(MODULE_FOLDER.rglob("*.py"))
TRAINING = sorted((ROOT / "Training").rglob("*.py"))

# Highest first: a room imports from its own layer and from those below it. A new room is given its layer here.
LAYERS = [
    {"cli", "panel", "sample_data"},
    {"batch", "mrml"},
    {"evaluation", "io", "dicom"},
    {"inference"},
    {"model", "phantom", "install"},
    {"data"},
    {"errors", "messages", "i18n", "__init__"},
]
LAYER_OF = {room: depth for depth, rooms in enumerate(LAYERS) for room in rooms}
TORCH_ROOMS = {"model", "inference"}
# Jinja2 comes with PyTorch.
RUN_TIME_PACKAGES = {"torch", "jinja2", "numpy", "scipy", "nibabel", "SimpleITK", "PIL", "slicer", "vtk", "vtkmodules"}
# Comes with nibabel, and with Slicer.
RUN_TIME_PACKAGES |= {"packaging"}
# For `--scheduler` alone: Slicer does not bring it along.
RUN_TIME_PACKAGES |= {"distributed", "dask"}
# Come with Slicer, and outside it with `pip install .` and `.[dicom]`.
RUN_TIME_PACKAGES |= {"pydicom", "highdicom"}
# Of the Slicer application.
RUN_TIME_PACKAGES |= {"qt"}
# Modules of Slicer; imported only when Slicer has started, and only where each is.
SLICER_MODULES = {"SampleData": "sample_data.py", "PyTorchUtils": "install.py"}


def imported_by(path: Path) -> set[str]:
    """Dotted names of all that a file imports, wherever in the file, and of what it takes from there.

    What only type checkers see counts too: a circle of types is a circle.
    """
    return set(_imports(ast.parse(path.read_text(encoding="utf-8")), _package_of(path)))


def _package_of(path: Path) -> list[str]:
    """Names of the packages that a file is in, outermost first."""
    folders = path.parent.parts
    return list(folders[folders.index("LiverSegLib") :]) if "LiverSegLib" in folders else [path.parent.name]


def _imports(node: ast.AST, package: list[str]) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        outer = package[: len(package) - node.level + 1] if node.level else []
        base = ".".join([*outer, *filter(None, [node.module])])
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)
    for child in ast.iter_child_nodes(node):
        yield from _imports(child, package)


def _is_for_type_checkers_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def packages_of(path: Path) -> set[str]:
    """Top-level names that a file imports."""
    return {name.partition(".")[0] for name in imported_by(path)}


def importers(files: list[Path], *packages: str) -> set[str]:
    """Names of the files that import any of the packages."""
    return {path.name for path in files if packages_of(path) & set(packages)}


def module_of(path: Path) -> str:
    """A file of the library by its dotted name inside the library: volume, mrml.images, or mrml for its __init__."""
    *folders, name = path.relative_to(LIBRARY_FOLDER).with_suffix("").parts
    return ".".join([*folders, name] if name != "__init__" or not folders else folders)


def library_imports(path: Path) -> set[str]:
    """Files of the library that a file imports, as :func:`module_of` names them."""
    names = {name.removeprefix("LiverSegLib.") for name in imported_by(path) if name.startswith("LiverSegLib.")}
    return names & {module_of(other) for other in LIBRARY}


def layer_of(module: str) -> int:
    return LAYER_OF[module.partition(".")[0]]


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("import torch.nn as nn", "torch.nn"),
        ("from torch import Tensor", "torch"),
        ("from .volume import CTVolume", "LiverSegLib.volume"),
        ("from . import volume", "LiverSegLib.volume"),
        ("from LiverSegLib import volume", "LiverSegLib.volume"),
        ("def lazily():\n    import torch", "torch"),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch", "torch"),
    ],
)
def test_no_way_of_importing_escapes_these_tests(line: str, name: str, tmp_path: Path) -> None:
    file = tmp_path / "LiverSegLib" / "some.py"
    file.parent.mkdir()
    file.write_text(line, encoding="utf-8")
    assert name in imported_by(file)


def test_only_mrml_knows_slicer_and_vtk() -> None:
    others = [path for path in LIBRARY + TRAINING if path not in MRML]
    assert MRML and importers(others, "slicer", "vtk", "vtkmodules") <= {"i18n.py", "install.py", "sample_data.py"}


def test_the_module_file_imports_at_file_scope_only_what_slicer_has_loaded_already() -> None:
    tree = ast.parse((MODULE_FOLDER / "LiverSeg.py").read_text(encoding="utf-8"))
    outside_functions = [node for node in tree.body if not isinstance(node, ast.ClassDef | ast.FunctionDef)]
    taken = {
        name.partition(".")[0]
        for node in outside_functions
        if not _is_for_type_checkers_only(node)
        for name in _imports(ast.Module([node], []), [])
    }
    assert taken - set(sys.stdlib_module_names) == {"slicer", "vtk"}


def test_only_the_panel_knows_qt() -> None:
    others = [path for path in MODULE + TRAINING if path not in PANEL]
    assert PANEL and importers(others, "qt", "ctk") <= {"LiverSeg.py"}


def test_only_the_network_and_what_runs_it_know_torch() -> None:
    others = [
        path
        for path in MODULE
        if path.relative_to(LIBRARY_FOLDER if path in LIBRARY else MODULE_FOLDER).parts[0] not in TORCH_ROOMS
    ]
    # install.py only tries whether PyTorch, once installed, can be loaded.
    assert importers(others, "torch") <= {"install.py"}


def test_only_the_batch_knows_the_cluster() -> None:
    assert importers(MODULE + TRAINING, "distributed", "dask") == {
        "cluster.py",
        "cluster_session.py",
        "cluster_worker.py",
    }


def test_only_the_writers_of_dicom_objects_know_highdicom() -> None:
    assert importers(MODULE + TRAINING, "highdicom") == {"segmentation.py", "measurements.py"}


def test_the_library_knows_nothing_of_training_tests_or_the_module() -> None:
    assert importers(LIBRARY, "Training", "Testing", "LiverSeg") == set()


def test_the_library_needs_only_its_run_time_packages() -> None:
    used = set().union(*(packages_of(path) for path in LIBRARY))
    assert used - set(sys.stdlib_module_names) - {"LiverSegLib"} <= RUN_TIME_PACKAGES | set(SLICER_MODULES)


@pytest.mark.parametrize(("module", "file"), SLICER_MODULES.items())
def test_each_module_of_slicer_is_known_to_one_file_only(module: str, file: str) -> None:
    assert importers(MODULE + TRAINING, module) <= {file}


def test_every_room_of_the_library_has_one_layer() -> None:
    assert {module_of(path).partition(".")[0] for path in LIBRARY} == set(LAYER_OF)
    assert len(LAYER_OF) == sum(len(names) for names in LAYERS)


def test_imports_run_downwards() -> None:
    imports = [(module_of(path), name) for path in LIBRARY for name in library_imports(path)]
    assert [(module, name) for module, name in imports if layer_of(name) < layer_of(module)] == []


def test_there_are_no_import_circles() -> None:
    graph = {module_of(path): library_imports(path) for path in LIBRARY}
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
