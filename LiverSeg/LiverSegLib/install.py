"""The Python packages that Slicer does not bring along: found, asked for once, installed when they are first needed.

PyTorch comes from the PyTorch extension, which chooses the build for this computer's GPU; the others are listed in
Resources/requirements.txt. Use this on the main thread only: Slicer's pip writes to its windows.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CalledProcessError  # nosec B404 # the error of Slicer's pip, caught; nothing is run
from typing import TYPE_CHECKING

from . import messages
from .errors import InstallDeclined, InstallError

if TYPE_CHECKING:
    from packaging.requirements import Requirement

TORCH = "torch>=2.4"
REQUIREMENTS_FILE = Path(__file__).parents[1] / "Resources" / "requirements.txt"
HUMAN_NAMES = {"torch": "PyTorch"}

# While pip runs, Slicer handles clicks: a second one must not start a second pip.
_installing = False


def missing_packages() -> list[str]:
    """Names of the packages to install or to update, for people; imports none of them.

    >>> missing_packages()
    ['PyTorch', 'nibabel']
    """
    return [_human_name(requirement) for requirement in _missing()]


def check_packages() -> None:
    """Ask and install nothing.

    Raises
    ------
    InstallError
        If a package is missing or too old, or if an older one is still loaded.
    """
    missing = _missing()
    if missing:
        raise InstallError(messages.PACKAGES_MISSING.format(packages=_listed(missing)))
    if any(_loaded_is_too_old(requirement) for requirement in _required()):
        raise InstallError(messages.RESTART_NEEDED)


def ensure_packages(requester: str = "Liver Segmentation") -> None:
    """Install what is missing, after one question; asks nothing if nothing is missing.

    Nothing is installed in Slicer's testing mode and outside Slicer. A further call tries again what failed.

    Parameters
    ----------
    requester
        Title of the windows that ask and that show pip's progress.

    Raises
    ------
    InstallError
        If the user declines, an installation fails, a restart is needed, or PyTorch does not load.
    """
    missing = _missing()
    if not missing or not _may_install():
        return check_packages()
    _check_possible(missing)
    _ask(missing, requester)
    _install(missing, requester)
    importlib.invalidate_caches()
    still_missing = _missing()
    if still_missing:
        raise _failure(still_missing, messages.REASON_NOT_FOUND)
    check_packages()
    check_pytorch()


def check_pytorch() -> None:
    """Load PyTorch and let it compute, seconds on the first call; may be called in any thread.

    Raises
    ------
    InstallError
        If PyTorch is there but cannot be loaded or does not work with Slicer's NumPy.
    """
    try:
        import numpy as np
        import torch

        torch.from_numpy(np.ones((2, 2), dtype=np.float32)).sum().item()
    except (ImportError, OSError, RuntimeError, AttributeError) as error:  # of missing or foreign libraries
        raise InstallError(messages.PYTORCH_BROKEN.format(reason=_reason(error))) from error


# ---- what is there ---------------------------------------------------------------------------------------------------


def _required() -> list[Requirement]:
    from packaging.requirements import Requirement

    lines = REQUIREMENTS_FILE.read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in [TORCH, *lines] if line.strip() and not line.startswith("#")]


def _missing() -> list[Requirement]:
    return [requirement for requirement in _required() if not _is_installed(requirement)]


def _is_installed(requirement: Requirement) -> bool:
    """Whether the package can be found on disk, new enough."""
    version = _installed_version(requirement.name)
    if version is None or not requirement.specifier.contains(version, prereleases=True):
        return False
    # A failed removal can leave the version's folder and nothing else.
    return requirement.name in sys.modules or importlib.util.find_spec(requirement.name) is not None


def _installed_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _loaded_is_too_old(requirement: Requirement) -> bool:
    version = getattr(sys.modules.get(requirement.name), "__version__", None)
    return version is not None and not requirement.specifier.contains(str(version), prereleases=True)


# ---- asking and installing -------------------------------------------------------------------------------------------


def _may_install() -> bool:
    """Whether this is Slicer, with a user in front of it: in testing mode its questions answer themselves."""
    app = getattr(sys.modules.get("slicer"), "app", None)
    return app is not None and not app.testingEnabled()


def _check_possible(missing: list[Requirement]) -> None:
    if _installing:
        raise InstallError(messages.INSTALL_RUNNING)
    for requirement in missing:
        # pip cannot replace the files of a package in use on Windows, and leaves it broken.
        if _loaded_is_too_old(requirement):
            version = sys.modules[requirement.name].__version__
            name, minimum = _human_name(requirement), _minimum(requirement)
            raise InstallError(messages.VERSION_TOO_OLD.format(package=name, version=version, minimum=minimum))
    if _torch_in(missing) and importlib.util.find_spec("PyTorchUtils") is None:
        raise InstallError(messages.INSTALL_NEEDS_EXTENSION)


def _ask(missing: list[Requirement], requester: str) -> None:
    import slicer.util

    size = messages.SIZE_WITH_PYTORCH if _torch_in(missing) else messages.SIZE_SMALL
    question = messages.INSTALL_QUESTION.format(packages=_listed(missing), size=size)
    if not slicer.util.confirmOkCancelDisplay(question, requester):
        raise InstallDeclined(messages.INSTALL_DECLINED.format(packages=_listed(missing)))


def _install(missing: list[Requirement], requester: str) -> None:
    global _installing
    _installing = True
    try:
        # The small ones first: without internet they tell so within seconds.
        for requirement in sorted(missing, key=lambda requirement: requirement.name == "torch"):
            _install_one(requirement, requester)
    finally:
        _installing = False


def _install_one(requirement: Requirement, requester: str) -> None:
    try:
        if requirement.name == "torch":
            _install_pytorch(requirement)
        else:
            _install_by_pip(requirement, requester)
    except Exception as error:  # the installers raise whatever their parts do; each is told in one sentence
        importlib.invalidate_caches()
        if requirement.name == "torch" and _is_installed(requirement):
            # PyTorchUtils loads PyTorch after the installation: that is what failed.
            raise InstallError(messages.PYTORCH_BROKEN.format(reason=_reason(error))) from error
        raise _failure([requirement], _reason(error)) from error


def _install_pytorch(requirement: Requirement) -> None:
    import PyTorchUtils

    with _message_while_installing(requirement):
        logic = PyTorchUtils.PyTorchUtilsLogic()
        logic.installTorch(askConfirmation=False, torchVersionRequirement=str(requirement.specifier))


def _install_by_pip(requirement: Requirement, requester: str) -> None:
    import slicer.util

    try:
        from slicer.packaging import pip_ensure
    except ModuleNotFoundError:  # before Slicer 5.11
        with _message_while_installing(requirement):
            slicer.util.pip_install([str(requirement)])
    else:
        # We have asked, and check for an older package in memory, ourselves.
        pip_ensure([str(requirement)], prompt_install=False, prompt_restart=False, requester=requester)


@contextmanager
def _message_while_installing(requirement: Requirement) -> Iterator[None]:
    import slicer.util

    text = messages.INSTALLING.format(packages=_human_name(requirement))
    with slicer.util.MessageDialog(text), slicer.util.WaitCursor():
        yield


# ---- words -----------------------------------------------------------------------------------------------------------


def _torch_in(requirements: list[Requirement]) -> bool:
    return any(requirement.name == "torch" for requirement in requirements)


def _human_name(requirement: Requirement) -> str:
    return HUMAN_NAMES.get(requirement.name, requirement.name)


def _listed(requirements: list[Requirement]) -> str:
    return ", ".join(_human_name(requirement) for requirement in requirements)


def _minimum(requirement: Requirement) -> str:
    return str(requirement.specifier).removeprefix(">=")


def _failure(requirements: list[Requirement], reason: str) -> InstallError:
    return InstallError(messages.INSTALL_FAILED.format(packages=_listed(requirements), reason=reason))


def _reason(error: Exception) -> str:
    """The cause on one line."""
    if isinstance(error, CalledProcessError):
        return messages.REASON_PIP_FAILED.format(code=error.returncode)
    lines = str(error).splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
