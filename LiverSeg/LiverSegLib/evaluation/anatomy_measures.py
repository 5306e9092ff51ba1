"""What a report tells of segments, vessels, spleen, tumours and attenuation; in the words of a reader, too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from .. import messages
from ..data.anatomy import Anatomy
from ..data.labels import LabelVolume
from ..data.resection import Body, Resection
from ..data.structures import COUINAUD
from ..data.volumetry import Attenuation, Space, Tumour, Volumetry, measure_attenuation, rounded_parts
from ..errors import InputError

DECIMALS = 2
# Of a table: the same columns whatever was asked for.
SEGMENT_COLUMNS = {f"segments_ml_{structure.label}": str(structure.label) for structure in COUINAUD}
ATTENUATION_COLUMNS = {f"attenuation_hu_{part}": part for part in ("liver", "spleen", "difference")}
# What a reader calls the columns of volumes, and those of attenuation.
VOLUME_NAMES = {
    **{column: messages.COUINAUD_SEGMENT.format(number=number) for column, number in SEGMENT_COLUMNS.items()},
    "vessels_volume_ml": messages.VESSELS,
    "spleen_volume_ml": messages.SPLEEN,
}
ATTENUATION_NAMES = dict(
    zip(
        ATTENUATION_COLUMNS,
        (messages.ATTENUATION_LIVER, messages.ATTENUATION_SPLEEN, messages.ATTENUATION_DIFFERENCE),
        strict=True,
    )
)


def measure(
    labels: np.ndarray,
    anatomy: Anatomy,
    space: Space,
    hu: np.ndarray | None = None,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
    tumour: bool = False,
) -> dict[str, Any]:
    """The keys that a report has beyond liver and tumours, ready for JSON; those alone that the anatomy can fill.

    Parameters
    ----------
    labels
        uint8 (k, j, i): 0 background, 1 liver, 2 tumour.
    anatomy
        On the same grid.
    space
        Where its voxels lie in the patient.
    hu, spacing
        The CT on that grid, for the attenuation, and the distance between voxel centres in mm along (k, j, i).
    tumour
        Whether tumours were asked for: if none were found, their list is empty instead of missing.

    Returns
    -------
    ``segments_ml``, ``segments_percent`` and, with tumours, ``segments_tumour_ml`` by the number of the segment as
    text, rounded so that they add up; ``tumours`` with ``volume_ml``, ``diameter_mm`` and ``segments``;
    ``vessels_volume_ml``; ``spleen_volume_ml``; ``attenuation_hu`` with ``liver``, ``spleen`` and ``difference``, and
    ``attenuation_remark``.
    """
    if anatomy.is_empty:
        return {}
    found = Volumetry.of(labels, anatomy, space)
    content: dict[str, Any] = {}
    if anatomy.segments is not None:
        content["segments_ml"] = _parts(found.segments_ml)
        content["segments_percent"] = _parts(found.segments_percent)
        if tumour or found.tumours:
            content["segments_tumour_ml"] = _parts(found.segments_tumour_ml)
            content["tumours"] = [_tumour(each) for each in found.tumours]
    if found.vessels_ml is not None:
        content["vessels_volume_ml"] = round(found.vessels_ml, DECIMALS)
    if found.spleen_ml is not None:
        content["spleen_volume_ml"] = round(found.spleen_ml, DECIMALS)
    if hu is not None and anatomy.spleen is not None:
        content |= _attenuation(measure_attenuation(hu, labels, anatomy.spleen, spacing, anatomy.vessels))
    return content


def measure_result(result: LabelVolume, hu: np.ndarray | None = None) -> dict[str, Any]:
    """The keys of :func:`measure`, ``liver_volume_ml``, ``tumour_volume_ml`` and ``warnings`` of a result on disk.

    ``hu`` is the CT on its grid, for the attenuation.
    """
    segments, warnings = result.anatomy.segments, [*result.warnings]
    volumes = {"liver_volume_ml": result.volume_ml(result.liver), "tumour_volume_ml": result.volume_ml(result.tumour)}
    if segments is not None and not np.array_equal(segments > 0, result.liver):
        held = result.volume_ml(segments)
        warnings.append(messages.SEGMENTS_UNLIKE_LIVER.format(segments=held, liver=volumes["liver_volume_ml"]))
    return {
        **{key: round(volume, DECIMALS) for key, volume in volumes.items()},
        **measure(result.labels, result.anatomy, result, hu, result.geometry.spacing),
        "warnings": warnings,
    }


def rows(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What a report tells of it, line by line: what is measured, and how much it is; what are parts adds up."""
    volumes, percent = (rounded_parts(report.get(key, {}), 0) for key in ("segments_ml", "segments_percent"))
    for number, volume in volumes.items():
        share = messages.SEGMENT_VOLUME.format(volume=volume, percent=percent.get(number, 0.0))
        yield messages.COUINAUD_SEGMENT.format(number=number), share
    if (vessels := report.get("vessels_volume_ml")) is not None:
        yield messages.VESSELS, messages.LIVER_VOLUME.format(volume=vessels)
    if (spleen := report.get("spleen_volume_ml")) is not None:
        yield messages.SPLEEN, messages.LIVER_VOLUME.format(volume=spleen)
    for number, tumour in enumerate(report.get("tumours", ()), start=1):
        yield messages.TUMOUR_NUMBER.format(number=number), tumour_text(tumour)
    for column, part in ATTENUATION_COLUMNS.items():
        if (hu := report.get("attenuation_hu", {}).get(part)) is not None:
            text = messages.HU_DIFFERENCE if part == "difference" else messages.HU
            yield ATTENUATION_NAMES[column], text.format(hu=hu)


def rows_of_frames(frames: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """The same of the reports of a sequence's frames: each measure from its smallest to its largest value."""
    found = [columns(frame) for frame in frames]
    ranges = ((VOLUME_NAMES, messages.RANGE_IN_ML), (ATTENUATION_NAMES, messages.RANGE_IN_HU))
    for names, text in ranges:
        for column, name in names.items():
            values = [row[column] for row in found if row[column] is not None]
            if values:
                yield name, text.format(smallest=min(values), largest=max(values))


def resection_rows(planned: Resection) -> Iterator[tuple[str, str]]:
    """A planned resection, line by line: what goes and what stays, and the ratios that are known."""
    whole = planned.removed_ml + planned.remnant_ml
    parts = {messages.REMNANT: planned.remnant_ml, messages.REMOVED: planned.removed_ml}
    volumes = rounded_parts(parts, 0)
    percent = rounded_parts({name: 100 * ml / whole if whole else 0.0 for name, ml in parts.items()}, 0)
    for name in (messages.REMOVED, messages.REMNANT):
        yield name, messages.SEGMENT_VOLUME.format(volume=volumes[name], percent=percent[name])
    has_tumours = planned.liver_without_tumours_ml < whole
    if has_tumours:
        without = messages.LIVER_VOLUME.format(volume=planned.remnant_without_tumours_ml)
        yield messages.REMNANT_WITHOUT_TUMOURS, without
    if planned.remnant_percent is not None:
        name = messages.REMNANT_OF_LIVER_WITHOUT_TUMOURS if has_tumours else messages.REMNANT_OF_LIVER
        yield name, messages.PERCENT.format(percent=planned.remnant_percent)
    if planned.remnant_to_weight_percent is not None:
        yield messages.REMNANT_OF_WEIGHT, messages.FINE_PERCENT.format(percent=planned.remnant_to_weight_percent)
    if planned.body.standard_liver_ml is not None and planned.remnant_to_standard_percent is not None:
        yield messages.STANDARD_LIVER, messages.LIVER_VOLUME.format(volume=planned.body.standard_liver_ml)
        yield messages.REMNANT_OF_STANDARD, messages.PERCENT.format(percent=planned.remnant_to_standard_percent)


def resection_of(report: Mapping[str, Any], removed: Iterable[int], body: Body) -> Resection:
    """What to remove some Couinaud segments means, by the volumes of a report.

    Raises
    ------
    InputError
        If the report tells of no segments, or there are no such segments.
    """
    if not report.get("segments_ml"):
        raise InputError(messages.NO_SEGMENTS_TO_REMOVE)
    volumes, tumours = (
        {int(number): volume for number, volume in report.get(key, {}).items()}
        for key in ("segments_ml", "segments_tumour_ml")
    )
    return Resection.of(removed, volumes, tumours, body)


def tumour_text(tumour: Mapping[str, Any]) -> str:
    """One tumour of a report: its volume, its diameter, its segments."""
    measures = messages.TUMOUR_MEASURES.format(volume=tumour["volume_ml"], diameter=tumour["diameter_mm"])
    where = ", ".join(map(str, tumour["segments"]))
    return messages.TUMOUR_IN_SEGMENTS.format(measures=measures, segments=where) if where else measures


def columns(report: Mapping[str, Any]) -> dict[str, Any]:
    """The same as one flat row; what is not known is None."""
    segments, hu = report.get("segments_ml", {}), report.get("attenuation_hu", {})
    return {
        **{column: segments.get(number) for column, number in SEGMENT_COLUMNS.items()},
        "vessels_volume_ml": report.get("vessels_volume_ml"),
        "spleen_volume_ml": report.get("spleen_volume_ml"),
        **{column: hu.get(part) for column, part in ATTENUATION_COLUMNS.items()},
        "tumours": "; ".join(map(tumour_text, report["tumours"])) if "tumours" in report else None,
    }


def _parts(parts: dict[int, float]) -> dict[str, float]:
    return {str(number): value for number, value in rounded_parts(parts, DECIMALS).items()}


def _tumour(tumour: Tumour) -> dict[str, Any]:
    return {
        "volume_ml": round(tumour.volume_ml, DECIMALS),
        "diameter_mm": round(tumour.diameter_mm, 1),
        "segments": list(tumour.segments),
    }


def _attenuation(found: Attenuation) -> dict[str, Any]:
    liver, spleen = (None if value is None else round(value, 1) for value in (found.liver, found.spleen))
    difference = None if liver is None or spleen is None else round(liver - spleen, 1)
    rounded = {"liver": liver, "spleen": spleen, "difference": difference}
    remark = messages.CONTRAST_REMARK if found.has_contrast else messages.PLAIN_REMARK
    return {"attenuation_hu": rounded, "attenuation_remark": messages.TOO_THIN_REMARK if difference is None else remark}
