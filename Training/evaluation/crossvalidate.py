"""Measure runs on the patients that each held back, and join them: ``python -m Training.evaluation.crossvalidate RUN ...``.

A run is a folder that ``Training.fit`` or ``Training.earlier_projects.protocols`` has finished. Each network is exported beside its
checkpoint and measured on its own split's validation scans (``--part test``: its test scans), so that the runs of all
folds give every patient one result of a network that never saw them. A run that was measured is not measured again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import torch

from LiverSegLib.model import LiverModel
from LiverSegLib.segmenter import Segmenter

from ..data.prepare import shared_data
from ..export import export
from ..settings import Settings
from .evaluate import degradation_names, evaluate, read_results, split_cases, with_degradations, write_results


def crossvalidate(
    runs: Sequence[Path],
    output: Path,
    data: Path,
    part: str = "validation",
    degradations: Sequence[str] = (),
    test_time_augmentation: bool = False,
    device: str = "auto",
    average_with_start: bool = False,
) -> dict:
    """Measure each run, then write ``results.csv`` and ``summary.json`` of all of them together into ``output``.

    With ``average_with_start`` the weights are the mean of a run's own and of those it started from, as the bundled
    network's are. In the joined results ``fold`` is the split of the run and all cases are of one group,
    "crossvalidation".

    Raises
    ------
    ValueError
        If a patient was held back by two of the runs, a run has not finished, or has no start to be averaged with.
    """
    rows, models, training = [], {}, {}
    for run in runs:
        settings, model = _exported(run, average_with_start)
        split = settings.split
        ways = {"averaged": average_with_start, "augmented": test_time_augmentation, "degraded": bool(degradations)}
        measured = run / "_".join([part, *(way for way, chosen in ways.items() if chosen)])
        if _measured_model(measured) != (model.card.sha256, model.card.tumour_above):
            cases = with_degradations(split_cases(data, split, part), degradations)
            evaluate(cases, Segmenter(model, device), measured, test_time_augmentation)
        models[split] = model.card.sha256
        training[split] = _steps_of(settings.steps, settings.batch, model.card.training["earlier_runs"])
        rows += [{**row, "group": "crossvalidation", "fold": split} for row in read_results(measured / "results.csv")]
    _check_each_once(rows)
    about = {"models": models, "training": training, "part": part}
    about |= {"test_time_augmentation": test_time_augmentation, "averaged_with_start": average_with_start}
    return write_results(rows, about, output)


def _exported(run: Path, average_with_start: bool) -> tuple[Settings, LiverModel]:
    """The settings of a finished run, and its network.

    Raises
    ------
    ValueError
        If it has not finished, or has no start to be averaged with.
    """
    checkpoint, weights = run / "last.ckpt", run / "liver_unet.pt"
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    settings = Settings.from_checkpoint(state["settings"])
    if state["step"] < settings.steps:
        raise ValueError(f"{run} stands at step {state['step']} of {settings.steps}: let Training.fit finish it first.")
    if average_with_start and not settings.start_from:
        raise ValueError(f"{run} started from random weights: leave --average-with-start out.")
    export(checkpoint, weights, run.name, None, average_with=[Path(settings.start_from)] * average_with_start)
    return settings, LiverModel.load(weights)


def _steps_of(steps: int, batch: int, earlier_runs: Sequence[dict]) -> dict:
    earlier = [{key: run["settings"][key] for key in ("steps", "batch")} for run in earlier_runs]
    return {"steps": steps, "batch": batch, **({"earlier_runs": earlier} if earlier else {})}


def _measured_model(measured: Path) -> tuple[str, float] | None:
    """Digest of the model that a folder of results is of, and what it took for tumour; None if it holds none."""
    path = measured / "summary.json"
    if not path.exists():
        return None
    summary = json.loads(path.read_text())
    return summary["model_sha256"], summary.get("tumour_above", 0.5)


def _check_each_once(rows: list[dict]) -> None:
    seen = set()
    for row in rows:
        case = row["name"], row["degradation"]
        if case in seen:
            raise ValueError(f"{row['name']} was held back by two of these runs; give the runs of one set of folds.")
        seen.add(case)


def main(argv: list[str] | None = None) -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(prog="python -m Training.evaluation.crossvalidate", description=__doc__)
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN")
    parser.add_argument("--output", type=Path, default=Path("out/crossvalidation"))
    parser.add_argument("--data", type=Path, default=shared_data(), help="folder that holds train/")
    parser.add_argument("--part", choices=("validation", "test"), default="validation")
    parser.add_argument("--degradations", type=degradation_names, default=[], metavar="all|NAME,...")
    parser.add_argument("--test-time-augmentation", action="store_true", help="average over three pixel sizes")
    parser.add_argument(
        "--average-with-start",
        action="store_true",
        help="take the mean of a run's weights and of those it started from",
    )
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(argv)
    try:
        summary = crossvalidate(**vars(options))
    except ValueError as error:
        parser.error(str(error))
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
