"""A cluster that cannot do the work is refused with a clear sentence before any case runs."""

from __future__ import annotations

import shutil
import signal
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import dask
import pytest

from LiverSegLib import __version__
from LiverSegLib.batch import BatchOptions, Case, CaseRecord
from LiverSegLib.batch.cluster import run_on_cluster
from LiverSegLib.errors import InputError
from Testing.cluster.conftest import RunCases, Warnings
from Testing.cluster.processes import LIBRARY, Cluster


@pytest.fixture
def a_changed_library(tmp_path: Path, a_model: Path) -> Callable[..., Path]:
    """A copy of the library for a worker, of another version or with other bundled weights."""

    def changed(version: str = __version__) -> Path:
        folder = tmp_path / "library"
        package = folder / "LiverSegLib"
        shutil.copytree(LIBRARY / "LiverSegLib", package, ignore=shutil.ignore_patterns("__pycache__"))
        text = (package / "__init__.py").read_text(encoding="utf-8")
        (package / "__init__.py").write_text(text.replace(f'"{__version__}"', f'"{version}"'), encoding="utf-8")
        models = folder / "Resources" / "Models"
        models.mkdir(parents=True)
        for suffix in (".pt", ".json"):
            shutil.copy(a_model.with_suffix(suffix), models / f"liver_unet{suffix}")
        return folder

    return changed


@pytest.fixture
def a_worker_without_the_library(a_cluster: Cluster, tmp_path: Path) -> Callable[[], str]:
    """Starts a worker in whose Python the library is not installed."""

    def start() -> str:
        preload = tmp_path / "hide_library.py"
        preload.write_text('import sys\nsys.modules["LiverSegLib"] = None\n', encoding="utf-8")
        return a_cluster.start_worker("--preload", str(preload))

    return start


@pytest.fixture
def refusal(run_cases: RunCases, output: Path) -> Callable[..., str]:
    """What is said when a cluster is refused; no case has run, and nothing is left."""

    def refused(cluster: Cluster, cases: list[Case], **kwargs: object) -> str:
        with pytest.raises(InputError) as caught:
            run_cases(cluster, cases, **kwargs)
        assert list(output.iterdir()) == []
        return str(caught.value)

    return refused


# ---- the scheduler ---------------------------------------------------------------------------------------------------


@pytest.fixture
def an_address_that_never_answers() -> Iterator[str]:
    """Connections are taken, and then nothing comes."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}"


def refused_address(address: str, case: Case, output: Path) -> str:
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}), pytest.raises(InputError) as caught:
        run_on_cluster([case], BatchOptions(), output, address, print)
    assert list(output.iterdir()) == []
    return str(caught.value)


def test_a_scheduler_that_does_not_answer_is_named(
    an_address_that_never_answers: str, some_cases: list[Case], output: Path
) -> None:
    sentence = refused_address(an_address_that_never_answers, some_cases[0], output)
    assert sentence.startswith(f"No Dask scheduler answers at {an_address_that_never_answers}")


def test_a_port_on_which_nobody_listens_is_named(
    an_address_that_never_answers: str, some_cases: list[Case], output: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
        assert refused_address(address, some_cases[0], output).startswith(f"No Dask scheduler answers at {address}")


def test_a_scheduler_behind_tls_needs_certificates(some_cases: list[Case], output: Path) -> None:
    assert "TLS" in refused_address("tls://127.0.0.1:8786", some_cases[0], output)


@pytest.mark.parametrize(
    "address", ["nonsense", "tcp://", "http://localhost:8786", "tcp://localhost:port", "", "inproc", "localhost:99999"]
)
def test_what_is_no_address_is_named(address: str, some_cases: list[Case], output: Path) -> None:
    sentence = refused_address(address, some_cases[0], output)
    assert address in sentence and "tcp://host:port" in sentence


# ---- its workers -----------------------------------------------------------------------------------------------------


def test_a_worker_of_another_version_is_named(
    a_cluster: Cluster, a_changed_library: Callable[..., Path], refusal: Callable[..., str], some_cases: list[Case]
) -> None:
    worker = a_cluster.start_worker(library=a_changed_library(version="99.9"))
    sentence = refusal(a_cluster, some_cases)
    assert worker in sentence and "99.9" in sentence and __version__ in sentence


@pytest.mark.slow
def test_a_worker_with_other_weights_is_named(
    a_cluster: Cluster, a_changed_library: Callable[..., Path], refusal: Callable[..., str], some_cases: list[Case]
) -> None:
    worker = a_cluster.start_worker(library=a_changed_library())
    sentence = refusal(a_cluster, some_cases, options=BatchOptions(device="cpu"))
    assert worker in sentence and "other weights" in sentence


def test_a_worker_without_the_library_is_named(
    a_cluster: Cluster,
    a_worker_without_the_library: Callable[[], str],
    refusal: Callable[..., str],
    some_cases: list[Case],
) -> None:
    worker = a_worker_without_the_library()
    sentence = refusal(a_cluster, some_cases)
    assert worker in sentence and f"install liverseg {__version__} there" in sentence


@pytest.mark.slow
def test_a_worker_that_sees_another_output_is_named(
    a_cluster: Cluster, options: BatchOptions, some_cases: list[Case], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Linux, /proc/self/cwd is a folder of the same name in every process, and of another content."""
    if not Path("/proc/self/cwd").exists():
        pytest.skip("needs /proc")
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, a_cluster.folder):
        (folder / "output").mkdir(exist_ok=True)
    worker = a_cluster.start_worker()
    with pytest.raises(InputError) as caught:
        run_on_cluster(some_cases, options, Path("/proc/self/cwd/output"), a_cluster.address, print)
    assert worker in str(caught.value) and "does not see the output" in str(caught.value)
    case = replace(some_cases[0], ct=Path("/proc/self/cwd") / "ct.nii.gz")
    shutil.copy(some_cases[0].ct, tmp_path / "ct.nii.gz")
    with pytest.raises(InputError) as caught:
        run_on_cluster([case], options, tmp_path / "output", a_cluster.address, print)
    assert worker in str(caught.value) and "does not see the input" in str(caught.value)


def test_a_worker_without_the_device_is_named(
    two_workers: Cluster, refusal: Callable[..., str], some_cases: list[Case], options: BatchOptions
) -> None:
    sentence = refusal(two_workers, some_cases, options=replace(options, device="cuda:99"))
    assert any(worker in sentence for worker in two_workers.addresses())
    assert "no GPU 'cuda:99'" in sentence


@pytest.mark.slow
def test_an_unfit_worker_that_joins_later_gets_no_case(
    a_cluster: Cluster,
    a_worker_without_the_library: Callable[[], str],
    run_cases: RunCases,
    many_cases: list[Case],
    warnings: Warnings,
) -> None:
    fit = a_cluster.start_worker()
    unfit: list[str] = []

    def on_record(_: CaseRecord) -> None:
        if not unfit:
            a_cluster.signal_worker(fit, signal.SIGSTOP)  # so that there is work left for the other
            unfit.append(a_worker_without_the_library())
            warnings.wait_for(unfit[0], "Left out of the run")
            a_cluster.signal_worker(fit, signal.SIGCONT)

    records = run_cases(a_cluster, many_cases, on_record=on_record)
    assert unfit and len(records) == len(many_cases)
    assert {record.status for record in records} == {"done"}
