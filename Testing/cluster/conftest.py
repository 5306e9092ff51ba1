"""A Dask cluster of real processes on this computer, a few small scans, and a small untrained network."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from LiverSegLib.batch import BatchOptions, Case, CaseRecord
from Testing.cluster.processes import PATIENCE_SECONDS, Cluster
from Testing.models import card_of, weights_of, write_model

CASES = 4


class Warnings(logging.Handler):
    """What the library warned of, for tests that wait for it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []
        self._came = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        with self._came:
            self.texts.append(record.getMessage())
            self._came.notify_all()

    def wait_for(self, *parts: str) -> None:
        """Wait for a warning that holds all of these."""
        with self._came:
            found = self._came.wait_for(lambda: self.tell_of(*parts), PATIENCE_SECONDS)
        assert found, self.texts

    def tell_of(self, *parts: str) -> bool:
        return any(all(part in text for part in parts) for text in self.texts)


RunCases = Callable[..., list[CaseRecord]]


@pytest.fixture
def a_cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A scheduler without workers, for tests that do it harm."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    cluster = Cluster(folder)
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that tests leave as it is: two workers of two threads, which announce a GPU although they have none."""
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    for _ in range(2):
        cluster.start_worker("--nthreads", "2", "--resources", "GPU=1")
    yield cluster
    cluster.close()


@pytest.fixture(scope="session")
def a_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a small untrained network, with their card."""
    widths, offsets = (2, 2, 2, 2, 2), (0.0,)
    weights = weights_of(widths, offsets)
    card = card_of(weights, widths, offsets, spacing_mm=3.0)
    return write_model(tmp_path_factory.mktemp("model") / "untrained.pt", weights, card)


@pytest.fixture(scope="session")
def some_cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    """Slabs of different phantoms."""
    from LiverSegLib.io import files
    from LiverSegLib.phantom import make_phantom

    folder = tmp_path_factory.mktemp("scans")
    cases = []
    for seed in range(CASES):
        path = folder / f"scan{seed}.nii.gz"
        files.write_ct(path, make_phantom(seed=seed, shape=(6, 64, 64), spacing=(5.0, 6.0, 6.0)).ct)
        cases.append(Case(path.name.partition(".")[0], path, source=path.name))
    return cases


@pytest.fixture(scope="session")
def many_cases(some_cases: list[Case]) -> list[Case]:
    """More than are done in the time that a signal takes, at 50 ms each, on a busy computer too."""
    first = some_cases[0]
    return [Case(f"scan{number}", first.ct, source=first.source) for number in range(60)]


@pytest.fixture
def options(a_model: Path) -> BatchOptions:
    """The small network, and no pictures."""
    return BatchOptions(device="cpu", model=a_model, pictures=False)


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """An empty folder for the results."""
    folder = tmp_path / "output"
    folder.mkdir()
    return folder


@pytest.fixture
def warnings() -> Iterator[Warnings]:
    """The library's warnings from here on."""
    handler = Warnings()
    logging.getLogger("LiverSegLib").addHandler(handler)
    yield handler
    logging.getLogger("LiverSegLib").removeHandler(handler)


@pytest.fixture
def run_cases(options: BatchOptions, output: Path) -> RunCases:
    """Run cases on a cluster; their records, in the order in which they came."""
    from LiverSegLib.batch.cluster import run_on_cluster

    def run(cluster: Cluster, cases: list[Case], on_record: Callable[[CaseRecord], Any] = id, **kwargs: Any) -> Any:
        records: list[CaseRecord] = []

        def keep(record: CaseRecord) -> None:
            records.append(record)
            on_record(record)

        run_on_cluster(cases, kwargs.pop("options", options), output, cluster.address, keep, **kwargs)
        return records

    return run
