"""Stand-ins for what installs Python packages in Slicer: nothing is installed, every call is written down.

Packages can be hidden from Python, so that a module meets an empty Slicer; "installing" one lets it be seen again.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from subprocess import CalledProcessError
from types import ModuleType


class Installer:
    """What was asked to be installed, and how that goes.

    ``calls`` holds (who, requirements). ``error``, when set, is raised by the next installation: no internet, say.
    """

    def __init__(self) -> None:
        self.calls: list[tuple[str, list[str]]] = []
        self.error: Exception | None = None
        self.hidden: set[str] = set()
        self._put_away: dict[str, ModuleType] = {}
        self._find_spec, self._version = importlib.util.find_spec, importlib.metadata.version

    def pip_fails(self, code: int = 1) -> None:
        self.error = CalledProcessError(code, ["pip", "install"])

    def install(self, who: str, requirements: object, **_options: object) -> None:
        one = isinstance(requirements, str) or not hasattr(requirements, "__iter__")
        wanted = str(requirements).split() if one else [str(requirement) for requirement in requirements]
        self.calls.append((who, wanted))
        if self.error is not None:
            raise self.error
        self._reveal({_name(requirement) for requirement in wanted})

    # -- packages that are not there

    def hide(self, *names: str) -> None:
        """Let Python find none of these packages; modules that are loaded are put away and come back unharmed."""
        self.hidden |= set(names)
        for module in [name for name in sys.modules if name.split(".")[0] in self.hidden]:
            self._put_away[module] = sys.modules.pop(module)
        importlib.util.find_spec = self._find_visible_spec
        importlib.metadata.version = self._visible_version
        if self not in sys.meta_path:
            sys.meta_path.insert(0, self)

    def find_spec(self, name: str, path=None, target=None) -> None:
        """Python asks this first for every module that is not loaded."""
        if name.split(".")[0] in self.hidden:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)

    def _find_visible_spec(self, name: str, package: str | None = None):
        return None if name.split(".")[0] in self.hidden else self._find_spec(name, package)

    def _visible_version(self, name: str) -> str:
        if name in self.hidden:
            raise importlib.metadata.PackageNotFoundError(name)
        return self._version(name)

    def _reveal(self, names: set[str]) -> None:
        self.hidden -= names
        for module in [name for name in self._put_away if name.split(".")[0] not in self.hidden]:
            sys.modules[module] = self._put_away.pop(module)

    def restore(self) -> None:
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        self._reveal(set(self.hidden))
        importlib.util.find_spec, importlib.metadata.version = self._find_spec, self._version


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement.strip())[0]


def packaging_module(installer: Installer) -> ModuleType:
    """slicer.packaging of Slicer 5.11 and later, on packages that may be hidden."""
    import slicer.util
    from packaging.requirements import Requirement

    def load_requirements(path: str | Path) -> list[Requirement]:
        lines = [line.split(" #")[0].strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
        return [Requirement(line) for line in lines if line and not line.startswith(("#", "-"))]

    def pip_check(requirement: str | Requirement) -> bool:
        wanted = Requirement(str(requirement))
        try:
            return wanted.specifier.contains(importlib.metadata.version(wanted.name), prereleases=True)
        except importlib.metadata.PackageNotFoundError:
            return False

    def pip_ensure(requirements, prompt_install: bool = True, skip_in_testing: bool = True, **options) -> None:
        every = requirements.split() if isinstance(requirements, str) else list(requirements)
        missing = [requirement for requirement in every if not pip_check(requirement)]
        if not missing or (skip_in_testing and slicer.app.testingEnabled()):
            return
        if prompt_install and not slicer.util.confirmOkCancelDisplay(f"{len(missing)} packages need to be installed."):
            raise RuntimeError("User declined package installation")
        installer.install("pip_ensure", missing, **options)

    module = ModuleType("slicer.packaging")
    module.load_requirements, module.pip_check, module.pip_ensure = load_requirements, pip_check, pip_ensure
    return module


def pytorch_module(installer: Installer) -> ModuleType:
    """PyTorchUtils, which comes with the PyTorch extension."""

    class PyTorchUtilsLogic:
        def installTorch(self, askConfirmation: bool = False, torchVersionRequirement: str | None = None) -> ModuleType:
            installer.install("installTorch", [f"torch{torchVersionRequirement or ''}"])
            return importlib.import_module("torch")

    module = ModuleType("PyTorchUtils")
    module.__spec__ = ModuleSpec("PyTorchUtils", None)
    module.PyTorchUtilsLogic = PyTorchUtilsLogic
    return module
