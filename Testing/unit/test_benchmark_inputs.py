"""The scans of the speed benchmark: the body holds the very trunk, and no phantom goes for a patient."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from LiverSegLib.data.volume import CTVolume
from LiverSegLib.io.files import read_ct
from LiverSegLib.phantom import Phantom
from Testing.benchmark.inputs import BODY, NAMES, NATIVE, make, prolonged, stretched


@pytest.fixture
def without_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, which is also where the shared data are looked for."""
    monkeypatch.setenv("LIVERSEG_DATA", str(tmp_path))
    return tmp_path


def test_the_whole_body_holds_the_very_trunk_in_its_place(a_phantom: Phantom) -> None:
    trunk = stretched(a_phantom.ct, 61)
    body = prolonged(trunk, 121)
    assert body.hu.shape == (121, 128, 128)
    np.testing.assert_array_equal(body.hu[40:101], trunk.hu)
    np.testing.assert_allclose(body.affine @ (3, 4, 40 + 7, 1), trunk.affine @ (3, 4, 7, 1))
    assert body.spacing == trunk.spacing


def test_what_is_added_is_pelvis_and_neck_to_and_fro(a_phantom: Phantom) -> None:
    trunk = stretched(a_phantom.ct, 61)
    body = prolonged(trunk, 121)
    pelvis, neck = 32, 12  # slices: 124 and 48 mm, 3.9 mm apart
    np.testing.assert_array_equal(body.hu[40 - pelvis + 1 : 40], trunk.hu[pelvis - 1 : 0 : -1])
    np.testing.assert_array_equal(body.hu[:9], trunk.hu[22:31])
    np.testing.assert_array_equal(body.hu[101 : 101 + neck - 1], trunk.hu[-2 : -neck - 1 : -1])
    np.testing.assert_array_equal(body.hu[-9:], trunk.hu[-11:-2])


def test_more_slices_are_the_same_patient(a_phantom: Phantom) -> None:
    ct = a_phantom.ct
    thin = stretched(ct, 63)
    np.testing.assert_array_equal(thin.hu[::2], ct.hu)
    np.testing.assert_allclose(thin.hu[1::2], (ct.hu[:-1].astype(float) + ct.hu[1:]) / 2, atol=0.5)
    np.testing.assert_allclose(thin.affine @ (1, 2, 62, 1), ct.affine @ (1, 2, 31, 1))


def test_fewer_slices_begin_and_end_where_the_patient_does(a_phantom: Phantom) -> None:
    thick = stretched(a_phantom.ct, 5)
    np.testing.assert_array_equal(thick.hu[[0, 4]], a_phantom.ct.hu[[0, 31]])


@pytest.mark.parametrize("name", NAMES)
def test_without_the_patient_a_phantom_takes_the_place_and_says_so(name: str, without_data: Path) -> None:
    made = make(name, str(without_data), divisor=16)
    assert made["source"].startswith("phantom")
    shape = {NATIVE: 7, "trunk": 37, BODY: 75}[name]
    assert tuple(made["shape"]) == (shape, 32, 32)
    assert read_ct(made["path"]).hu.shape == (shape, 32, 32)


def test_the_patient_is_taken_as_it_is(shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVERSEG_DATA", str(shared_data))
    made = make(NATIVE, str(tmp_path))
    assert (tuple(made["shape"]), made["source"]) == ((124, 512, 512), "test patient 3D-IRCADb-01 19")
    assert not list(tmp_path.iterdir())


def test_a_trunk_whose_rows_run_backwards_is_turned_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the native patient's do."""
    from LiverSegLib.io import files

    hu = np.random.default_rng(0).integers(-1000, 1000, (61, 70, 70)).astype(np.int16)
    (tmp_path / "native").mkdir()
    files.write_ct(tmp_path / "native" / "ircad_e19_ct.nii.gz", CTVolume(hu, np.diag((-2.0, 2.0, 4.0, 1.0))))
    monkeypatch.setenv("LIVERSEG_DATA", str(tmp_path))
    made = read_ct(make("trunk", str(tmp_path), divisor=60)["path"])
    assert np.sign(np.diag(made.affine)).tolist() == [-1, -1, 1, 1]
