"""`liverseg batch` on the nodes of a SLURM cluster, through dask-jobqueue.

Run it where `sbatch` works and that stays there, a login node or a small job of its own:

    python slurm.py /data/scans -o /data/results --references /data/references

All options of `liverseg batch` are passed on. The paths have to be on storage that the nodes share. What the jobs
ask SLURM for is below: fit it to your cluster.
"""

import sys

from dask_jobqueue import SLURMCluster

from LiverSegLib.cli import main

JOBS = 16

if __name__ == "__main__":
    with SLURMCluster(
        queue="gpu",
        walltime="08:00:00",
        processes=1,  # one case at a time has the GPU, or all the cores, to itself
        cores=4,
        memory="16GB",
        job_extra_directives=["--gres=gpu:1"],  # leave it out for nodes without GPU
        worker_extra_args=["--resources GPU=1"],
        local_directory="$TMPDIR",
        log_directory="liverseg-jobs",
        # The nodes reach the scheduler, which runs in this process, by the network of this interface.
        interface="ib0",
    ) as cluster:
        # Not adapt(): the run gives each worker there is one case, so nothing ever asks for more of them.
        cluster.scale(jobs=JOBS)
        sys.exit(main(["batch", *sys.argv[1:], "--scheduler", cluster.scheduler_address]))
