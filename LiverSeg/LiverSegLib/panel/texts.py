"""What the panel says about a run, its result and a comparison: plain texts, no Qt."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import messages
from ..data.modality import CT
from ..data.places import Place
from ..data.strokes import Stroke
from ..evaluation import anatomy_measures
from ..evaluation import corrections as reader

if TYPE_CHECKING:
    from ..mrml.scene_run import Outcome

NOTHING = "–"
# Before that, too little is done to tell how long the rest takes.
TELL_AFTER_SECONDS, TELL_AFTER_SHARE = 1.0, 0.1


class Progress:
    """What is said of a run's progress: the end is foreseen at each report, the time until then counts down."""

    def __init__(self) -> None:
        self._share = self._end = 0.0

    def text(self, share: float, stage: str, elapsed: float) -> str:
        """The stage and, as soon as it can be told, the time left.

        Parameters
        ----------
        share
            Part done, 0 to 1.
        stage
            In words.
        elapsed
            Seconds since the start.
        """
        if share != self._share:
            self._share, self._end = share, elapsed / share if share else 0.0
        if elapsed < TELL_AFTER_SECONDS or share < TELL_AFTER_SHARE:
            return stage
        return f"{stage}, {_remaining(self._end - elapsed)}"


def _remaining(seconds: float) -> str:
    if seconds < 100:
        return messages.REMAINING_SECONDS.format(seconds=max(1, round(seconds)))
    return messages.REMAINING_MINUTES.format(minutes=round(seconds / 60))


@dataclass(frozen=True)
class ResultTexts:
    """One text for each line of the panel's results."""

    liver_volume: str = NOTHING
    tumour_volume: str = NOTHING
    quality: str = NOTHING
    quality_hint: str = ""
    time: str = NOTHING
    warnings: str = ""
    anatomy: str = ""


def results(report: Mapping[str, Any] | None) -> ResultTexts:
    """The lines for a report as :meth:`LiverSegLib.evaluation.report.SegmentationReport.to_dict` gives it, or for none.

    A report that a scene was saved with may be of another version: what it does not tell is a dash.
    """
    if report is None:
        return ResultTexts()
    seconds, device = report.get("seconds", {}).get("total"), report.get("device")
    time = NOTHING if None in (seconds, device) else messages.DONE_IN.format(seconds=seconds, device=device)
    quality, hint = _quality(report)
    return ResultTexts(
        _with_modality(_volume(report, "liver_volume_ml", messages.LIVER_VOLUME), report),
        _volume(report, "tumour_volume_ml", messages.TUMOUR_VOLUME),
        quality,
        hint,
        time,
        _warnings(report.get("warnings", ())),
        _anatomy(report),
    )


def is_ct(report: Mapping[str, Any]) -> bool:
    """Whether a report is of CT, as those of older versions are, which do not say it."""
    return report.get("modality", CT) == CT


def _with_modality(volume: str, report: Mapping[str, Any]) -> str:
    return volume if is_ct(report) else f"{volume}, {report['modality']}"


def _anatomy(report: Mapping[str, Any]) -> str:
    """Segments, spleen, tumours and attenuation, as a reader lists them; nothing where they were not asked for."""
    if "frames" in report:
        return table(anatomy_measures.rows_of_frames(report["frames"]))
    listed = table(anatomy_measures.rows(report))
    return f"{listed}{html.escape(report.get('attenuation_remark', ''))}" if listed else ""


def table(rows: Iterable[tuple[str, str]]) -> str:
    """Names and values side by side, for a label."""
    lines = (f"<tr><td>{html.escape(name)}&nbsp;&nbsp;</td><td>{html.escape(value)}</td></tr>" for name, value in rows)
    found = "".join(lines)
    return f"<table>{found}</table>" if found else ""


def _volume(report: Mapping[str, Any], key: str, text: str) -> str:
    """One volume, or that of all frames from the smallest to the largest."""
    volumes = [found for frame in report.get("frames", [report]) if (found := frame.get(key)) is not None]
    if not volumes:
        return NOTHING
    if "frames" not in report:
        return text.format(volume=volumes[0])
    return messages.RANGE_OF_VOLUMES.format(smallest=min(volumes), largest=max(volumes), count=len(volumes))


def _quality(report: Mapping[str, Any]) -> tuple[str, str]:
    """A word, and a sentence with the expected Dice; of a sequence, the lowest of its frames.

    A low one comes with a warning, and no result with a warning, whatever it is of, is called good.
    """
    found = [quality for frame in report.get("frames", [report]) if _is_known(quality := frame.get("quality"))]
    if not found:
        return NOTHING, ""
    word = messages.QUALITY_CHECK if report.get("warnings") else messages.QUALITY_GOOD
    return word, messages.QUALITY_HINT.format(quality=min(found))


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return ""
    items = "".join(f"<br>• {html.escape(warning)}" for warning in warnings)
    return f"<b>{html.escape(messages.CHECK_RESULT)}</b>{items}"


@dataclass(frozen=True)
class MeasureTexts:
    """One text for each measure of a comparison."""

    dice: str = NOTHING
    iou: str = NOTHING
    hd95: str = NOTHING
    assd: str = NOTHING
    volume_difference: str = NOTHING


def measures(values: Mapping[str, float | None] | None) -> MeasureTexts:
    """The lines for what :func:`LiverSegLib.data.metrics.compare` gives, or for none."""
    if values is None:
        return MeasureTexts()
    return MeasureTexts(
        *(
            template.format(value) if _is_known(value := values.get(key)) else NOTHING
            for key, template in (
                ("dice", "{:.3f}"),
                ("iou", "{:.3f}"),
                ("hd95_mm", "{:.1f} mm"),
                ("assd_mm", "{:.1f} mm"),
                ("volume_difference_percent", "{:+.1f} %"),
            )
        )
    )


def _is_known(value: float | None) -> bool:
    """Distances from nothing are infinite: there is no number to show."""
    return value is not None and math.isfinite(value)


_MEASURES = (
    ("liver_volume_ml", messages.MEASURE_LIVER_VOLUME, ".2f", "ml"),
    ("tumour_volume_ml", messages.MEASURE_TUMOUR_VOLUME, ".2f", "ml"),
    ("quality", messages.MEASURE_QUALITY, ".3f", ""),
    ("dice", messages.MEASURE_DICE, ".4f", ""),
    ("iou", messages.MEASURE_IOU, ".4f", ""),
    ("hd95_mm", messages.MEASURE_HD95, ".2f", "mm"),
    ("assd_mm", messages.MEASURE_ASSD, ".2f", "mm"),
    ("volume_difference_percent", messages.MEASURE_VOLUME_DIFFERENCE, "+.2f", "%"),
)
_MEASURES_OF_FRAMES = (
    *_MEASURES,
    *((column, name, ".2f", "ml") for column, name in anatomy_measures.VOLUME_NAMES.items()),
    *((column, name, ".1f", "HU") for column, name in anatomy_measures.ATTENUATION_NAMES.items()),
)


def with_comparison(report: Mapping[str, Any], values: Mapping[str, Any], frame: str | None) -> dict[str, Any]:
    """A report with the measures of a comparison: of a sequence, at the frame that was compared."""
    if "frames" not in report:
        return {**report, **values}
    frames = [{**found, **values} if found.get("frame") == frame else found for found in report["frames"]]
    return {**report, "frames": frames}


def tabulated(report: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Titles of the columns, and the rows, of all that a report tells; what is not known is left out.

    A row for each measure, with its value and unit; of a sequence, a row for each frame and a column for each measure.
    """
    if "frames" in report:
        return _tabulated_frames(report)
    return (messages.COLUMN_MEASURE, messages.COLUMN_VALUE, messages.COLUMN_UNIT), _rows(report)


def _rows(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    seconds = report.get("seconds", {}).get("total")
    values = [(name, report.get(key), pattern, unit) for key, name, pattern, unit in _MEASURES]
    values.append((messages.MEASURE_TIME, seconds, ".1f", "s"))
    found: list[tuple[str, ...]] = [
        (name, format(value, pattern), unit) for name, value, pattern, unit in values if _is_known(value)
    ]
    found += [(name, value, "") for name, value in (*anatomy_measures.rows(report), *reader.rows(report))]
    if not is_ct(report):
        found.append((messages.MEASURE_MODALITY, str(report["modality"]), ""))
    if report.get("device"):
        found.append((messages.MEASURE_DEVICE, str(report["device"]), ""))
    return found


def _tabulated_frames(report: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    frames = [{**anatomy_measures.columns(frame), **frame} for frame in report["frames"]]
    columns = [(messages.COLUMN_FRAME, [str(frame.get("frame", "")) for frame in frames])]
    for key, name, pattern, unit in _MEASURES_OF_FRAMES:
        cells = [format(value, pattern) if _is_known(value := frame.get(key)) else "" for frame in frames]
        title = messages.COLUMN_WITH_UNIT.format(measure=name, unit=unit) if unit else name
        columns += [(title, cells)] * any(cells)
    if not is_ct(report):
        columns.append((messages.MEASURE_MODALITY, [str(report["modality"])] * len(frames)))
    titles, cells_of = zip(*columns, strict=True)
    return titles, list(zip(*cells_of, strict=True))


def frames(outcomes: Sequence[Outcome]) -> str:
    """One line for a sequence: how many frames, and from which to which liver volume."""
    volumes = [outcome.report.liver_volume_ml for outcome in outcomes]
    return messages.FRAMES_RESULT.format(count=len(volumes), smallest=min(volumes), largest=max(volumes))


_WHERE = {
    ("upper", "right"): messages.SHORT_UPPER_RIGHT,
    ("upper", "left"): messages.SHORT_UPPER_LEFT,
    ("middle", "right"): messages.SHORT_MIDDLE_RIGHT,
    ("middle", "left"): messages.SHORT_MIDDLE_LEFT,
    ("lower", "right"): messages.SHORT_LOWER_RIGHT,
    ("lower", "left"): messages.SHORT_LOWER_LEFT,
}


def correct_title(unseen: int) -> str:
    """Title of the section for corrections, with how many places nobody has looked at yet."""
    return messages.CORRECT_TITLE_PLACES.format(count=unseen) if unseen else messages.CORRECT_TITLE


def tool_hint(is_liver: bool | None) -> str:
    """What the tool in the hand waits for; nothing without one."""
    return "" if is_liver is None else messages.TOOL_HINT.format(tool=_tool(is_liver))


def _tool(is_liver: bool) -> str:
    return messages.STROKE_ADD if is_liver else messages.STROKE_REMOVE


def place(place: Place) -> str:
    """A place to check, short enough for a button."""
    where = _WHERE[place.height, place.side]
    return messages.PLACE_SHORT.format(number=place.slice + 1, where=where, ml=place.ml)


def place_hint(place: Place) -> str:
    """What a click on it does, and all that is known of it."""
    return messages.PLACE_HINT.format(place=place)


def stroke(stroke: Stroke, index: int) -> str:
    """A stroke in a list: its tool, its slice by the index k, and how long it is."""
    mm = float(np.linalg.norm(np.diff(stroke.points_mm, axis=0), axis=1).sum())
    template = messages.STROKE_LINE if mm >= 0.5 else messages.STROKE_POINT
    return template.format(tool=_tool(stroke.is_liver), number=index + 1, mm=mm)


def corrected(report: Mapping[str, Any] | None) -> str:
    """How many strokes the result has, and what they did; nothing if it has none."""
    count, added, removed = ((report or {}).get(key) for key in ("corrections", "added_ml", "removed_ml"))
    if not all(map(reader.is_number, (count, added, removed))):
        return ""
    template = messages.CORRECTED_ONCE if count == 1 else messages.CORRECTED
    return template.format(count=count, added=added, removed=removed)
