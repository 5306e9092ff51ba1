"""`pip install .`: in an environment that has nothing of the checkout, each command does its work."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "LiverSeg" / "LiverSegLib"
BUILD = "from setuptools import build_meta; print(build_meta.build_{}({!r}))"

Run = Callable[..., str]


def finished(*command: object, cwd: Path) -> str:
    """What a command prints; an error of it is one of the test."""
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    run = subprocess.run(
        [*map(str, command)], cwd=cwd, env=outside, capture_output=True, text=True, timeout=600, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.fixture(scope="module", params=["wheel", "sdist"])
def environment(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the library, of either kind of archive; it borrows the packages that are needed."""
    folder = tmp_path_factory.mktemp("installed")
    source, fresh = folder / "source", folder / "environment"
    shutil.copytree(ROOT / "LiverSeg", source / "LiverSeg", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    archive = finished(sys.executable, "-c", BUILD.format(request.param, str(folder)), cwd=source).splitlines()[-1]
    venv.create(fresh, symlinks=sys.platform != "win32")
    paths = {"base": str(fresh), "platbase": str(fresh)}
    borrowed = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    Path(sysconfig.get_path("purelib", "venv", paths), "borrowed.pth").write_text("\n".join(borrowed))
    python = Path(sysconfig.get_path("scripts", "venv", paths), "python")
    pip = (
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-index",
        "--no-deps",
        "--no-build-isolation",
    )
    finished(*pip, "--ignore-installed", folder / archive, cwd=folder)
    return fresh


def files_below(folder: Path) -> set[str]:
    """All but what Python compiles."""
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {path.as_posix() for path in paths if "__pycache__" not in path.parts}


@pytest.fixture
def run(environment: Path, tmp_path: Path) -> Run:
    """Run `liverseg` as it was installed, in an empty folder."""
    (command,) = (path for folder in ("bin", "Scripts") for path in environment.glob(f"{folder}/liverseg*"))
    return lambda *arguments: finished(command, *arguments, cwd=tmp_path)


def test_every_file_of_the_library_and_the_network_are_installed(environment: Path) -> None:
    (installed,) = environment.rglob("LiverSegLib/__init__.py")
    models = installed.parent / "Models"
    assert files_below(installed.parent) - {f"Models/{name}" for name in files_below(models)} == files_below(LIBRARY)
    networks = ("couinaud", "liver", "liver_mr", "refine", "vessel")
    assert files_below(models) == {f"{network}_unet.{suffix}" for network in networks for suffix in ("pt", "json")}


def test_each_command_does_its_work(run: Run, tmp_path: Path) -> None:
    run("phantom", "-o", "phantom")
    run("segment", "phantom/ct.nii.gz", "-o", "liver.nii.gz", "--reference", "phantom/liver.nii.gz")
    assert "dice: 0.9" in run("evaluate", "liver.nii.gz", "phantom/liver.nii.gz")
    (tmp_path / "cases.csv").write_text("ct\nphantom/ct.nii.gz\n")
    assert "1 done" in run("batch", "cases.csv", "-o", "out")
    assert "sha256" in run("info")
