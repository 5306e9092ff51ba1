"""Any shape, any affine that can be inverted, any numbers: a result on exactly the same grid, or a clean error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from LiverSegLib.data.geometry import Geometry
from LiverSegLib.data.labels import LabelVolume
from LiverSegLib.data.resample import reference_on_grid
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.errors import InputError, LiverSegError, OutputError
from LiverSegLib.inference.options import SegmentOptions
from LiverSegLib.inference.segmenter import Segmenter
from LiverSegLib.io import files
from LiverSegLib.model.liver_model import LiverModel
from Testing.fuzz.corpus import sample_of

DTYPES = "?", "i1", "u1", "<i2", ">i2", "<u2", ">u2", "i4", "u4", ">i8", "u8", "f2", "<f4", ">f4", "f8", "g"
SUFFIXES = files.WRITABLE_SUFFIXES

shapes = st.tuples(*[st.integers(1, 9)] * 3)


@st.composite
def affines(draw: st.DrawFn, smallest: float = -6, largest: float = 6) -> np.ndarray:
    """Rotated, mirrored, sheared; spacings are powers of ten between these exponents, offsets up to 1e9."""
    kind = draw(st.sampled_from(("upright", "turned", "sheared")))
    directions = np.eye(3)[:, draw(st.permutations(range(3)))] * draw(st.tuples(*[st.sampled_from((-1.0, 1.0))] * 3))
    if kind != "upright":
        angles = draw(st.tuples(*[st.floats(-180, 180)] * 3))
        directions = Rotation.from_euler("xyz", angles, degrees=True).as_matrix() @ directions
    if kind == "sheared":
        shear = np.eye(3)
        shear[np.triu_indices(3, 1)] = draw(st.tuples(*[st.floats(-3, 3)] * 3))
        directions = directions @ shear
    exponents = draw(st.one_of(st.tuples(*[st.floats(-0.5, 0.7)] * 3), st.tuples(*[st.floats(smallest, largest)] * 3)))
    affine = np.eye(4)
    affine[:3, :3] = directions / np.linalg.norm(directions, axis=0) * 10.0 ** np.array(exponents)
    affine[:3, 3] = draw(st.tuples(*[st.one_of(st.floats(-500, 500), st.floats(-1e9, 1e9))] * 3))
    return affine


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    """Voxels of any real type, (k, j, i), over its whole range; some are NaN or infinite where the type has them."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = draw(shapes)
    if dtype.kind == "b":
        return random.random(shape) < 0.5
    limits = np.iinfo(dtype) if dtype.kind in "iu" else np.finfo(np.float16)
    span = draw(st.sampled_from((1.0, 1e-3)))
    values = (random.uniform(float(limits.min), float(limits.max), shape) * span).astype(dtype)
    if dtype.kind == "f" and draw(st.integers(0, 4)) == 0:
        values.flat[random.integers(values.size)] = draw(st.sampled_from((np.nan, np.inf, -np.inf)))
    return values


@contextmanager
def clean_errors_only(*kinds: type[LiverSegError]) -> Iterator[None]:
    """An error of these kinds is an answer, too, if it is one sentence; anything else fails the test."""
    try:
        with np.errstate(all="raise", under="ignore"):
            yield
    except kinds as error:
        assert str(error).strip() and "\n" not in str(error)
        assert error.exit_code == 2


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory) -> Segmenter:
    """A network so small that hundreds of volumes take seconds; its labels mean nothing."""
    folder = tmp_path_factory.mktemp("model")
    for name, content in sample_of("model").files.items():
        (folder / name).write_bytes(content)
    return Segmenter(LiverModel.load(folder / "model.pt"), device="cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("files")


def noise(shape: tuple[int, int, int], seed: int) -> np.ndarray:
    """HU of fat and soft tissue."""
    return np.random.default_rng(seed).integers(-150, 200, shape).astype(np.int16)


@settings(max_examples=150)
@given(values=arrays(), affine=affines(-12, 12))
def test_a_volume_holds_the_same_numbers_or_is_refused(values, affine):
    with clean_errors_only(InputError):
        ct = CTVolume.from_array(values, affine)
        assert ct.hu.shape == values.shape and ct.hu.dtype == np.int16
        assert np.array_equal(ct.affine, affine)
        wanted = np.clip(np.rint(values.astype(np.longdouble)), -32768, 32767)
        assert np.array_equal(ct.hu, wanted)


@settings(max_examples=150)
@given(shape=shapes, affine=affines(-12, 12))
def test_every_voxel_keeps_its_place_in_the_axial_stack_and_comes_back(shape, affine):
    ct = CTVolume(np.arange(np.prod(shape), dtype=np.int16).reshape(shape), affine)
    canonical = ct.canonical()
    assert np.array_equal(ct.geometry.from_canonical(canonical.hu), ct.hu)
    for k, j, i in np.ndindex(*canonical.hu.shape):
        own_k, own_j, own_i = np.argwhere(ct.hu == canonical.hu[k, j, i])[0]
        here = canonical.affine @ (i, j, k, 1)
        assert np.allclose(here, affine @ (own_i, own_j, own_k, 1), rtol=1e-9, atol=1e-9 * np.abs(affine).max())


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shape=shapes, affine=affines(), seed=st.integers(0, 99))
def test_labels_come_back_from_a_file_on_the_same_grid(folder, suffix, shape, affine, seed):
    labels = np.random.default_rng(seed).integers(0, 3, shape).astype(np.uint8)
    path = folder / f"labels{suffix}"
    with clean_errors_only(InputError, OutputError):
        files.write_labels(path, labels, affine)
        read = files.read_labels(path)
        assert np.array_equal(read.labels, labels)
        assert read.geometry.is_same_as(Geometry(shape, affine))


@settings(max_examples=30)
@given(values=arrays(), affine=affines())
def test_a_ct_comes_back_from_a_file_on_the_same_grid(folder, values, affine):
    with clean_errors_only(InputError, OutputError):
        ct = CTVolume.from_array(values, affine)
        files.write_ct(folder / "ct.nii", ct)
        again = files.read_ct(folder / "ct.nii")
        assert np.array_equal(again.hu, ct.hu)
        assert again.geometry.is_same_as(ct.geometry)


@settings(max_examples=100)
@given(shape=shapes, affine=affines(), other_shape=shapes, other=affines(), near=st.booleans(), seed=st.integers(0, 99))
def test_a_reference_comes_on_the_image_s_grid_or_is_refused(shape, affine, other_shape, other, near, seed):
    labels = np.random.default_rng(seed).integers(0, 3, other_shape).astype(np.uint8)
    if near:
        other = other.copy()
        other[:3, 3] = Geometry(shape, affine).outline().mean(axis=1)
    with clean_errors_only(InputError):
        on_grid = reference_on_grid(LabelVolume(labels, other), Geometry(shape, affine)).labels
        assert on_grid.shape == shape and on_grid.dtype == np.uint8
        assert set(np.unique(on_grid)) <= {0, 1, 2}


@settings(max_examples=100)
@given(shape=shapes, affine=affines(-9, 9), seed=st.integers(0, 99), force=st.booleans())
def test_a_segmentation_lies_on_the_image_s_grid_or_the_image_is_refused(segmenter, shape, affine, seed, force):
    with clean_errors_only(InputError):
        ct = CTVolume.from_array(noise(shape, seed), affine)
        found = segmenter.segment(ct, SegmentOptions(force=force), probabilities=bool(seed % 2))
        assert found.labels.shape == shape and found.labels.dtype == np.uint8
        assert np.array_equal(found.affine, affine)
        if found.probabilities is not None:
            assert found.probabilities.shape == (3, *shape) and np.isfinite(found.probabilities).all()


@settings(max_examples=40)
@given(shape=shapes, affine=affines(-0.3, 0.7), seed=st.integers(0, 99))
def test_what_a_patient_can_measure_is_never_refused_for_its_geometry(segmenter, shape, affine, seed):
    if np.prod(shape) > 1:
        ct = CTVolume(noise(shape, seed), affine)
        assert segmenter.segment(ct, SegmentOptions(force=True)).labels.shape == shape
