"""Turn a checkpoint into a model file with its card: ``python -m Training.export CHECKPOINT --output FILE.pt``.

The card beside it has what a program needs and its headline results. How the runs were made goes into
``FILE.training.json``.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from LiverSegLib import __version__
from LiverSegLib.data.modality import CT, MR
from LiverSegLib.io.atomic import replacing

from .checkpoint import averaged_weights, read_checkpoint
from .data.catalogue import DATA_SETS, NEVER_TRAINED_ON, data_set_of, person_of
from .data.classes import Classes
from .settings import WINDOW_HU, Settings

# What the card says of networks for CT and for MR.
LIMITS = {CT: "limits.txt", MR: "limits_mr.txt"}
RECORDS = {CT: "Training/record/training.json", MR: "Training/record/mr/training.json"}
INTENDED_USE = {
    CT: "Liver segmentation in adult abdominal CT, plain or contrast-enhanced, for research.",
    MR: "Liver segmentation in adult abdominal MR of any contrast, experimental, for research.",
}
LICENCE = "Weights: research and non-commercial use only, as the licences of their training data say."
# What belongs to the liver is labelled as tumour where the network gives that more than this probability. It is too
# sure of itself, and rather misses a tumour than makes one up: EXPERIMENTS.md says what other limits find.
TUMOUR_ABOVE = 0.05


def export(
    checkpoint: Path,
    output: Path,
    name: str = "liver_unet",
    average_with: Sequence[Path] = (),
    evaluation: Sequence[Path] = (),
    calibration: Path | None = None,
) -> None:
    """Write ``output``, the averaged weights, and the card beside it, with the digest of the bytes written.

    With the checkpoints of earlier runs in ``average_with`` the weights are the mean of all: runs that went on from
    each other lie close enough together, and their mean is steadier than each (Wortsman et al., ICML 2022).

    Kernels of convolutions are stored in float16, half the size: inference on most devices rounds them further. Biases
    and what batch normalisation holds stay float32.
    """
    state = read_checkpoint(checkpoint)
    modality = state["settings"].get("modality", CT)
    content = bytes_of(_mean([averaged_weights(one) for one in (state, *map(read_checkpoint, average_with))]))
    card = {
        "name": name,
        "version": __version__,
        "sha256": "",
        **_about(state),
        "accuracy": {group: result for path in evaluation for group, result in headline(path).items()},
        "calibration": json.loads(calibration.read_text()) if calibration else None,
        "limits": Path(__file__).with_name(LIMITS[modality]).read_text(encoding="utf-8").splitlines(),
    }
    runs = [*state["earlier"], {"settings": state["settings"], "code": state["code"]}]
    training = {"runs": runs, "mean_of": 1 + len(average_with), "trained_on": state["trained_on"]}
    write_together(output, content, card, training)


def write_network(output: Path, state: dict[str, Any], card: dict[str, Any]) -> None:
    """Write the averaged weights of a small network's run, its card and its record."""
    record = {name: state[name] for name in ("settings", "code", "trained_on")}
    write_together(output, bytes_of(averaged_weights(state)), card, record)


def write_together(output: Path, content: bytes, card: dict[str, Any], training: dict[str, Any]) -> None:
    """Write a model file, its card, into which the digest of the file goes, and its record beside it."""
    output.parent.mkdir(parents=True, exist_ok=True)
    # All are whole on the disk before one takes its place; weights beside the card of others are refused.
    files = (output, output.with_suffix(".json"), output.with_suffix(".training.json"))
    with ExitStack() as stack:
        new_weights, new_card, new_record = (stack.enter_context(replacing(path)) for path in files)
        new_weights.write_bytes(content)
        _write_json(new_card, card | {"sha256": hashlib.sha256(content).hexdigest()})
        _write_json(new_record, training)


def bytes_of(weights: dict[str, Tensor]) -> bytes:
    """The content of a model file: kernels in float16, all else as it is."""
    buffer = io.BytesIO()
    torch.save({key: value.half() if value.ndim >= 4 else value for key, value in weights.items()}, buffer)
    return buffer.getvalue()


def _about(state: dict[str, Any]) -> dict[str, Any]:
    """What the card says of the network and of what it has learnt from."""
    settings = Settings(**state["settings"])
    return {
        "spacing_mm": settings.spacing_mm,
        "offsets_mm": settings.offsets_mm,
        "window_hu": WINDOW_HU,
        "classes": Classes.read(settings.classes).names,
        "widths": settings.widths,
        "patch": settings.patch,
        "tumour_above": TUMOUR_ABOVE,
        "modality": settings.modality,
        "intended_use": INTENDED_USE[settings.modality],
        "training_data": training_data(state["trained_on"]),
        "licence": LICENCE,
        "training": {"record": RECORDS[settings.modality], "validation_scans": state["validated_on"]},
    }


def _mean(members: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each weight and each statistic; counts of batches as in the first."""
    first = members[0]
    return {
        name: torch.stack([member[name] for member in members]).mean(dim=0) if value.is_floating_point() else value
        for name, value in first.items()
    }


def training_data(trained_on: Sequence[str]) -> list[dict[str, str]]:
    """The card's entry for each data set that a network has trained on, and for the phantoms."""
    entries = []
    for about in DATA_SETS["data_sets"]:
        persons = {person_of(name) for name in trained_on if data_set_of(name) is about}
        if persons:
            never = [name for name in NEVER_TRAINED_ON if data_set_of(name) is about]
            patients = f"{len(persons)}" + (f"; never trained on: {', '.join(never)}" if never else "")
            entries.append({key: about[key] for key in ("name", "citation", "licence")} | {"patients": patients})
    if any(name.startswith("phantom") for name in trained_on):
        phantoms = {"name": "phantoms of random anatomy (LiverSegLib/phantom)", "citation": "this repository"}
        entries.append({**phantoms, "licence": "Apache-2.0", "patients": "seeds from 1000"})
    return entries


def headline(summary: Path) -> dict[str, dict[str, float]]:
    """Of each group of a ``summary.json``, how many cases it has, their mean Dice and the worst."""
    groups = json.loads(summary.read_text(encoding="utf-8"))
    return {
        name: {key: group[key] for key in ("cases", "dice_mean", "dice_worst")}
        for name, group in groups.items()
        if isinstance(group, dict) and "dice_worst" in group
    }


def summary_in(results: Path) -> dict[str, Any]:
    """The summary of what a small network's ``evaluate`` wrote."""
    return json.loads(results.read_text(encoding="utf-8"))["summary"]


def export_from(
    argv: Sequence[str] | None, room: str, about: str | None, export: Callable[..., None], results: Sequence[str]
) -> None:
    """Command line of the ``export`` of a small network's package ``room``; its card may have these results."""
    parser = argparse.ArgumentParser(prog=f"python -m {room}.export", description=about)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    for name in results:
        parser.add_argument(f"--{name}", type=Path, help=f"JSON file of {room}.evaluate")
    export(**vars(parser.parse_args(argv)))


def _write_json(path: Path, content: dict) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def main(argv: list[str] | None = None) -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(prog="python -m Training.export", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--name", default="liver_unet")
    parser.add_argument("--average-with", type=Path, nargs="+", default=[], help="checkpoints of runs before that one")
    parser.add_argument("--evaluation", type=Path, nargs="+", default=[], help="summary.json of Training.evaluation")
    parser.add_argument("--calibration", type=Path, help="calibration.json of Training.evaluation.calibrate")
    export(**vars(parser.parse_args(argv)))


if __name__ == "__main__":
    main()
