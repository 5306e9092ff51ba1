"""What a report tells after a reader has corrected and checked a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np

from .. import messages
from ..data.corrections import Corrections
from ..data.labels import LabelVolume
from ..data.patient_space import PatientSpace
from ..data.places import Place
from ..data.structures import TUMOUR
from . import anatomy_measures

DECIMALS = 2
_OF_STROKES = ("corrections", "corrected_voxels", "added_ml", "removed_ml")


def corrected_report(
    report: Mapping[str, Any],
    result: LabelVolume,
    corrections: Corrections,
    space: PatientSpace | None = None,
    hu: np.ndarray | None = None,
) -> dict[str, Any]:
    """A report, as SegmentationReport.to_dict gives it, with the measures of the corrected result in it.

    Parameters
    ----------
    result
        Labels and anatomy after the corrections; on the CT's grid, or a part of it.
    corrections
        What the strokes did, on the same grid.
    space
        Where the voxels lie in the patient, if that is not what the affine says.
    hu
        The CT on that grid, for the attenuation.

    Returns
    -------
    Beside the other keys ``corrections``, how many strokes there are, ``corrected_voxels``, how many voxels are the
    reader's, and ``added_ml`` and ``removed_ml`` of liver; they are not there without strokes. The expected Dice is
    that of the automatic result: while there are strokes it is ``automatic_quality`` instead of ``quality``.
    """
    where = space or result
    had_tumours = report.get("tumour_volume_ml") is not None
    tumours = result.labels == TUMOUR.label
    changed = {
        **_before(report),
        "liver_volume_ml": round(where.volume_ml(result.labels), DECIMALS),
        "tumour_volume_ml": round(where.volume_ml(tumours), DECIMALS) if had_tumours or tumours.any() else None,
        **anatomy_measures.measure(
            result.labels, result.anatomy, where, hu, result.geometry.spacing, tumour=had_tumours
        ),
    }
    if not corrections.strokes:
        return changed
    quality = {"automatic_quality": changed.pop("quality")} if "quality" in changed else {}
    return {**changed, **quality, **_counted(result.labels, corrections, where)}


def _before(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report without what strokes made of it, the measures apart."""
    renamed = {"quality" if key == "automatic_quality" else key: value for key, value in report.items()}
    return {key: value for key, value in renamed.items() if key not in (*_OF_STROKES, "attenuation_remark")}


def _counted(labels: np.ndarray, corrections: Corrections, space: PatientSpace | LabelVolume) -> dict[str, Any]:
    was, now, changed = corrections.automatic, labels[corrections.box], corrections.changed
    return {
        "corrections": len(corrections.strokes),
        "corrected_voxels": int(changed.sum()),
        "added_ml": _volume(changed & (was == 0) & (now > 0), labels.shape, corrections, space),
        "removed_ml": _volume(changed & (was > 0) & (now == 0), labels.shape, corrections, space),
    }


def _volume(
    mask: np.ndarray, shape: tuple[int, ...], corrections: Corrections, space: PatientSpace | LabelVolume
) -> float:
    whole = np.zeros(shape, bool)
    whole[corrections.box] = mask
    return round(space.volume_ml(whole), DECIMALS)


def rows(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Name and value of what a reader did: strokes, what they added and removed, places that were checked, by whom."""
    found = []
    if is_number(report.get("corrections")):
        found.append((messages.MEASURE_STROKES, f"{report['corrections']:g}"))
    found += [
        (name, messages.TUMOUR_VOLUME.format(volume=report[key]))
        for key, name in (("added_ml", messages.MEASURE_ADDED), ("removed_ml", messages.MEASURE_REMOVED))
        if is_number(report.get(key))
    ]
    places = listed_places(report)
    if seen := sum(is_seen for _, is_seen in places):
        checked = messages.CHECKED_OF.format(checked=seen, count=len(places))
        found.append((messages.MEASURE_PLACES_CHECKED, checked))
    if reader := reader_of(report):
        found.append((messages.MEASURE_CHECKED_BY, reader))
    return found


def is_number(value: Any) -> bool:
    """Whether a value of a report that a scene was saved with is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def listed_places(report: Mapping[str, Any]) -> list[tuple[Place, bool]]:
    """The places to check of a report and whether somebody has seen them; those of another version are left out."""
    found = []
    entries = report.get("places")
    for entry in entries if isinstance(entries, list) else ():
        try:
            values = {field.name: entry[field.name] for field in fields(Place)}
            place = Place(**{**values, "position_mm": tuple(map(float, values["position_mm"]))})
            str(place)
        except (KeyError, TypeError, ValueError):
            continue
        found.append((place, entry.get("seen") is True))
    return found


def reader_of(report: Mapping[str, Any]) -> str:
    """Who has checked the result; empty if nobody says so."""
    reader = report.get("checked_by")
    return reader if isinstance(reader, str) else ""


def with_place_seen(report: Mapping[str, Any], place: Place, seen: bool) -> dict[str, Any]:
    """The report with a place ticked off, or not."""
    position = list(place.position_mm)
    places = [
        {**entry, "seen": seen} if isinstance(entry, dict) and entry.get("position_mm") == position else entry
        for entry in report.get("places", ())
    ]
    return {**report, "places": places}


def with_reader(report: Mapping[str, Any], reader: str) -> dict[str, Any]:
    """The report with the name of who has checked the result; none if that is empty."""
    rest = {key: value for key, value in report.items() if key != "checked_by"}
    return {**rest, "checked_by": reader.strip()} if reader.strip() else rest


def with_checks_of(report: dict[str, Any], other: Mapping[str, Any] | None) -> dict[str, Any]:
    """The report with the ticks and the reader of another one, if that is of the same run: their places are the same.

    To undo a stroke does not untick what was seen since.
    """
    if other is None or [place for place, _ in listed_places(report)] != [place for place, _ in listed_places(other)]:
        return report
    for place, seen in listed_places(other):
        report = with_place_seen(report, place, seen)
    return with_reader(report, reader_of(other))
