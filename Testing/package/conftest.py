"""The extension, laid out once by CMake as Slicer's build would install it, and Python that sees only that."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from cmake import CMAKE_BIN_DIR

from Testing.package.make_package import Package, lay_out

CTEST = str(Path(CMAKE_BIN_DIR) / "ctest")


class Installed:
    """What can be done with an extension that is laid out; nothing of the repository is on the path of its Python."""

    def __init__(self, package: Package) -> None:
        self.package = package

    def files(self) -> set[str]:
        """All installed files, relative to the extension's folder; byte code is none of them."""
        paths = (path.relative_to(self.package.folder) for path in self.package.folder.rglob("*") if path.is_file())
        return {path.as_posix() for path in paths if "__pycache__" not in path.parts}

    def tests(self) -> dict[str, list[str]]:
        """The command of each test that is registered for ctest, by the test's name."""
        listed = self._run([CTEST, "--test-dir", str(self.package.build), "--show-only=json-v1"])
        return {test["name"]: test["command"] for test in json.loads(listed.stdout)["tests"]}

    def run_without(self, package: str, name: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run one registered test in a Python that lacks a package; `folder` is empty and takes links to the others."""
        command = self.tests()[name]
        first, last = command.index("--site-packages") + 1, command.index("--additional-module-paths")
        for path in (path for packages in command[first:last] for path in Path(packages).iterdir()):
            if path.name.partition("-")[0] != package:
                (folder / path.name).symlink_to(path)
        return self._run([*command[:first], str(folder), *command[last:]])

    def ctest(self, name: str) -> str:
        """Run one registered test; what it said. Fails with that if the test does not pass."""
        command = [CTEST, "--test-dir", str(self.package.build), "--tests-regex", f"^{name}$", "--verbose"]
        finished = self._run([*command, "--no-tests=error"])
        assert finished.returncode == 0, finished.stdout + finished.stderr
        return finished.stdout

    def python(self, code: str) -> subprocess.CompletedProcess[str]:
        """Run code as Slicer's --python-code would."""
        command = next(command for command in self.tests().values() if "--python-code" in command)
        return self._run([*command[: command.index("--python-code")], "--python-code", code])

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=self.package.build, capture_output=True, text=True, timeout=900, check=False)


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(lay_out(tmp_path_factory.mktemp("package")))
