"""The examples in docs/examples say what Dask and dask-jobqueue understand, as far as that shows without a cluster."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml
from distributed.cli import dask_scheduler, dask_worker

from LiverSegLib.cli import _parser

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.fixture
def the_job() -> dict[str, Any]:
    return yaml.safe_load((EXAMPLES / "kubernetes.yaml").read_text(encoding="utf-8"))["spec"]


def container(spec: dict[str, Any]) -> dict[str, Any]:
    return spec["spec"]["containers"][0]


def test_kubernetes_workers_are_started_with_options_that_dask_has(the_job: dict[str, Any]) -> None:
    dask, worker, *options = container(the_job["cluster"]["spec"]["worker"])["args"]
    parsed = dask_worker.main.make_context("worker", options).params
    assert (dask, worker, parsed["resources"], parsed["nthreads"]) == ("dask", "worker", "GPU=1", 4)


def test_the_kubernetes_scheduler_is_started_as_dask_has_it(the_job: dict[str, Any]) -> None:
    dask, scheduler, *options = container(the_job["cluster"]["spec"]["scheduler"])["args"]
    assert (dask, scheduler) == ("dask", "scheduler")
    dask_scheduler.main.make_context("scheduler", options)


def test_the_kubernetes_job_runs_a_batch_on_the_workers_storage(the_job: dict[str, Any]) -> None:
    liverseg, *arguments = container(the_job["job"])["args"]
    assert liverseg == "liverseg"
    assert _parser().parse_args(arguments).scheduler == "$(DASK_SCHEDULER_ADDRESS)"
    worker = the_job["cluster"]["spec"]["worker"]
    assert container(the_job["job"])["volumeMounts"] == container(worker)["volumeMounts"]
    assert the_job["job"]["spec"]["volumes"] == worker["spec"]["volumes"]
    assert container(the_job["job"])["image"] == container(worker)["image"]


def test_the_slurm_jobs_start_workers_with_one_process_and_a_gpu() -> None:
    jobqueue = pytest.importorskip("dask_jobqueue", reason="needs dask-jobqueue: pip install dask-jobqueue")
    tree = ast.parse((EXAMPLES / "slurm.py").read_text(encoding="utf-8"))
    (call,) = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and "SLURM" in ast.unparse(node.func))
    settings = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords} | {"interface": "lo"}
    with jobqueue.SLURMCluster(**settings, scheduler_options={"dashboard_address": ":0"}) as cluster:
        script = cluster.job_script()
    assert "#SBATCH --gres=gpu:1" in script and "--resources GPU=1" in script and "--nworkers" not in script
