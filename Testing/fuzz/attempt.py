"""One damaged input on the whole road: read, segment, write, read again. What became of it?"""

from __future__ import annotations

import os
import re
import tempfile
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from LiverSegLib.data.volume import CTVolume
from LiverSegLib.errors import LiverSegError
from LiverSegLib.inference.options import SegmentOptions
from LiverSegLib.inference.segmenter import Segmenter
from LiverSegLib.io import files
from LiverSegLib.model.liver_model import LiverModel
from Testing.fuzz.compare import UNJUDGED, problem_of_ct, problem_of_labels, problem_of_place_in_itk, problem_of_result
from Testing.fuzz.corpus import AFFINE, Sample, hu, sample_of, write

# Gives a problem in words, or nothing.
Check = Callable[[], str]
# Nothing in the corpus needs more than a few megabytes; compression cannot make them this many.
MOST_MEGABYTES = 500

READ, REFUSED = "read", "refused"
WRONG, EXCEPTION, MEMORY, UNCLEAR = "wrong", "exception", "memory", "unclear message"
# These two are for who starts the process that this runs in.
CRASH, HANG = "crash", "hang"
GOOD = (READ, REFUSED)
OUTCOMES = (READ, REFUSED, WRONG, EXCEPTION, MEMORY, UNCLEAR, CRASH, HANG)


@dataclass(frozen=True)
class Attempt:
    """What became of one input: one of :data:`OUTCOMES`, and more about it.

    ``megabytes`` is what the process held at most meanwhile.
    """

    outcome: str
    detail: str
    megabytes: float


class Road:
    """The road that all inputs take, with a small network that is loaded once."""

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            write(sample_of("model"), Path(folder))
            self._segmenter = Segmenter(LiverModel.load(Path(folder, "model.pt")), device="cpu")

    def attempt(self, sample: Sample) -> Attempt:
        """Go the road as far as it goes; nothing is raised but what ends the process."""
        with tempfile.TemporaryDirectory() as folder:
            write(sample, Path(folder))
            before = _reset_peak()
            outcome, detail, checks = self._outcome(sample, Path(folder))
            # What other readers take, to check it, is not ours.
            megabytes = in_use("VmHWM")
            if problem := _first_problem(checks):
                outcome, detail = READ if problem == UNJUDGED else WRONG, problem
        if megabytes - before > MOST_MEGABYTES and outcome in GOOD:
            outcome, detail = MEMORY, f"{megabytes - before:.0f} MB; {outcome}: {detail}"
        return Attempt(outcome, detail.replace(folder, "FOLDER"), round(megabytes, 1))

    def _outcome(self, sample: Sample, folder: Path) -> tuple[str, str, list[Check]]:
        try:
            with np.errstate(all="ignore"):
                return READ, "", self._checks(sample, folder / sample.target, folder)
        except LiverSegError as error:
            return *_judged(error), []
        except MemoryError:
            return MEMORY, traceback.format_exc(limit=-3), []
        except Exception:
            return EXCEPTION, traceback.format_exc(limit=-6), []

    def _checks(self, sample: Sample, path: Path, folder: Path) -> list[Check]:
        """Do all of the work; what there is to check about it, with other readers."""
        match sample.kind:
            case "ct":
                ct = files.read_ct(path)
                checks = [*_checks_of_result(self._segmenter, ct, folder), lambda: problem_of_ct(ct, path)]
                if ".nii" in path.name:
                    checks.append(lambda: problem_of_place_in_itk(path, folder / "result.nii.gz"))
                return checks
            case "labels":
                labels, affine = files.read_labels(path)
                return [lambda: problem_of_labels(labels, affine, path)]
            case _:
                segmenter = Segmenter(LiverModel.load(path), device="cpu")
                return _checks_of_result(segmenter, CTVolume(hu(), AFFINE), folder)


def _checks_of_result(segmenter: Segmenter, ct: CTVolume, folder: Path) -> list[Check]:
    found = segmenter.segment(ct, SegmentOptions(tumour=True, force=True))
    paths = [folder / "result.nii.gz", folder / "result.seg.nrrd"]
    for path in paths:
        files.write_labels(path, found.labels, found.affine, ct.header)
    return [lambda path=path: problem_of_result(path, found.labels, ct) for path in paths]


def _first_problem(checks: list[Check]) -> str:
    try:
        problems = [problem for check in checks if (problem := check())]
        return next((problem for problem in problems if problem != UNJUDGED), UNJUDGED if problems else "")
    except Exception:  # the other reader gave something that cannot even be compared
        return traceback.format_exc(limit=-3)


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


def _reset_peak() -> float:
    """Megabytes in use now, from which the peak is counted anew."""
    Path("/proc/self/clear_refs").write_text("5")
    return in_use("VmRSS")


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
