"""Measure networks on the patients that each held back, and join them: ``python -m Training.evaluation.crossvalidate``.

Each is a folder that ``Training.recipe`` has filled, or a run of ``Training.fit``. It is measured on the scans that its
last run held back (``--scans``: on others that it has not seen), so that the networks of all folds give every patient
one result of a network that never saw them. What was measured is not measured again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from LiverSegLib.data.modality import CT
from LiverSegLib.inference.segmenter import Segmenter
from LiverSegLib.model.liver_model import BUNDLED, LiverModel

from ..checkpoint import read_checkpoint
from ..data.catalogue import DATA_SETS, shared_data
from ..data.splits import check_unseen
from ..export import export
from .calibrate import judge_across_data_sets
from .evaluate import degradation_names, evaluate, named_cases, read_results, with_degradations, write_results


def crossvalidate(
    networks: Sequence[Path],
    output: Path,
    data: Path,
    scans: Sequence[str] = (),
    degradations: Sequence[str] = (),
    device: str = "auto",
) -> dict:
    """Measure each network, then write ``results.csv`` and ``summary.json`` of all of them together into ``output``.

    In the joined results ``fold`` is the network's folder and all cases are of one group, "crossvalidation".
    ``expected_dice`` of the summary says, for each of several data sets, how well the Dice to expect is told from the
    results of the others.

    Raises
    ------
    ValueError
        If a patient was held back by two of them or trained one, or a run has not finished.
    """
    rows, models, training = [], {}, {}
    folders = [folder for folder in DATA_SETS["folders"] if (data / folder / "catalogue.json").exists()]
    for network in networks:
        state, model = _network_in(network)
        measured = network / ("measured_degraded" if degradations else "measured")
        wanted = list(scans) or state["validated_on"]
        about = {"sha256": model.card.sha256, "tumour_above": model.card.tumour_above, "scans": wanted}
        if not (measured / "about.json").exists() or json.loads((measured / "about.json").read_text()) != about:
            cases = with_degradations(named_cases(data, folders, wanted), degradations)
            evaluate(cases, Segmenter(model, device), measured)
            (measured / "about.json").write_text(json.dumps(about) + "\n")
        models[network.name] = model.card.sha256
        runs = [*state["earlier"], state]
        training[network.name] = [{key: run["settings"][key] for key in ("steps", "batch")} for run in runs]
        found = read_results(measured / "results.csv")
        check_unseen(state["trained_on"], [row["name"] for row in found], network)
        rows += [{**row, "group": "crossvalidation", "fold": network.name} for row in found]
    _check_each_once(rows)
    about = {"models": models, "training": training, "expected_dice": judge_across_data_sets(rows)}
    return write_results(rows, about, output)


def _network_in(folder: Path) -> tuple[dict, LiverModel]:
    """The last checkpoint in a network's folder, and the network; that of a single run is exported first."""
    checkpoint = folder / "last" / "last.ckpt"
    single = not checkpoint.exists()
    state = read_checkpoint(folder / "last.ckpt" if single else checkpoint)
    weights = folder / BUNDLED[state["settings"].get("modality", CT)]
    if state["step"] < state["settings"]["steps"]:
        raise ValueError(f"{folder} stands at step {state['step']} of {state['settings']['steps']}: let it finish.")
    if single:
        export(folder / "last.ckpt", weights, folder.name)
    return state, LiverModel.load(weights)


def _check_each_once(rows: list[dict]) -> None:
    seen = set()
    for row in rows:
        case = row["name"], row["degradation"]
        if case in seen:
            raise ValueError(f"{row['name']} was held back by two of these networks; give those of one set of folds.")
        seen.add(case)


def main(argv: list[str] | None = None) -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(prog="python -m Training.evaluation.crossvalidate", description=__doc__)
    parser.add_argument("networks", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--output", type=Path, default=Path("out/crossvalidation"))
    parser.add_argument("--data", type=Path, default=shared_data(), help="holds the folders (default: LIVERSEG_DATA)")
    parser.add_argument("--scans", nargs="+", default=(), help="patterns; default: those that each held back")
    parser.add_argument("--degradations", type=degradation_names, default=[], metavar="all|NAME,...")
    parser.add_argument("--device", default="auto")
    try:
        summary = crossvalidate(**vars(parser.parse_args(argv)))
    except ValueError as error:
        parser.error(str(error))
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
