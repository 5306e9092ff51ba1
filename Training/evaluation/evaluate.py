"""Measure the bundled model, or another, on labelled scans: ``python -m Training.evaluation.evaluate``.

By default the scans that training never saw: the two test patients, one at both resolutions, the scans that the model's
card names for validation, and phantoms. ``--scans`` takes scans of the catalogues by name instead, as ``btcv_*``,
``--folder`` any folder of ``<name>_ct.nii.gz`` and ``<name>_liver.nii.gz``. ``--degradations all`` repeats each case
under every degradation of ``Training/data/degradation``.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from time import perf_counter

import numpy as np
from tqdm import tqdm

from LiverSegLib.data.bounding_box import box_of
from LiverSegLib.data.metrics import Spacing, compare, dice
from LiverSegLib.data.modality import CT
from LiverSegLib.data.resample import reference_on_grid
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.inference.options import SegmentOptions
from LiverSegLib.inference.segmenter import Segmenter
from LiverSegLib.io.files import read_ct, read_labels
from LiverSegLib.model.liver_model import LiverModel
from LiverSegLib.phantom import make_phantom

from ..data.catalogue import FIRST_FOLDER, NEVER_TRAINED_ON, Entry, person_of, read_catalogue, shared_data
from ..data.degradation import DEGRADATIONS, degrade
from .lesions import LARGE_MM, count_lesions
from .scores import slice_dice, slice_dice_all, surface_dice
from .summary import LESION_COUNTS, NONE, summarise
from .table import read_rows

PHANTOM_SEEDS = range(4)
TEXT_COLUMNS = ("group", "name", "dataset", "patient", "degradation", "fold")
# What a worst slice shows round both masks.
SHOWN_MARGIN_MM = 40.0


@dataclass(frozen=True)
class Case:
    """A CT with its reference labels (k, j, i), the group it is averaged in, its data set and its patient.

    ``degradation`` names what was done to the scan.
    """

    group: str
    name: str
    ct: CTVolume
    reference: np.ndarray
    tumour_labelled: bool
    dataset: str = ""
    patient: str = ""
    degradation: str = NONE


def held_out_cases(data: Path, validation: Collection[str] = ()) -> Iterator[Case]:
    """The test patients, the scans that the network validated on, if any, and the phantoms, read one at a time."""
    for entry in read_catalogue(data):
        group = "test" if entry.name in NEVER_TRAINED_ON else "validation" if entry.name in validation else None
        if group:
            yield _case_of(entry, group)
    # A test patient once more: a data set of its own, so that no mean counts a patient twice. Its mask has no tumours.
    yield _read_case("native", "ircad_e19", data / "native", False, "native")
    for seed in PHANTOM_SEEDS:
        phantom = make_phantom(seed)
        ct = replace(phantom.ct, name=f"phantom_{seed}")
        yield Case("phantom", ct.name, ct, phantom.labels, True, "phantom", ct.name)


def named_cases(data: Path, folders: Sequence[str], wanted: Sequence[str]) -> Iterator[Case]:
    """The scans of these folders, single slices left out, that one of the patterns names; grouped by data set."""
    for entry in read_catalogue(data, folders):
        if not entry.single_slices and any(fnmatchcase(entry.name, pattern) for pattern in wanted):
            yield _case_of(entry, entry.name.partition("_")[0])


def _case_of(entry: Entry, group: str) -> Case:
    tumour_labelled = "tumour" in entry.labels.get("liver", {}).values() and "tumour" not in entry.unlabelled
    data_set = entry.name.partition("_")[0]
    return _read_case(group, entry.name, entry.folder, tumour_labelled, data_set, entry.modality)


def folder_cases(folder: Path) -> Iterator[Case]:
    """Every ``<name>_ct.nii.gz`` in the folder that has its ``<name>_liver.nii.gz``.

    Tumours count as labelled where the mask has any (label 2): a mask of the liver alone says nothing about them.
    """
    for path in sorted(folder.glob("*_ct.nii.gz")):
        name = path.name.removesuffix("_ct.nii.gz")
        if (folder / f"{name}_liver.nii.gz").exists():
            case = _read_case(folder.name, name, folder, True, folder.name)
            yield replace(case, tumour_labelled=bool((case.reference == 2).any()))


def with_degradations(cases: Iterator[Case], names: Sequence[str]) -> Iterator[Case]:
    """Each case as it is, then under each of the named degradations, as an axial stack."""
    for case in cases:
        yield case
        for name in names:
            ct, reference = degrade(name, case.ct.canonical(), _axial(case.ct, case.reference))
            yield replace(case, ct=ct, reference=reference, degradation=name)


def evaluate_case(case: Case, segmenter: Segmenter, worst_slices: Path | None = None) -> dict[str, str | float | None]:
    """One row of results: measures of the liver, tumour Dice, lesions found and not, seconds.

    With a folder ``worst_slices``, the slice with the largest area of disagreement is stored there.
    """
    started = perf_counter()
    # These are what the data set says, also where a shifted 8-bit source no longer looks like CT.
    modality = (case.ct.modality or CT).lower()
    segmented = segmenter.segment(case.ct, SegmentOptions(tumour=True, modality=modality, force=True))
    labels = segmented.labels
    seconds = perf_counter() - started
    # Slices mean axial ones, however the file is ordered.
    axial = case.ct.canonical()
    found, truth = _axial(case.ct, labels), _axial(case.ct, case.reference)
    has_tumour = case.tumour_labelled and bool((truth == 2).any())
    if worst_slices:
        save_worst_slice(case, axial, found, truth, worst_slices)
    return {
        "group": case.group,
        "name": case.name,
        **_liver_scores(found > 0, truth > 0, axial.spacing),
        "tumour_dice": dice(found == 2, truth == 2) if has_tumour else None,
        "slices": len(truth),
        "seconds": seconds,
        "dataset": case.dataset,
        "patient": case.patient or case.name,
        "degradation": case.degradation,
        "volume_ml": float((found > 0).sum() * axial.voxel_volume_ml),
        "reference_volume_ml": float((truth > 0).sum() * axial.voxel_volume_ml),
        **_lesion_scores(found == 2, truth == 2, axial.voxel_volume_ml, case.tumour_labelled),
        "self_agreement": segmented.self_agreement,
        "quality": segmented.quality,
    }


def _liver_scores(found: np.ndarray, truth: np.ndarray, spacing: Spacing) -> dict[str, float]:
    return {
        **compare(found, truth, spacing),
        "slice_dice": slice_dice(found, truth),
        "slice_dice_all": slice_dice_all(found, truth),
        "surface_dice_2mm": surface_dice(found, truth, spacing),
    }


def _lesion_scores(
    found: np.ndarray, truth: np.ndarray, voxel_volume_ml: float, tumour_labelled: bool
) -> dict[str, int | None]:
    """Lesions, found, missed and false ones; of any size and above 10 mm; None where tumours are not labelled."""
    scores: dict[str, int | None] = {}
    for suffix, larger_than_mm in (("", 0.0), ("_above_10mm", LARGE_MM)):
        counts = count_lesions(found, truth, voxel_volume_ml, larger_than_mm)
        values = (counts.total, counts.found, counts.missed, counts.false)
        for name, value in zip(LESION_COUNTS, values, strict=True):
            scores[name + suffix] = value if tumour_labelled else None
    return scores


def save_worst_slice(case: Case, axial: CTVolume, found: np.ndarray, truth: np.ndarray, folder: Path) -> None:
    """Store the slice where the livers differ by the largest area, cut to both and 40 mm round them.

    Lowest Dice would choose the liver's ends, where it is a few voxels. The file, :func:`worst_slice_file`, holds
    ``hu`` (int16), ``found`` and ``truth`` (uint8 labels), all (rows, columns); ``k``, ``dice`` of the slice,
    ``spacing`` in mm along (rows, columns), ``group``, ``name`` and ``degradation``.
    """
    k = int(((found > 0) != (truth > 0)).sum(axis=(1, 2)).argmax())
    livers = (found[k] > 0) | (truth[k] > 0)
    shown = _with_margin(livers, axial.spacing[1:])
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        folder / worst_slice_file(case.group, case.name, case.degradation),
        hu=axial.hu[k][shown],
        found=found[k][shown],
        truth=truth[k][shown],
        k=k,
        dice=dice(found[k] > 0, truth[k] > 0),
        spacing=axial.spacing[1:],
        group=case.group,
        name=case.name,
        degradation=case.degradation,
    )


def worst_slice_file(group: str, name: str, degradation: str) -> str:
    """Its file's name: ``<group>_<name>[_<degradation>].npz``."""
    parts = [group, name] + ([] if degradation == NONE else [degradation])
    return f"{'_'.join(parts)}.npz"


def _with_margin(mask: np.ndarray, spacing: Sequence[float]) -> tuple[slice, slice]:
    """Rows and columns of the mask and a margin; all of them if it is empty."""
    if not mask.any():
        return slice(None), slice(None)
    rows, columns = (
        slice(max(0, side.start - round(SHOWN_MARGIN_MM / mm)), side.stop + round(SHOWN_MARGIN_MM / mm))
        for side, mm in zip(box_of(mask[None])[1:], spacing, strict=True)
    )
    return rows, columns


def evaluate(cases: Iterator[Case], segmenter: Segmenter, output: Path) -> dict:
    """Measure every case: ``results.csv``, ``summary.json`` and ``worst_slices/``; returns the summary.

    Raises
    ------
    SystemExit
        If there is no case.
    """
    worst_slices = output / "worst_slices"
    if worst_slices.exists():
        for old in worst_slices.glob("*.npz"):
            old.unlink()
    rows = [evaluate_case(case, segmenter, worst_slices) for case in tqdm(cases, desc="cases", unit="case")]
    if not rows:
        raise SystemExit("There is no case to measure: a folder needs <name>_ct.nii.gz with <name>_liver.nii.gz.")
    about = {
        "model_sha256": segmenter.model.card.sha256,
        "tumour_above": segmenter.model.card.tumour_above,
        "device": str(segmenter.device),
    }
    return write_results(rows, about, output)


def write_results(rows: list[dict], about: dict, output: Path) -> dict:
    """Write ``results.csv``, a row a case, and ``summary.json``: ``about`` and the statistics of all; returns it."""
    output.mkdir(parents=True, exist_ok=True)
    with (output / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    summary = {**about, **summarise(rows)}
    (output / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    return summary


def read_results(path: Path) -> list[dict]:
    """The rows of a ``results.csv`` as they were written: numbers as numbers, None where there was none."""
    return [{key: _value_of(key, text) for key, text in row.items()} for row in read_rows(path)]


def _value_of(key: str, text: str) -> str | float | None:
    if key in TEXT_COLUMNS:
        return text
    if not text:
        return None
    return int(text) if text.isdigit() else float(text)


def _axial(ct: CTVolume, labels: np.ndarray) -> np.ndarray:
    """Labels of the CT on the grid of its canonical stack."""
    return np.ascontiguousarray(ct.geometry.to_canonical(labels))


def _read_case(group: str, name: str, folder: Path, tumour_labelled: bool, dataset: str, modality: str = CT) -> Case:
    ct = read_ct(folder / f"{name}_{modality.lower()}.nii.gz", modality=modality.lower())
    reference = reference_on_grid(read_labels(folder / f"{name}_liver.nii.gz"), ct.geometry)
    for warning in reference.warnings:
        tqdm.write(f"{name}: {warning}")
    return Case(group, name, ct, reference.labels, tumour_labelled, dataset, person_of(name))


def degradation_names(text: str) -> list[str]:
    """The names in ``all`` or ``NAME,...``; argparse shows the error for any other."""
    names = list(DEGRADATIONS) if text == "all" else text.split(",")
    for name in names:
        if name not in DEGRADATIONS:
            raise argparse.ArgumentTypeError(f"no degradation {name!r}; there are all, {', '.join(DEGRADATIONS)}")
    return names


def _chosen_cases(options: argparse.Namespace, model: LiverModel) -> Iterator[Case]:
    if options.folder:
        return folder_cases(options.folder)
    if options.scans:
        return named_cases(options.data, options.folders, options.scans)
    return held_out_cases(options.data, model.card.training.get("validation_scans", ()))


def main(argv: list[str] | None = None) -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=shared_data(), help="folder that holds train/ and native/")
    parser.add_argument("--folder", type=Path, help="measure on this folder of CT and masks instead")
    parser.add_argument("--scans", nargs="+", help="measure on these scans instead, patterns of their names")
    parser.add_argument("--folders", nargs="+", default=[FIRST_FOLDER], help="whose catalogues name them")
    parser.add_argument("--model", type=Path, help="weights file with its card beside it (default: the bundled one)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=Path, default=Path("out/evaluation"))
    parser.add_argument(
        "--degradations",
        type=degradation_names,
        default=[],
        metavar="all|NAME,...",
        help=f"repeat each case under these: {', '.join(DEGRADATIONS)}",
    )
    options = parser.parse_args(argv)
    model = LiverModel.load(options.model)
    cases = with_degradations(_chosen_cases(options, model), options.degradations)
    segmenter = Segmenter(model, options.device)
    summary = evaluate(cases, segmenter, options.output)
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
