"""A run: each case whole or failed with a reason, whatever happens to the others, to a process or to the run."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from LiverSegLib.batch import BatchOptions, BatchResult, CaseRecord, find_cases, pipeline, run_batch
from LiverSegLib.batch.cases import Case
from LiverSegLib.batch.one_case import ResidentSegmenter, failed_record, make_segmenter, run_case
from LiverSegLib.batch.record import read_record
from LiverSegLib.batch.workers import WorkerError, run_processes
from LiverSegLib.errors import Cancelled, DeviceError, InputError, ModelError, OutputError
from LiverSegLib.io import files, nifti
from LiverSegLib.phantom import make_phantom

SHAPE, SPACING = (4, 32, 32), (8.0, 12.0, 12.0)
NAMES = [f"p{n}" for n in range(5)]


@pytest.fixture(scope="module")
def a_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders "images" and "references" of five small phantoms."""
    folder = tmp_path_factory.mktemp("cohort")
    for name in ("images", "references"):
        (folder / name).mkdir()
    for seed, name in enumerate(NAMES):
        phantom = make_phantom(seed, SHAPE, SPACING)
        files.write_ct(folder / "images" / f"{name}.nii.gz", phantom.ct)
        files.write_labels(folder / "references" / f"{name}_liver.nii.gz", phantom.labels, phantom.ct.affine)
    return folder


@pytest.fixture
def cohort(a_cohort: Path, tmp_path: Path) -> Path:
    """A copy that a test may break."""
    return Path(shutil.copytree(a_cohort, tmp_path / "cohort"))


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "output"


@pytest.fixture
def options(a_model_file: Path) -> BatchOptions:
    """The untrained network on one thread of the CPU."""
    return BatchOptions(device="cpu", model=a_model_file, threads=1)


@pytest.fixture
def run(cohort: Path, output: Path, options: BatchOptions) -> Callable[..., BatchResult]:
    """Run the cohort."""

    def run(**changes: object) -> BatchResult:
        arguments = {"cases": find_cases(cohort / "images", cohort / "references"), "options": options, **changes}
        return run_batch(arguments.pop("cases"), arguments.pop("options"), output, **arguments)

    return run


def tree(output: Path) -> dict[str, str]:
    """Digest of each file of the cases; without times, so without reports and records."""
    found = [path for path in output.glob("cases/**/*") if path.is_file() and path.suffix != ".json"]
    return {path.relative_to(output).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


# ---- links in the output ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [".lock", "batch.log", "cases", "cases/p0"])
def test_a_link_where_the_run_keeps_its_own_is_refused(
    run: Callable[..., BatchResult], output: Path, tmp_path: Path, place: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "report.json").write_text("precious")
    link = output / place
    link.parent.mkdir(parents=True)
    link.symlink_to(outside / "report.json" if "." in place else outside)
    with pytest.raises(OutputError, match="is a link"):
        run()
    assert [path.read_text() for path in outside.iterdir()] == ["precious"]


def test_a_pipe_in_place_of_the_log_is_refused_and_not_waited_for(
    run: Callable[..., BatchResult], output: Path
) -> None:
    output.mkdir()
    os.mkfifo(output / "batch.log")
    with pytest.raises(OutputError, match="no file"):
        run()


def test_links_in_place_of_results_are_replaced(
    cohort: Path, output: Path, options: BatchOptions, tmp_path: Path
) -> None:
    precious = tmp_path / "precious"
    precious.write_text("precious")
    places = ["results.csv", "results.json", "index.html", "cases/p0/liver.nii.gz", "cases/p0/record.json"]
    for place in places:
        (output / place).parent.mkdir(parents=True, exist_ok=True)
        (output / place).symlink_to(precious)
    run_batch(find_cases(cohort / "images" / "p0.nii.gz"), options, output)
    assert precious.read_text() == "precious"
    assert not any((output / place).is_symlink() for place in places)


# ---- one case --------------------------------------------------------------------------------------------------------


def test_a_case_leaves_segmentation_report_picture_and_record(
    cohort: Path, output: Path, options: BatchOptions
) -> None:
    case = find_cases(cohort / "images", cohort / "references")[0]
    record = run_case(case, options, output, make_segmenter(options))
    assert record == read_record(output / "cases" / "p0")
    assert (record.name, record.input, record.status, record.reason) == ("p0", "p0.nii.gz", "done", "")
    labels, affine = files.read_labels(output / record.files["segmentation"])
    ct = files.read_ct(case.ct)
    assert labels.shape == ct.hu.shape and np.allclose(affine, ct.affine)
    report = json.loads((output / record.files["report"]).read_text(encoding="utf-8"))
    assert report == record.report
    assert report["liver_volume_ml"] == pytest.approx((labels > 0).sum() * ct.voxel_volume_ml, abs=0.01)
    assert {"dice", "hd95_mm"} <= set(report)
    assert (report["input"], report["output"]) == ("p0.nii.gz", "cases/p0/liver.nii.gz")
    with Image.open(output / record.files["picture"]) as picture:
        assert picture.mode == "RGB"
    assert {path.name for path in (output / "cases" / "p0").iterdir()} == {
        "liver.nii.gz", "report.json", "overlay.png", "record.json",
    }  # fmt: skip


@pytest.mark.parametrize("suffix", [".nrrd", ".seg.nrrd"])
def test_other_formats_hold_the_same_labels(cohort: Path, tmp_path: Path, options: BatchOptions, suffix: str) -> None:
    case, segmenter = find_cases(cohort / "images")[0], make_segmenter(options)
    found = []
    for wanted in (options, replace(options, suffix=suffix, pictures=False)):
        record = run_case(case, wanted, tmp_path / wanted.suffix, segmenter)
        found.append(files.read_labels(tmp_path / wanted.suffix / record.files["segmentation"])[0])
    assert np.array_equal(*found)
    assert set(record.files) == {"segmentation", "report"}


def case_of(path: Path) -> Case:
    return Case("x", path, source=path.name)


def make_empty(path: Path) -> None:
    path.write_bytes(b"")


def make_constant(path: Path) -> None:
    nifti.write(path, np.zeros(SHAPE, np.int16), np.diag((-2.0, -2.0, 5.0, 1.0)))


def make_noise(path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 9000, SHAPE).astype(np.int16)
    nifti.write(path, values, np.diag((-2.0, -2.0, 5.0, 1.0)))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (truncate, "truncated"),
        (make_empty, "0 bytes"),
        (make_constant, "constant"),
        (make_noise, "MR"),
        (Path.unlink, "exist"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_bad_image_is_a_failed_record_with_one_sentence(
    cohort: Path, output: Path, options: BatchOptions, damage: Callable[[Path], None], told: str
) -> None:
    path = cohort / "images" / "p0.nii.gz"
    damage(path)
    record = run_case(case_of(path), options, output, make_segmenter(options))
    assert (record.status, record.kind, record.files) == ("failed", "InputError", {})
    assert told in record.reason and "\n" not in record.reason
    assert str(cohort) not in record.reason
    assert read_record(output / "cases" / "x") == record


def test_a_dicom_seg_of_another_format_is_refused(cohort: Path, output: Path, a_model_file: Path) -> None:
    options = BatchOptions(device="cpu", model=a_model_file, suffix=".dcm")
    record = run_case(case_of(cohort / "images" / "p0.nii.gz"), options, output, make_segmenter(options))
    assert record.status == "failed" and "--format" in record.reason


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("broken\n  pipe"), OSError(5, "Input/output error")])
def test_an_error_that_nobody_foresaw_is_one_sentence_too(output: Path, error: Exception) -> None:
    record = failed_record(case_of(Path("x.nii")), error, output)
    assert record.kind == type(error).__name__
    assert record.reason.endswith(".") and "\n" not in record.reason


def test_a_case_that_fails_takes_the_results_of_an_earlier_run_with_it_and_nothing_else(
    cohort: Path, output: Path, options: BatchOptions
) -> None:
    path, segmenter = cohort / "images" / "p0.nii.gz", make_segmenter(options)
    run_case(case_of(path), options, output, segmenter)
    folder = output / "cases" / "x"
    for left in (".0123abcd-liver.nii.gz", ".0123abcd-.4567cdef-overlay.png"):
        (folder / left).write_bytes(b"left by a killed process")
    (folder / "notes.txt").write_bytes(b"the user's own")
    truncate(path)
    run_case(case_of(path), options, output, segmenter)
    assert {entry.name for entry in folder.iterdir()} == {"record.json", "notes.txt"}


def test_the_network_comes_back_to_the_device_it_had_to_leave(options: BatchOptions) -> None:
    import torch

    resident = ResidentSegmenter(options)
    first = resident.get()
    assert resident.get() is first
    first.predictor.device = torch.device("meta")  # as if it had moved
    assert resident.get() is not first
    assert resident.get().device == torch.device("cpu")


# ---- a run -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_good_cases_are_done_and_the_bad_ones_named(cohort: Path, output: Path, run, jobs: int) -> None:
    truncate(cohort / "images" / "p1.nii.gz")
    make_empty(cohort / "images" / "p3.nii.gz")
    result = run(jobs=jobs)
    assert [record.name for record in result.records] == NAMES
    assert {record.name for record in result.records if record.status == "failed"} == {"p1", "p3"}
    assert (result.done, result.failed, result.skipped) == (3, 2, 0)
    assert {path.name for path in output.iterdir()} >= {
        "results.csv",
        "results.json",
        "batch.log",
        "index.html",
        "cases",
    }


@pytest.mark.slow
def test_processes_find_what_one_process_finds(tmp_path: Path, cohort: Path, options: BatchOptions) -> None:
    cases = find_cases(cohort / "images", cohort / "references")
    for jobs in (1, 2):
        run_batch(cases, options, tmp_path / str(jobs), jobs=jobs)
    assert tree(tmp_path / "1") == tree(tmp_path / "2")
    tables = [(tmp_path / name / "results.csv").read_bytes() for name in "12"]
    assert tables[0] == tables[1]


def test_progress_is_told_after_each_case(cohort: Path, run) -> None:
    truncate(cohort / "images" / "p0.nii.gz")
    told = []
    run(progress=told.append)
    assert [status.finished for status in told] == [1, 2, 3, 4, 5]
    assert {status.total for status in told} == {5}
    assert (told[-1].failed, told[-1].skipped) == (1, 0)
    assert {status.latest.name for status in told} == set(NAMES)


def test_at_most_three_cases_are_in_memory(run, monkeypatch: pytest.MonkeyPatch) -> None:
    alive, most, load = set(), [], pipeline.load_case

    def load_and_count(case: Case, options: BatchOptions) -> object:
        most.append(len(alive) + 1)
        loaded = load(case, options)
        alive.add(case.name)
        weakref.finalize(loaded, alive.discard, case.name)
        return loaded

    monkeypatch.setattr(pipeline, "load_case", load_and_count)
    assert run().done == 5
    assert 1 < max(most) <= 3


def test_the_next_case_is_read_while_the_network_works(run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The network waits for the reading of the case after the next: without overlap this would never come."""
    read_second, load, segment = threading.Event(), pipeline.load_case, pipeline.segment_loaded

    def load_and_tell(case: Case, options: BatchOptions) -> object:
        loaded = load(case, options)
        if case.name == "p1":
            read_second.set()
        return loaded

    def segment_after(loaded, *arguments):
        assert read_second.wait(60)
        return segment(loaded, *arguments)

    monkeypatch.setattr(pipeline, "load_case", load_and_tell)
    monkeypatch.setattr(pipeline, "segment_loaded", segment_after)
    assert run().done == 5


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a priority for each thread")
def test_reading_and_writing_let_the_network_go_first(run, monkeypatch: pytest.MonkeyPatch) -> None:
    niceness: dict[str, int] = {}

    def noted(stage: str) -> Callable:
        work = getattr(pipeline, stage)

        def note(*arguments):
            niceness[stage] = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
            return work(*arguments)

        return note

    for stage in ("load_case", "segment_loaded", "write_case"):
        monkeypatch.setattr(pipeline, stage, noted(stage))
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert run().done == 5
    behind = min(19, own + 10)
    assert niceness == {"load_case": behind, "segment_loaded": own, "write_case": behind}


@pytest.mark.slow
def test_a_missing_model_or_device_is_told_before_any_case(cohort: Path, output: Path, options: BatchOptions) -> None:
    cases = find_cases(cohort / "images")
    with pytest.raises(ModelError):
        run_batch(cases, BatchOptions(model=cohort / "missing.pt"), output)
    for jobs in (1, 2):
        with pytest.raises(DeviceError, match="quantum"):
            run_batch(cases, BatchOptions(model=options.model, device="quantum"), output, jobs=jobs)
    assert not list(output.glob("cases/*"))


def test_jobs_have_to_be_positive(run) -> None:
    with pytest.raises(InputError, match="jobs is 0"):
        run(jobs=0)


def test_an_output_that_is_a_file_is_told(run, output: Path) -> None:
    output.write_bytes(b"something")
    with pytest.raises(OutputError, match="output"):
        run()
    assert output.read_bytes() == b"something"


# ---- resume ----------------------------------------------------------------------------------------------------------


def test_whole_cases_are_skipped(run, output: Path) -> None:
    run()
    before = {path: path.stat().st_mtime_ns for path in output.glob("cases/*/*")}
    result = run()
    assert (result.done, result.skipped) == (0, 5)
    assert {path: path.stat().st_mtime_ns for path in output.glob("cases/*/*")} == before


def test_what_is_not_whole_is_done_again_and_gives_the_same_table(cohort: Path, run, output: Path) -> None:
    make_empty(cohort / "images" / "p4.nii.gz")
    run()
    table, found = (output / "results.csv").read_bytes(), tree(output)
    (output / "cases" / "p0" / "record.json").unlink()
    (output / "cases" / "p1" / "liver.nii.gz").unlink()
    truncate(output / "cases" / "p2" / "record.json")
    result = run()
    assert (result.done, result.failed, result.skipped) == (3, 1, 1)
    assert (output / "results.csv").read_bytes() == table
    assert tree(output) == found


def test_a_changed_image_or_reference_is_done_again(cohort: Path, run) -> None:
    run()
    images, references = cohort / "images", cohort / "references"
    shutil.copy(images / "p1.nii.gz", images / "p0.nii.gz")
    shutil.copy(references / "p1_liver.nii.gz", references / "p2_liver.nii.gz")
    result = run()
    assert (result.done, result.skipped) == (2, 3)


def test_other_options_are_done_again(run, options: BatchOptions) -> None:
    run()
    assert run(options=replace(options, tumour=True)).done == 5
    assert run(options=replace(options, tumour=True, threads=2)).skipped == 5


def test_tables_that_a_killed_run_was_writing_are_cleared_away_and_nothing_else(run, output: Path) -> None:
    run()
    left, others = output / ".0a1b2c3d-results.csv", output / ".0a1b2c3d-notes.csv"
    left.touch()
    others.touch()
    run()
    assert not left.exists() and others.exists() and (output / "results.csv").exists()


# ---- stopping --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_cancelled_run_leaves_whole_cases_and_the_next_one_goes_on(run, output: Path, jobs: int) -> None:
    cancel = threading.Event()
    with pytest.raises(Cancelled, match="of 5 cases are finished"):
        run(jobs=jobs, cancel=cancel, progress=lambda _: cancel.set())
    done = [path.name for path in output.glob("cases/*") if read_record(path) is not None]
    assert 1 <= len(done) < 5
    assert not list(output.glob("cases/*/.*")), "temporary files are left"
    assert all(f"\n{name}," in (output / "results.csv").read_text(encoding="utf-8-sig") for name in done)
    assert multiprocessing.active_children() == []
    result = run()
    assert (result.done + result.skipped, result.failed) == (5, 0)
    assert result.skipped == len(done)


def test_a_cancel_does_not_wait_for_a_file_that_is_being_read(run, monkeypatch: pytest.MonkeyPatch) -> None:
    cancel, test_is_over, read = threading.Event(), threading.Event(), []

    def load_slowly(case: Case, options: BatchOptions) -> None:
        cancel.set()
        test_is_over.wait(60)
        read.append(case)

    monkeypatch.setattr(pipeline, "load_case", load_slowly)
    with pytest.raises(Cancelled, match="0 of 5"):
        run(cancel=cancel)
    assert not read
    test_is_over.set()


def the_worker() -> int:
    """Process ID of the only worker."""
    (process,) = multiprocessing.active_children()
    return process.pid


@pytest.mark.slow
def test_a_killed_process_fails_its_case_and_the_others_go_on(
    cohort: Path, output: Path, options: BatchOptions
) -> None:
    records = list[CaseRecord]()

    def stop_after_the_first(record: CaseRecord) -> None:
        records.append(record)
        if len(records) == 1:
            os.kill(the_worker(), signal.SIGSTOP)  # it takes the next case, and does nothing with it

    class KillWhenItHasTheSecond(threading.Event):
        killed = False

        def is_set(self) -> bool:
            if records and not self.killed:
                self.killed = True
                os.kill(the_worker(), signal.SIGKILL)
            return False

    cases = find_cases(cohort / "images")
    run_processes(cases, options, output, 1, stop_after_the_first, KillWhenItHasTheSecond())
    assert [record.name for record in records] == NAMES
    assert [record.status for record in records] == ["done", "failed", "done", "done", "done"]
    assert (records[1].kind, "memory" in records[1].reason) == (WorkerError.__name__, True)
    assert read_record(output / "cases" / "p1") == records[1]


@pytest.mark.slow
def test_a_process_that_dies_between_two_cases_costs_none(cohort: Path, output: Path, options: BatchOptions) -> None:
    records = list[CaseRecord]()

    def kill_after_the_first(record: CaseRecord) -> None:
        records.append(record)
        if len(records) == 1:
            (process,) = multiprocessing.active_children()
            process.kill()
            process.join()

    run_processes(find_cases(cohort / "images"), options, output, 1, kill_after_the_first)
    assert [(record.name, record.status) for record in records] == [(name, "done") for name in NAMES]


def test_a_full_disk_stops_the_run_with_a_sentence(output: Path) -> None:
    output.mkdir()
    with pytest.raises(OutputError, match="free some space"):
        failed_record(case_of(Path("x.nii")), OSError(28, "No space left on device"), output)
