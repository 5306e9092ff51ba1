"""Strokes from files: point lists and curves that Slicer saves as Markups JSON, or a CSV table."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import messages
from ..data.strokes import Stroke
from ..errors import InputError
from .paths import check_there

# No reader marks so much; a file of this kind that is larger is something else.
LARGEST_FILE_BYTES = 10_000_000
COLUMNS = ("r", "a", "s", "liver")
# What a point or its list may be called; Slicer adds numbers to the name of a list.
MEANINGS = {"liver": True, "add": True, "not liver": False, "no liver": False, "remove": False}
ANSWERS = {"1": True, "yes": True, "true": True, "0": False, "no": False, "false": False}
NUMBER = re.compile(r"[-_ ]*\d*$")
# No scanner is as large.
FARTHEST_MM = 10_000.0
# Markups whose control points belong to one line.
LINES = ("Line", "Curve", "ClosedCurve")
# From a markup's coordinates to RAS; numbers are what old versions of Slicer wrote.
TO_RAS = {"RAS": (1.0, 1.0, 1.0), "0": (1.0, 1.0, 1.0), "LPS": (-1.0, -1.0, 1.0), "1": (-1.0, -1.0, 1.0)}


def read_strokes(path: str | os.PathLike[str]) -> list[Stroke]:
    """The strokes of a file, in its order.

    A ``.mrk.json`` or ``.json`` holds lists of Slicer's Markups module: each point of a point list is a stroke, each
    line or curve is one. What they mark is said by a point's label or description, or by the name of its list:
    :data:`MEANINGS`. A ``.csv`` has the columns r, a, s (mm in the patient) and liver (1 or 0), and a stroke a row.

    Raises
    ------
    InputError
        If the file is missing, is none of these, holds no point, or does not tell what a point marks.
    """
    path = Path(path)
    check_there(path)
    reader = {".json": _from_markups, ".csv": _from_table}.get(path.suffix.lower())
    if reader is None or path.is_dir():
        raise InputError(messages.NO_POINTS_FORMAT.format(path=path))
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise ValueError(messages.POINTS_TOO_LARGE)
        strokes = list(reader(path, path.read_text(encoding="utf-8-sig")))
    except OSError as error:
        raise InputError(messages.NOT_READ_BECAUSE.format(path=path, reason=error.strerror)) from error
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, csv.Error) as error:
        raise InputError(messages.POINTS_DAMAGED.format(path=path, reason=error)) from error
    if not strokes:
        raise InputError(messages.NO_POINTS.format(path=path))
    return strokes


def _from_markups(path: Path, text: str) -> Iterator[Stroke]:
    for markup in json.loads(text)["markups"]:
        to_ras = TO_RAS[str(markup.get("coordinateSystem", "LPS"))]
        if markup.get("coordinateUnits", "mm") not in ("mm", ["mm", "UCUM", "millimeter"]):
            raise ValueError(messages.POINTS_NOT_IN_MM)
        points = [one for one in markup["controlPoints"] if one.get("positionStatus", "defined") == "defined"]
        places = [_place(one["position"]) * to_ras for one in points]
        meanings = [_meaning(path, number, one, markup) for number, one in enumerate(points, start=1)]
        if markup.get("type") in LINES and points:
            if markup["type"] == "ClosedCurve":
                places.append(places[0])
            yield Stroke(np.stack(places), meanings[0])
        else:
            yield from (Stroke(place[None], is_liver) for place, is_liver in zip(places, meanings, strict=True))


def _meaning(path: Path, number: int, point: Mapping[str, Any], markup: Mapping[str, Any]) -> bool:
    """Whether a point marks liver."""
    names = [str(point.get("description", "")), str(point.get("label", "")), str(markup.get("name", ""))]
    for name in names:
        told = MEANINGS.get(NUMBER.sub("", name).strip().lower().replace("_", " "))
        if told is not None:
            return told
    raise InputError(messages.POINT_UNTOLD.format(path=path, number=number, label=names[1]))


def _from_table(path: Path, text: str) -> Iterator[Stroke]:
    rows = csv.DictReader(text.splitlines(), skipinitialspace=True)
    columns = {str(name).strip().lower(): name for name in rows.fieldnames or ()}
    if missing := [name for name in COLUMNS if name not in columns]:
        raise ValueError(messages.POINTS_LACK_COLUMNS.format(columns=", ".join(missing)))
    for number, row in enumerate(rows, start=1):
        answer = str(row[columns["liver"]]).strip().lower()
        if answer not in ANSWERS:
            raise InputError(messages.POINT_UNTOLD.format(path=path, number=number, label=answer))
        yield Stroke(_place([row[columns[axis]] for axis in "ras"])[None], ANSWERS[answer])


def _place(values: Any) -> np.ndarray:
    """Three numbers in mm; raises ValueError for anything else."""
    place = np.array([float(value) for value in values])
    if place.shape != (3,) or not np.all(np.abs(place) <= FARTHEST_MM):
        raise ValueError(messages.POINT_WITHOUT_PLACE)
    return place
