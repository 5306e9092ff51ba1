"""Installing what Slicer lacks: one question, every way it can fail in one sentence, and nothing half done.

Stand-ins: a folder of packages on sys.path instead of Slicer's, a pip that writes into it, and the few functions of
slicer and PyTorchUtils that are called. What the real ones do was read in their source (Slicer 5.8 to 5.13).
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import numpy  # noqa: F401  (loaded before sys.path is emptied)
import pytest
from packaging.requirements import Requirement

from LiverSegLib import install
from LiverSegLib.errors import InstallError

ROOT = Path(__file__).parents[2]
WORKING_TORCH = "__version__ = '2.9.0'\ndef from_numpy(array): return array\n"


class Packages:
    """A folder of installed packages, the only one that Python finds besides its standard library."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str, version: str, code: str = "") -> None:
        self.remove(name)
        package, metadata = self.folder / name, self.folder / f"{name}-{version}.dist-info"
        package.mkdir()
        (package / "__init__.py").write_text(code, encoding="utf-8")
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        importlib.invalidate_caches()

    def remove(self, name: str) -> None:
        for path in [self.folder / name, *self.folder.glob(f"{name}-*.dist-info")]:
            shutil.rmtree(path, ignore_errors=True)
        importlib.invalidate_caches()


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Packages]:
    """Neither PyTorch nor nibabel is installed."""
    names = ("torch", "nibabel", "PyTorchUtils")
    own = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in names}
    for name in own:
        monkeypatch.delitem(sys.modules, name)
    standard_library = [entry for entry in sys.path if "site-packages" not in entry]
    monkeypatch.setattr(sys, "path", [str(tmp_path), *standard_library])
    importlib.invalidate_caches()
    yield Packages(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] in names]:
        del sys.modules[name]


class Slicer:
    """The application: what it asked, what was installed, and what goes wrong."""

    def __init__(self, packages: Packages) -> None:
        self.packages = packages
        self.questions: list[str] = []
        self.installed: list[str] = []
        self.answer = True
        self.testing = False
        self.pip_error: Exception | None = None
        self.torch_error: Exception | None = None
        self.torch_code = WORKING_TORCH
        self.while_installing: Callable[[], None] = lambda: None

    def ask(self, text: str, title: str) -> bool:
        self.questions.append(text)
        return self.answer

    def pip(self, requirements: list[str], **options: object) -> None:
        self.while_installing()
        if self.pip_error:
            raise self.pip_error
        self.installed += requirements
        for requirement in requirements:
            self.packages.add(Requirement(requirement).name, "5.3.2")

    def install_torch(self, askConfirmation: bool, torchVersionRequirement: str) -> None:
        assert askConfirmation is False
        if self.torch_error:
            raise self.torch_error
        self.installed.append(f"torch{torchVersionRequirement}")
        self.packages.add("torch", "2.9.0+cpu", self.torch_code)
        importlib.import_module("torch")  # as PyTorchUtils does

    def add_pytorch_extension(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.packages.add("PyTorchUtils", "0")
        module = importlib.import_module("PyTorchUtils")
        logic = types.SimpleNamespace(installTorch=self.install_torch)
        monkeypatch.setattr(module, "PyTorchUtilsLogic", lambda: logic, raising=False)

    def remove_pytorch_extension(self) -> None:
        self.packages.remove("PyTorchUtils")
        sys.modules.pop("PyTorchUtils", None)


@pytest.fixture
def old_slicer(packages: Packages, monkeypatch: pytest.MonkeyPatch) -> Slicer:
    """Slicer 5.8 or 5.10: without slicer.packaging."""
    slicer = Slicer(packages)
    util = types.ModuleType("slicer.util")
    util.confirmOkCancelDisplay = slicer.ask
    util.pip_install = slicer.pip
    util.MessageDialog = lambda text: nullcontext()
    util.WaitCursor = nullcontext
    module = types.ModuleType("slicer")
    module.app = types.SimpleNamespace(testingEnabled=lambda: slicer.testing)
    module.util = util
    monkeypatch.setitem(sys.modules, "slicer", module)
    monkeypatch.setitem(sys.modules, "slicer.util", util)
    monkeypatch.delitem(sys.modules, "slicer.packaging", raising=False)
    slicer.add_pytorch_extension(monkeypatch)
    return slicer


@pytest.fixture
def slicer(old_slicer: Slicer, monkeypatch: pytest.MonkeyPatch) -> Slicer:
    """Slicer 5.12: pip_ensure is what installs, and it must ask nothing by itself."""

    def pip_ensure(requirements: list[str], prompt_install: bool, prompt_restart: bool, requester: str) -> None:
        assert not prompt_install and not prompt_restart
        old_slicer.pip(requirements)

    packaging = types.ModuleType("slicer.packaging")
    packaging.pip_ensure = pip_ensure
    monkeypatch.setitem(sys.modules, "slicer.packaging", packaging)
    monkeypatch.delattr(sys.modules["slicer.util"], "pip_install")
    return old_slicer


def refusal(function: Callable[[], None] = install.ensure_packages) -> InstallError:
    with pytest.raises(InstallError) as caught:
        function()
    sentence = str(caught.value)
    assert "\n" not in sentence and "{" not in sentence and sentence.endswith(".")
    return caught.value


# ---- what is missing -------------------------------------------------------------------------------------------------


def test_all_that_is_missing_is_named_for_people(packages: Packages) -> None:
    assert install.missing_packages() == ["PyTorch", "nibabel"]


@pytest.mark.parametrize("version", ["1.13.1", "2.3.1+cpu", "2.4.0rc1"])
def test_an_old_version_counts_as_missing(packages: Packages, version: str) -> None:
    packages.add("torch", version)
    packages.add("nibabel", "5.2")
    assert install.missing_packages() == ["PyTorch"]


@pytest.mark.parametrize("version", ["2.4.0", "2.10.0", "3.0.0.dev20270101+cu130", "2.9.0a0+git1234"])
def test_newer_and_development_versions_are_good(packages: Packages, version: str) -> None:
    packages.add("torch", version)
    assert "PyTorch" not in install.missing_packages()


def test_remains_of_a_package_count_as_missing(packages: Packages) -> None:
    packages.add("torch", "2.9.0")
    shutil.rmtree(packages.folder / "torch")
    importlib.invalidate_caches()
    assert "PyTorch" in install.missing_packages()
    packages.remove("torch")
    (packages.folder / "torch" / "lib").mkdir(parents=True)
    assert "PyTorch" in install.missing_packages()


def test_looking_for_packages_imports_none_of_them() -> None:
    script = (
        "import sys; from LiverSegLib import install; assert install.missing_packages() == [];"
        "print(sorted({'torch', 'nibabel', 'numpy', 'slicer'} & set(sys.modules)))"
    )
    command = [sys.executable, "-c", script]
    finished = subprocess.run(command, cwd=ROOT / "LiverSeg", capture_output=True, text=True, timeout=120, check=True)
    assert finished.stdout.strip() == "[]"


def test_the_lowest_versions_are_those_of_the_library_outside_slicer() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {str(requirement) for requirement in install._required()} <= set(project["dependencies"])


def test_requirements_name_lowest_versions_of_what_slicer_lacks() -> None:
    of_slicer = {"numpy", "scipy", "simpleitk", "pillow", "packaging", "pydicom", "vtk", "torch"}
    lines = install.REQUIREMENTS_FILE.read_text(encoding="utf-8").splitlines()
    requirements = [Requirement(line) for line in lines if not line.startswith("#")]
    assert not of_slicer & {requirement.name.lower() for requirement in requirements}
    assert all([item.operator for item in requirement.specifier] == [">="] for requirement in requirements)


# ---- installing ------------------------------------------------------------------------------------------------------


def test_one_question_and_everything_is_installed(slicer: Slicer) -> None:
    install.ensure_packages()
    assert len(slicer.questions) == 1
    assert sorted(slicer.installed) == ["nibabel>=5.2", "torch>=2.4"]
    assert install.missing_packages() == []


def test_slicer_5_8_installs_by_its_older_pip_function(old_slicer: Slicer) -> None:
    install.ensure_packages()
    assert sorted(old_slicer.installed) == ["nibabel>=5.2", "torch>=2.4"]
    assert len(old_slicer.questions) == 1


def test_the_question_says_what_how_large_and_what_to_do_offline(slicer: Slicer) -> None:
    install.ensure_packages()
    question = slicer.questions[0]
    assert all(words in question for words in ("PyTorch", "nibabel", "200 MB", "GB", "without internet"))


def test_without_pytorch_in_the_list_the_question_does_not_frighten(slicer: Slicer) -> None:
    slicer.packages.add("torch", "2.9.0", WORKING_TORCH)
    install.ensure_packages()
    assert "PyTorch" not in slicer.questions[0] and "GB" not in slicer.questions[0]
    assert slicer.installed == ["nibabel>=5.2"]


def test_nothing_is_asked_when_nothing_is_missing(slicer: Slicer) -> None:
    slicer.packages.add("torch", "2.9.0", "raise AssertionError('imported on the main thread')")
    slicer.packages.add("nibabel", "5.2")
    install.ensure_packages()
    assert slicer.questions == [] and slicer.installed == []


def test_nothing_is_ever_installed_in_testing_mode(slicer: Slicer) -> None:
    slicer.testing = True
    assert "PyTorch, nibabel" in str(refusal())
    assert slicer.questions == [] and slicer.installed == []


def test_outside_slicer_nothing_is_installed(packages: Packages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "slicer", types.ModuleType("slicer"))  # slicer-core: no application
    assert "PyTorch, nibabel" in str(refusal())


# ---- what can go wrong -----------------------------------------------------------------------------------------------


def test_declining_installs_nothing_and_the_next_click_asks_again(slicer: Slicer) -> None:
    slicer.answer = False
    assert "click Segment Liver again" in str(refusal())
    assert slicer.installed == []
    slicer.answer = True
    install.ensure_packages()
    assert len(slicer.questions) == 2


def test_without_the_pytorch_extension_the_sentence_names_it_and_nothing_is_asked(slicer: Slicer) -> None:
    slicer.remove_pytorch_extension()
    assert "Extensions Manager" in str(refusal())
    assert slicer.questions == [] and slicer.installed == []


def test_pytorch_is_never_installed_by_pip_directly(old_slicer: Slicer) -> None:
    old_slicer.torch_error = RuntimeError("no")
    refusal()
    assert not any(requirement.startswith("torch") for requirement in old_slicer.installed)


def test_without_internet_the_sentence_says_what_to_check_and_the_next_click_tries_again(slicer: Slicer) -> None:
    slicer.pip_error = subprocess.CalledProcessError(1, ["pip"])
    error = refusal()
    assert "internet" in str(error) and error.__cause__ is slicer.pip_error
    assert slicer.installed == []
    slicer.pip_error = None
    install.ensure_packages()
    assert install.missing_packages() == []


def test_a_failed_installation_of_pytorch_keeps_the_cause_and_can_be_tried_again(slicer: Slicer) -> None:
    slicer.torch_error = RuntimeError("No space left on device\nmore")
    error = refusal()
    assert "No space left on device" in str(error) and error.__cause__ is slicer.torch_error
    slicer.torch_error = None
    install.ensure_packages()
    assert install.missing_packages() == []
    assert "nibabel" not in slicer.questions[1]  # only what is still missing


def test_an_installation_that_leaves_nothing_is_a_failure(slicer: Slicer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slicer.packages, "add", lambda *arguments: None)
    slicer.packages.__dict__["add"]("torch", "0")
    assert "could not be installed" in str(refusal())


BROKEN = {
    "OSError": "raise OSError('[WinError 126] c10.dll or one of its dependencies was not found')",
    "ImportError": "raise ImportError('libcudart.so.12: cannot open shared object file')",
    "AttributeError": "__version__ = '2.9.0'",  # only a part of its files is there
    "RuntimeError": "def from_numpy(array): raise RuntimeError('Numpy is not available')",
}


@pytest.mark.parametrize("code", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_pytorch_is_told_with_its_cause_and_the_way_out(slicer: Slicer, code: str) -> None:
    slicer.torch_code = code
    error = refusal()
    assert "uninstall" in str(error) and "restart" in str(error)
    assert error.__cause__ is not None


@pytest.mark.parametrize("code", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_pytorch_that_was_there_before_is_told_when_it_is_loaded(slicer: Slicer, code: str) -> None:
    slicer.packages.add("torch", "2.9.0", code)
    assert "uninstall" in str(refusal(install.check_pytorch))


def test_an_old_package_in_memory_is_not_touched_before_a_restart(slicer: Slicer) -> None:
    slicer.packages.add("torch", "1.13.1", "__version__ = '1.13.1'")
    importlib.import_module("torch")
    sentence = str(refusal())
    assert all(words in sentence for words in ("1.13.1", "2.4", "restart Slicer"))
    assert slicer.questions == [] and slicer.installed == []


@pytest.mark.parametrize("function", [install.ensure_packages, install.check_packages])
def test_a_package_that_was_updated_while_loaded_needs_a_restart(slicer: Slicer, function: Callable) -> None:
    slicer.packages.add("torch", "1.13.1", "__version__ = '1.13.1'")
    importlib.import_module("torch")
    slicer.packages.add("torch", "2.9.0", WORKING_TORCH)
    slicer.packages.add("nibabel", "5.2")
    assert "restart Slicer" in str(refusal(function))


def test_a_click_while_pip_runs_starts_no_second_pip(slicer: Slicer) -> None:
    sentences = []
    slicer.while_installing = lambda: sentences.append(str(refusal()))
    install.ensure_packages()
    assert len(slicer.questions) == 1 and len(slicer.installed) == 2
    assert "still running" in sentences[0]
