"""A Dask cluster of real processes on this computer, for the tests and the benchmark."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from distributed import Client

import LiverSegLib

LIBRARY = Path(LiverSegLib.__file__).parents[1]
# A busy computer takes long to start a process that loads PyTorch; nothing here waits longer than it has to.
PATIENCE_SECONDS = 300


class Cluster:
    """A scheduler and workers, each a process of its own, and a client that looks at them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"tcp://127.0.0.1:{_free_port()}"
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self._count = 0
        self.start_scheduler()

    def start_scheduler(self) -> None:
        port = self.address.rpartition(":")[2]
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
        self.client = Client(self.address, set_as_default=False, timeout=PATIENCE_SECONDS)

    def kill_scheduler(self) -> None:
        """At once, and its workers, which end on their own when they miss it."""
        self.client.close()
        _end(self.scheduler)
        for worker in self._workers.values():
            worker.wait(PATIENCE_SECONDS)
        self._workers.clear()

    def start_worker(self, *options: str, library: Path = LIBRARY) -> str:
        """Start a worker that finds the library there; its address, once it has joined."""
        known = self.addresses()
        self._count += 1
        name = f"worker-{self._count}"
        arguments = ("--name", name, "--host", "127.0.0.1", "--no-dashboard", "--local-directory", str(self.folder))
        threads = () if "--nthreads" in options else ("--nthreads", "1")
        nanny = () if "--nanny" in options else ("--no-nanny",)
        process = self._start("worker", self.address, *arguments, *threads, *nanny, *options, library=library)
        self.client.wait_for_workers(len(known) + 1, PATIENCE_SECONDS)
        (address,) = self.addresses() - known
        self._workers[address] = process
        return address

    def addresses(self) -> set[str]:
        return set(self.client.scheduler_info()["workers"])

    def signal_worker(self, address: str, kind: signal.Signals) -> None:
        self._workers[address].send_signal(kind)

    def kill_worker(self, address: str) -> None:
        """As the operating system does when memory runs out."""
        _end(self._workers.pop(address))

    def tasks(self) -> int:
        """How many tasks the scheduler holds."""
        return self.client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))

    def close(self) -> None:
        self.client.close()
        for process in (*self._workers.values(), self.scheduler):
            _end(process)

    def _start(self, command: str, *arguments: str, library: Path = LIBRARY) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": str(library), "OMP_NUM_THREADS": "1"}
        log = (self.folder / f"{command}-{self._count}.log").open("wb")
        with log:
            return subprocess.Popen(
                [sys.executable, "-m", f"distributed.cli.dask_{command}", *arguments],
                env=environment,
                stdout=log,
                stderr=log,
                cwd=self.folder,
            )


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait(PATIENCE_SECONDS)
