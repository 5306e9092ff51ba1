"""One damaged input on the whole road: read, segment, write, read again. What became of it?"""

from __future__ import annotations

import os
import re
import tempfile
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from LiverSegLib.data.resample import reference_on_grid
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.errors import LiverSegError
from LiverSegLib.inference.segmenter import Segmenter
from LiverSegLib.io import files
from LiverSegLib.model.liver_model import LiverModel
from Testing.fuzz.corpus import AFFINE, SHAPE, Sample, hu, sample_of
from Testing.fuzz.expected import expected_grid, same

# Nothing in the corpus needs more than a few megabytes; compression cannot make them this many.
MOST_MEGABYTES = 500

READ, REFUSED = "read", "refused"
WRONG_GRID, EXCEPTION, MEMORY, UNCLEAR = "wrong grid", "exception", "memory", "unclear message"
# Read, but the header leaves open what the right grid is.
UNJUDGED = "a grid that only one reader tells"
# These two are for who starts the process that this runs in.
CRASH, HANG = "crash", "hang"
GOOD = (READ, REFUSED)
OUTCOMES = (READ, REFUSED, WRONG_GRID, EXCEPTION, MEMORY, UNCLEAR, CRASH, HANG)


@dataclass(frozen=True)
class Attempt:
    """What became of one input: one of :data:`OUTCOMES`, and more about it; ``megabytes`` is what it took at most."""

    outcome: str
    detail: str
    megabytes: float


class Road:
    """The road that all inputs take, with a small network that is loaded once."""

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            _write(sample_of("model"), Path(folder))
            self._segmenter = Segmenter(LiverModel.load(Path(folder, "model.pt")), device="cpu")

    def attempt(self, sample: Sample) -> Attempt:
        """Go the road as far as it goes; nothing is raised but what ends the process."""
        with tempfile.TemporaryDirectory() as folder:
            _write(sample, Path(folder))
            before = _reset_peak()
            outcome, detail = self._outcome(sample, Path(folder))
            megabytes = _peak() - before
        if megabytes > MOST_MEGABYTES and outcome in GOOD:
            outcome, detail = MEMORY, f"{megabytes:.0f} MB; {outcome}: {detail}"
        return Attempt(outcome, detail.replace(str(folder), "FOLDER"), round(megabytes, 1))

    def _outcome(self, sample: Sample, folder: Path) -> tuple[str, str]:
        try:
            with np.errstate(all="ignore"):
                return self._result(sample, folder / sample.target, folder)
        except LiverSegError as error:
            return _judged(error)
        except MemoryError:
            return MEMORY, traceback.format_exc(limit=-3)
        except Exception:
            return EXCEPTION, traceback.format_exc(limit=-6)

    def _result(self, sample: Sample, path: Path, folder: Path) -> tuple[str, str]:
        judged = sample.kind == "model" or expected_grid(path) is not None
        match sample.kind:
            case "ct":
                ct = files.read_ct(path)
                problem = _problem_of(ct, path) or self._problem_of_result(self._segmenter, ct, folder)
            case "labels":
                labels, affine = files.read_labels(path)
                problem = _problem_of_labels(labels, affine, path)
            case _:
                segmenter = Segmenter(LiverModel.load(path), device="cpu")
                problem = self._problem_of_result(segmenter, CTVolume(hu(), AFFINE), folder)
        if problem:
            return WRONG_GRID, problem
        return READ, "" if judged else UNJUDGED

    @staticmethod
    def _problem_of_result(segmenter: Segmenter, ct: CTVolume, folder: Path) -> str:
        found = segmenter.segment(ct, force=True, tumour=True)
        if found.labels.shape != ct.hu.shape or not np.array_equal(found.affine, ct.affine):
            return f"labels {found.labels.shape} on {ct.hu.shape}"
        for name in ("result.nii.gz", "result.seg.nrrd"):
            files.write_labels(folder / name, found.labels, found.affine)
            labels, affine = files.read_labels(folder / name)
            again, _ = reference_on_grid(labels, affine, ct.hu.shape, ct.affine)
            if again is not labels or not np.array_equal(again, found.labels):
                return f"{name} lies elsewhere: {affine.tolist()} for {ct.affine.tolist()}"
        return ""


def _problem_of(ct: CTVolume, path: Path) -> str:
    if ct.hu.ndim != 3 or ct.hu.dtype != np.int16 or not ct.hu.size:
        return f"{ct.hu.shape} {ct.hu.dtype}"
    if not np.array_equal(ct.from_canonical(ct.canonical().hu), ct.hu):
        return "not the same voxels there and back"
    return _problem_of_grid(ct.hu.shape, ct.affine, path)


def _problem_of_labels(labels: np.ndarray, affine: np.ndarray, path: Path) -> str:
    if labels.ndim != 3 or labels.dtype != np.uint8 or labels.max(initial=0) > 2:
        return f"{labels.shape} {labels.dtype}"
    grid = reference_on_grid(np.ones_like(labels), affine, SHAPE, AFFINE)[0]
    if grid.shape != SHAPE:
        return f"a reference of {grid.shape}"
    return _problem_of_grid(labels.shape, affine, path)


def _problem_of_grid(shape: tuple[int, ...], affine: np.ndarray, path: Path) -> str:
    if affine.shape != (4, 4) or not np.isfinite(affine).all() or np.linalg.det(affine) == 0:
        return f"no position: {affine.tolist()}"
    wanted = expected_grid(path)
    if wanted is None or same((shape, affine), wanted):
        return ""
    return f"{shape} {affine.tolist()} instead of {wanted[0]} {wanted[1].tolist()}"


def _judged(error: LiverSegError) -> tuple[str, str]:
    """Whether an error is clean: one sentence, the exit code of bad input, and nothing that ate memory behind it."""
    sentence = str(error)
    causes = list(_causes(error))
    if any(isinstance(cause, MemoryError) or _OUT_OF_MEMORY.search(str(cause)) for cause in causes):
        return MEMORY, "".join(traceback.format_exception(error))[-1500:]
    if error.exit_code != 2 or not sentence.strip() or "\n" in sentence or len(sentence) > 1000:
        return UNCLEAR, repr(error)
    return REFUSED, sentence


_OUT_OF_MEMORY = re.compile(r"bad_?alloc|allocate memory|unable to allocate|out of memory", re.IGNORECASE)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _write(sample: Sample, folder: Path) -> None:
    for name, content in sample.files.items():
        (folder / name).write_bytes(content)


def _reset_peak() -> float:
    """Megabytes in use now, from which the peak is counted anew."""
    Path("/proc/self/clear_refs").write_text("5")
    return in_use("VmRSS")


def _peak() -> float:
    return in_use("VmHWM")


def in_use(field: str) -> float:
    """Megabytes of this process: VmRSS, VmHWM or VmSize."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise KeyError(field)


def prepare_process(address_megabytes: int) -> None:
    """One thread, and no more address space than now and so much more."""
    import resource

    torch.set_num_threads(1)
    os.environ["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = "1"
    limit = int((in_use("VmSize") + address_megabytes) * 2**20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
