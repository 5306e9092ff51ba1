"""Strokes from files: Markups as Slicer saves them, tables, and what is neither."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from LiverSegLib.errors import InputError
from LiverSegLib.io.points import read_strokes

TABLE = "r,a,s,liver\n10,-20,30.5,1\n-1,2,3,0\n"


def point(label: str, *position: float, **more: Any) -> dict[str, Any]:
    """A control point as Slicer writes it."""
    return {"id": "1", "label": label, "description": "", "position": position, "positionStatus": "defined", **more}


def markup(*points: dict[str, Any], kind: str = "Fiducial", system: str = "LPS", **more: Any) -> dict[str, Any]:
    """A list of them."""
    return {"type": kind, "coordinateSystem": system, "coordinateUnits": "mm", "controlPoints": [*points], **more}


@pytest.fixture
def written(tmp_path):
    """Write some text or some markups, and give the path."""

    def write(content: Any, name: str = "points.mrk.json") -> Path:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps({"markups": content}), encoding="utf-8")
        return path

    return write


def test_each_point_of_a_list_is_a_stroke(written):
    path = written([markup(point("liver-1", 10, 20, 30), point("not liver-2", -1, -2, 3))])

    strokes = read_strokes(path)

    assert [stroke.is_liver for stroke in strokes] == [True, False]
    assert np.array_equal(strokes[0].points_mm, [[-10, -20, 30]])
    assert np.array_equal(strokes[1].points_mm, [[1, 2, 3]])


def test_coordinates_in_ras_stay_as_they_are(written):
    [stroke] = read_strokes(written([markup(point("liver", 10, 20, 30), system="RAS")]))

    assert np.array_equal(stroke.points_mm, [[10, 20, 30]])


@pytest.mark.parametrize(
    ("label", "description", "name", "is_liver"),
    [
        ("F-1", "not liver", "", False),
        ("F-1", "Liver", "", True),
        ("NOT_LIVER-12", "", "", False),
        ("F-1", "", "liver", True),
        ("remove 3", "", "liver", False),
    ],
)
def test_description_label_or_name_of_the_list_tells_what_is_marked(written, label, description, name, is_liver):
    path = written([markup(point(label, 0, 0, 0, description=description), name=name)])

    assert [stroke.is_liver for stroke in read_strokes(path)] == [is_liver]


def test_a_curve_is_one_stroke(written):
    path = written([markup(point("liver-1", 1, 0, 0), point("liver-2", 2, 0, 0), kind="Curve", system="RAS")])

    [stroke] = read_strokes(path)

    assert np.array_equal(stroke.points_mm, [[1, 0, 0], [2, 0, 0]])


def test_points_that_were_not_placed_yet_are_left_out(written):
    path = written([markup(point("liver-1", 1, 2, 3), point("liver-2", 0, 0, 0, positionStatus="undefined"))])

    assert len(read_strokes(path)) == 1


def test_a_table_has_a_stroke_a_row(written):
    strokes = read_strokes(written(TABLE, "points.csv"))

    assert [stroke.is_liver for stroke in strokes] == [True, False]
    assert np.array_equal(strokes[0].points_mm, [[10, -20, 30.5]])


@pytest.mark.parametrize(
    ("content", "name", "sentence"),
    [
        ([markup(point("F-1", 0, 0, 0))], "a.mrk.json", "does not tell whether point 1"),
        ([], "a.mrk.json", "holds no point"),
        ([markup(point("liver", 0, 0))], "a.mrk.json", "no place in a scanner"),
        ([markup(point("liver", 0, 0, float("nan")))], "a.mrk.json", "no place in a scanner"),
        ([markup(point("liver", 0, 0, 1e300))], "a.mrk.json", "no place in a scanner"),
        ([markup(point("liver", 0, 0, 0), system="XYZ")], "a.mrk.json", "cannot be read"),
        ([{**markup(point("liver", 0, 0, 0)), "coordinateUnits": "m"}], "a.mrk.json", "not in mm"),
        ("[1, 2", "a.json", "cannot be read"),
        ('{"markups": 7}', "a.json", "cannot be read"),
        ("[" * 100_000, "a.json", "cannot be read"),
        ("r,a,s\n1,2,3\n", "a.csv", "columns are missing: liver"),
        ("r,a,s,liver\n1,2,3,perhaps\n", "a.csv", "does not tell whether point 1"),
        ("r,a,s,liver\n1,2\n", "a.csv", "does not tell|cannot be read"),
        ("", "a.csv", "columns are missing"),
        ("1 2 3", "a.txt", "is no list of points"),
    ],
)
def test_what_is_no_list_of_points_is_refused_in_a_sentence(written, content, name, sentence):
    with pytest.raises(InputError, match=sentence):
        read_strokes(written(content, name))


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        read_strokes(tmp_path / "none.csv")
