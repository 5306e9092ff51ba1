"""The command `liverseg`: segment, batch, volumetry, evaluate, info, phantom.

Exit code 0: done; 1: failed; 2: bad input or usage; 130: stopped by Ctrl-C. What each command needs is imported when
it runs, so that help and usage errors come at once.
"""

from __future__ import annotations

import argparse
import gc
import math
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from . import __version__, messages
from .data.modality import AUTO, CHOICES, MR
from .errors import Cancelled, DeviceError, InputError, LiverSegError, OutputError, is_out_of_memory
from .io.atomic import check_writable
from .io.json_file import as_json
from .io.paths import check_there
from .io.terminal import tell, tell_error

if TYPE_CHECKING:
    from .data.geometry import Geometry
    from .data.strokes import Stroke
    from .data.volume import CTVolume
    from .evaluation.result_files import ResultFiles

CT_FORMATS = ".nii, .nii.gz, .nrrd, .mha, a folder with one DICOM series or a slice of it"
LABEL_FORMATS = ".nii, .nii.gz, .nrrd, .mha or .seg.nrrd"


def command() -> int:
    """What the program `liverseg` runs: :func:`main` in a process of its own."""
    # PyTorch makes some hundred thousand objects that stay until the end. Looking through them again and again for
    # garbage while it loads, and once more when the process ends, takes more than half a second.
    gc.set_threshold(100_000)
    try:
        return main()
    finally:
        gc.freeze()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; errors are one line on stderr, with a traceback on ``--debug``."""
    arguments = sys.argv[1:] if arguments is None else arguments
    with _own_stderr(arguments):
        return _run(arguments)


def _run(arguments: Sequence[str]) -> int:
    try:
        options = _parser().parse_args(arguments)
        options.run(options)
        return 0
    except KeyboardInterrupt:
        return _failed(Cancelled(), arguments)
    except Exception as error:  # the outermost boundary: whatever it is, the user gets a sentence
        return _failed(error, arguments)


def segment(options: argparse.Namespace) -> None:
    """`liverseg segment`: nothing is written unless all of it can be."""
    started = perf_counter()
    _check_inputs(options.ct, options.reference, options.points)
    _check_outputs(options)
    strokes = _strokes(options.points)
    from .evaluation.result_files import Result, write_result
    from .inference.options import SegmentOptions
    from .io.files import read_ct

    files = _result_files(options, _slices_to_refer_to(options))
    choices = ("device", "model", "tumour", "segments", "vessels", "spleen", "modality", "force")
    wanted = SegmentOptions(**{name: getattr(options, name) for name in choices})
    # PyTorch takes longest to import, so that happens meanwhile; what is wrong with the scan is told without waiting.
    threading.Thread(target=import_module, args=("torch",)).start()
    ct = read_ct(options.ct, wanted.force, wanted.modality)
    reference, warnings = _reference(options.reference, ct.geometry)
    _check_strokes(strokes, ct)
    from .inference.segmenter import Segmenter
    from .model.liver_model import LiverModel

    segmenter = Segmenter(LiverModel.load(wanted.model), wanted.device)
    loaded = perf_counter() - started
    with _cancel_on_interrupt() as cancel, _progress_line() as progress:
        found = segmenter.segment(ct, wanted, progress, cancel)
        found = segmenter.refine(ct, found, strokes, progress, cancel)
    found = replace(found, seconds={**found.seconds, "load": loaded})
    names = {"input": str(options.ct), "output": str(options.output)}
    tumour = wanted.on(found.model.modality).tumour
    result = Result(found, ct, **names, tumour=tumour, reference=reference, warnings=warnings, started=started)
    report = write_result(files, result)
    tell(*report.summary().split("\n"), messages.WRITTEN.format(files=", ".join(map(str, files))))


def batch(options: argparse.Namespace) -> None:
    """`liverseg batch`: many cases, of which a bad one stops none of the others."""
    from .batch.command import run_command

    with _cancel_on_interrupt() as cancel:
        run_command(options, cancel)


def volumetry(options: argparse.Namespace) -> None:
    """`liverseg volumetry`: what a result on disk measures, and what a planned resection leaves of it."""
    from .data.resection import Body, segments_of
    from .evaluation.anatomy_measures import measure_result, resection_of, resection_rows, rows
    from .inference.plausibility import check_result, looks_like_mr
    from .io.files import read_ct, read_result
    from .io.json_file import write_json

    removed = {*(options.remove or ()), *(segments_of(options.resection) if options.resection else ())}
    body = Body(options.weight_kg, options.height_cm)
    if body != Body() and not removed:
        raise InputError(messages.BODY_WITHOUT_RESECTION)
    result = read_result(options.result)
    ct = read_ct(options.ct, force=True) if options.ct else None
    if ct is not None and (ct.modality == MR or looks_like_mr(ct)):
        raise InputError(messages.NO_ATTENUATION_IN_MR.format(name=ct.name))
    if ct is not None and not ct.geometry.is_same_as(result.geometry):
        raise InputError(messages.CT_OF_ANOTHER_GRID.format(ct=options.ct, result=options.result))
    report = measure_result(result, None if ct is None else ct.hu)
    # Without the CT, nobody knows where the scan ended: files of segments are often cropped.
    report["warnings"] += [] if ct is None else check_result(ct, result.labels)
    lines = [*rows(report)]
    if removed:
        planned = resection_of(report, removed, body)
        report["resection"] = planned.to_dict()
        lines += resection_rows(planned)
    if options.json:
        write_json(options.json, report)
    tell(messages.SUMMARY_LIVER.format(volume=report["liver_volume_ml"]))
    tell(*(messages.SUMMARY_ROW.format(name=name, value=value) for name, value in lines))
    tell(*filter(None, [report.get("attenuation_remark")]))
    tell(*(messages.SUMMARY_WARNING.format(warning=warning) for warning in report["warnings"]), messages.RESEARCH_USE)


def evaluate(options: argparse.Namespace) -> None:
    """`liverseg evaluate`: how well two labelmaps agree, on the grid of the first."""
    _check_inputs(options.prediction, options.reference)
    from .data.metrics import compare, dice
    from .data.resample import reference_on_grid
    from .io.files import read_labels

    prediction = read_labels(options.prediction)
    reference = reference_on_grid(read_labels(options.reference), prediction.geometry)
    result: dict[str, Any] = dict(compare(prediction.liver, reference.liver, prediction.geometry.spacing))
    if prediction.tumour.any() and reference.tumour.any():
        result["tumour_dice"] = dice(prediction.tumour, reference.tumour)
    result["prediction_volume_ml"] = prediction.volume_ml(prediction.liver)
    result["reference_volume_ml"] = reference.volume_ml(reference.liver)
    # Distances to an empty mask are infinite, which JSON cannot say.
    result = {key: round(float(value), 4) if math.isfinite(value) else None for key, value in result.items()}
    _print({**result, "warnings": [*prediction.warnings, *reference.warnings]}, options.json)


def info(options: argparse.Namespace) -> None:
    """`liverseg info`: version, model card, and the devices that really run."""
    from importlib.metadata import version

    from .model.liver_model import verified_card

    card = asdict(verified_card(options.model))
    if not options.json:
        shown = ("name", "version", "sha256", "classes", "intended_use", "licence", "accuracy", "limits")
        card = {key: card[key] for key in shown}
    torch = version("torch")
    content = {"version": __version__, "torch": torch, "devices": _usable_devices(torch), "model": card}
    _print(content, options.json)


def _usable_devices(torch: str) -> list[str]:
    """The devices that really run, by this version of PyTorch."""
    # One without GPUs need not be imported, and on a Mac each has one.
    if torch.endswith("+cpu") and sys.platform != "darwin":
        return ["cpu"]
    from .model.devices import usable_devices

    return usable_devices()


def phantom(options: argparse.Namespace) -> None:
    """`liverseg phantom`: a synthetic CT and its exact liver, for a first try without patient data."""
    from .io import files
    from .phantom import make_phantom

    folder: Path = options.output
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(messages.FOLDER_NOT_MADE.format(folder=folder, reason=error.strerror)) from error
    ct, labels = folder / "ct.nii.gz", folder / "liver.nii.gz"
    check_writable(ct)
    made = make_phantom()
    files.write_ct(ct, made.ct)
    files.write_labels(labels, made.labels, made.ct.affine)
    tell(messages.WRITTEN.format(files=f"{ct}, {labels}"))


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say it in the one line that all errors have; argparse would print the usage as well."""
        raise InputError(messages.WRONG_USAGE.format(problem=message, program=self.prog))

    def _print_message(self, message: str, file: Any = None) -> None:
        """Help and version, which argparse would lose in silence where they cannot be written."""
        tell(*message.rstrip("\n").split("\n"))


def _parser() -> _Parser:
    parser = _Parser(prog="liverseg", description="Segments the liver in CT volumes. For research use.")
    parser.add_argument("--version", action="version", version=f"liverseg {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command", dest="command")
    for add in (_add_segment, _add_batch, _add_volumetry, _add_evaluate, _add_info, _add_phantom):
        add(commands).add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _add_segment(commands: Any) -> argparse.ArgumentParser:
    command = commands.add_parser("segment", help="find the liver in a CT", description="Find the liver in a CT or MR.")
    command.set_defaults(run=segment)
    command.add_argument("ct", type=Path, metavar="CT", help=CT_FORMATS)
    output = ".nii.gz, .nii, .nrrd, .seg.nrrd, which Slicer opens as a segmentation, or, of DICOM, .dcm: a DICOM SEG"
    command.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help=output)
    command.add_argument("--reference", type=Path, metavar="REF", help=f"labelmap to compare with: {LABEL_FORMATS}")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    _add_structures(command)
    points = "correct the result by a reader's points: .mrk.json of Slicer, or .csv with the columns r, a, s, liver"
    command.add_argument("--points", type=Path, metavar="FILE", help=points)
    command.add_argument("--report", type=Path, metavar="R.json", help="write volumes, agreement and timings here")
    command.add_argument("--measurements", type=Path, metavar="SR.dcm", help="write the volumes as a DICOM report here")
    command.add_argument("--picture", type=Path, metavar="P.png", help="write slices with the outlines here")
    command.add_argument("--model", type=Path, metavar="M.pt", help="weights other than the bundled ones")
    command.add_argument("--force", action="store_true", help="segment although the values do not look like CT")
    return command


def _add_batch(commands: Any) -> argparse.ArgumentParser:
    text = "find the liver in many CTs; start it again to go on after an interruption"
    command = commands.add_parser("batch", help=text, description=text.capitalize() + ".")
    command.set_defaults(run=batch)
    sources = "folder with CTs (.nii, .nii.gz, .nrrd, .mha, DICOM) in any depth, or .csv with the column ct"
    command.add_argument("input", type=Path, metavar="INPUT", help=sources)
    command.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="folder, made if missing")
    command.add_argument("--references", type=Path, metavar="DIR", help="labelmaps, matched with the CTs by name")
    command.add_argument("--jobs", type=int, default=1, metavar="N", help="processes on this computer (default: 1)")
    command.add_argument("--threads", type=int, metavar="N", help="threads of the network in each process")
    command.add_argument("--scheduler", metavar="ADDRESS", help="run on a Dask cluster, say tcp://host:8786")
    command.add_argument("--no-resume", dest="resume", action="store_false", help="do again what is there already")
    formats = (".nii.gz", ".nii", ".nrrd", ".seg.nrrd", ".dcm")
    command.add_argument("--format", choices=formats, default=".nii.gz", help="of the segmentations; .dcm: DICOM SEG")
    command.add_argument("--no-pictures", dest="pictures", action="store_false", help="draw no outlines")
    command.add_argument("--patient-data", action="store_true", help="add patient ID and study date to the tables")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    _add_structures(command)
    command.add_argument("--model", type=Path, metavar="M.pt", help="weights other than the bundled ones")
    command.add_argument("--force", action="store_true", help="segment although the values do not look like CT")
    return command


def _add_structures(command: argparse.ArgumentParser) -> None:
    command.add_argument("--tumour", action="store_true", help="label tumours as 2 (experimental)")
    command.add_argument("--segments", action="store_true", help="tell the Couinaud segments 1 to 8 apart")
    command.add_argument("--vessels", action="store_true", help="find the veins within the liver")
    command.add_argument("--spleen", action="store_true", help="find the spleen")
    modality = "what the volume is; MR is experimental (default: auto, by its header or its values)"
    command.add_argument("--modality", choices=CHOICES, default=AUTO, help=modality)


def _add_volumetry(commands: Any) -> argparse.ArgumentParser:
    text = "measure a result: segments, vessels, spleen, tumours, and what a resection leaves"
    command = commands.add_parser("volumetry", help=text, description=text.capitalize() + ".")
    command.set_defaults(run=volumetry)
    results = "what segment wrote, with --segments for a resection: .nii, .nii.gz, .nrrd or .seg.nrrd"
    command.add_argument("result", type=Path, metavar="RESULT", help=results)
    command.add_argument("--ct", type=Path, metavar="CT", help="measure liver and spleen in HU, too")
    names = 'such as "right hepatectomy", by the Brisbane 2000 terminology'
    command.add_argument("--resection", metavar="NAME", help=names)
    command.add_argument("--remove", type=int, nargs="+", metavar="N", help="Couinaud segments to remove")
    command.add_argument("--weight-kg", type=float, metavar="W", help="the patient's, for the ratio to body weight")
    command.add_argument("--height-cm", type=float, metavar="H", help="with the weight, for a standard liver volume")
    command.add_argument("--json", type=Path, metavar="FILE", help="write all of it here, too")
    return command


def _add_evaluate(commands: Any) -> argparse.ArgumentParser:
    text = "compare a segmentation with a reference (liver including tumours)"
    command = commands.add_parser("evaluate", help=text, description=text.capitalize() + ".")
    command.set_defaults(run=evaluate)
    command.add_argument("prediction", type=Path, metavar="PREDICTION", help=LABEL_FORMATS)
    command.add_argument("reference", type=Path, metavar="REFERENCE", help=LABEL_FORMATS)
    command.add_argument("--json", action="store_true", help="print JSON")
    return command


def _add_info(commands: Any) -> argparse.ArgumentParser:
    text = "version, model card, devices"
    command = commands.add_parser("info", help=text, description=text.capitalize() + ".")
    command.set_defaults(run=info)
    command.add_argument("--json", action="store_true", help="print JSON, with the whole model card")
    command.add_argument("--model", type=Path, metavar="M.pt", help="weights other than the bundled ones")
    return command


def _add_phantom(commands: Any) -> argparse.ArgumentParser:
    text = "write a synthetic CT and its liver: ct.nii.gz and liver.nii.gz"
    command = commands.add_parser("phantom", help=text, description=text.capitalize() + ".")
    command.set_defaults(run=phantom)
    command.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder, made if missing")
    return command


def _result_files(options: argparse.Namespace, slices: Sequence[Path] = ()) -> ResultFiles:
    from .evaluation.result_files import ResultFiles
    from .io.files import anatomy_file

    beside = anatomy_file(options.output) if options.segments or options.vessels or options.spleen else None
    others = options.report, options.picture, options.measurements, beside
    return ResultFiles(options.output, *others, slices=slices, through_links=True)


def _check_inputs(*paths: Path | None) -> None:
    """Find out whether all inputs are there, before what reads them is imported."""
    for path in filter(None, paths):
        check_there(path)


def _check_outputs(options: argparse.Namespace) -> None:
    """Find out before any work whether all outputs can be written, and harm nothing that is there."""
    from .io.files import check_output_suffix

    if not _is_dicom(options.output):
        check_output_suffix(options.output)
    if options.measurements and not _is_dicom(options.measurements):
        raise OutputError(messages.NOT_A_DICOM_NAME.format(path=options.measurements))
    if options.measurements and not _is_dicom(options.output):
        raise OutputError(messages.MEASUREMENTS_NEED_SEG.format(path=options.measurements))
    inputs = {os.path.realpath(path) for path in (options.ct, options.reference, options.points) if path}
    taken: set[str] = set()
    for path in _result_files(options):
        check_writable(path, through_links=True)
        if os.path.realpath(path) in inputs:
            raise OutputError(messages.OUTPUT_IS_INPUT.format(path=path))
        if os.path.realpath(path) in taken:
            raise OutputError(messages.OUTPUT_GIVEN_TWICE.format(path=path))
        taken.add(os.path.realpath(path))


def _slices_to_refer_to(options: argparse.Namespace) -> tuple[Path, ...]:
    """The files of the CT that a DICOM SEG will refer to; none where another format is asked for."""
    if not _is_dicom(options.output):
        return ()
    from .dicom import is_dicom, measurements, one_series, segmentation

    if not is_dicom(options.ct):
        raise OutputError(messages.SEG_NEEDS_DICOM.format(path=options.output, ct=options.ct))
    slices = one_series(options.ct, options.force, options.modality).files
    (measurements if options.measurements else segmentation).check_can_write(slices)
    for path in {*map(os.path.realpath, _result_files(options))} & {*map(os.path.realpath, slices)}:
        raise OutputError(messages.OUTPUT_IS_INPUT.format(path=path))
    return slices


def _is_dicom(path: Path) -> bool:
    return path.suffix.lower() == ".dcm"


def _reference(path: Path | None, grid: Geometry) -> tuple[Any, tuple[str, ...]]:
    """The reference's labels on a grid, with warnings; None if there is no reference."""
    if path is None:
        return None, ()
    from .data.resample import reference_on_grid
    from .io.files import read_labels

    reference = reference_on_grid(read_labels(path), grid)
    return reference.labels, reference.warnings


def _strokes(path: Path | None) -> list[Stroke]:
    """A reader's strokes from a file; none without one."""
    if path is None:
        return []
    from .io.points import read_strokes

    return read_strokes(path)


def _check_strokes(strokes: Sequence[Stroke], ct: CTVolume) -> None:
    """Find out before the long work whether all strokes lie in the scan."""
    for number, stroke in enumerate(strokes, start=1):
        if not stroke.mask(ct.geometry)[1].any():
            raise InputError(messages.STROKE_OUTSIDE.format(number=number, name=ct.name))


@contextmanager
def _own_stderr(arguments: Sequence[str]) -> Iterator[None]:
    """Within it stderr is Python's alone: what C libraries print beside our sentences is dropped, unless ``--debug``.

    Once for the whole command, since file 2 belongs to all threads. A stderr that is caught stays as it is.
    """
    stream = sys.stderr
    if "--debug" in arguments or not _is_file_2(stream):
        yield
        return
    stream.flush()
    # On a full disk, closing it fails as printing did.
    with suppress(OSError), open(os.dup(2), "w", encoding=stream.encoding, errors=stream.errors, buffering=1) as ours:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        sys.stderr = ours
        try:
            yield
        finally:
            sys.stderr = stream
            os.dup2(ours.fileno(), 2)


def _is_file_2(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.fileno() == 2
    except (AttributeError, OSError):
        return False


@contextmanager
def _cancel_on_interrupt() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, so that the segmenter stops between two batches."""
    cancel = threading.Event()
    # Python delivers signals to the main thread only, and lets no other set a handler.
    if threading.current_thread() is not threading.main_thread():
        yield cancel
        return
    before = signal.signal(signal.SIGINT, lambda *_: cancel.set())
    try:
        yield cancel
    finally:
        signal.signal(signal.SIGINT, before)
    if cancel.is_set():
        raise Cancelled()


@contextmanager
def _progress_line() -> Iterator[Callable[[float, str], None] | None]:
    """A line on the terminal that tells how far the work is, gone afterwards; nothing where stderr is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    try:
        yield lambda share, stage: print(f"\r{stage:<24} {share:4.0%}", end="", file=sys.stderr, flush=True)
    finally:
        print("\r" + " " * 30, end="\r", file=sys.stderr, flush=True)


def _print(content: dict[str, Any], is_json: bool) -> None:
    """Print a result as JSON or, for people, one fact a line."""
    tell(*(as_json(content).split("\n") if is_json else _lines(content)))


def _lines(content: dict[str, Any], indent: str = "") -> Iterator[str]:
    for key, value in content.items():
        title = indent + key.replace("_", " ")
        if isinstance(value, dict) and value:
            yield f"{title}:"
            yield from _lines(value, indent + "  ")
        elif isinstance(value, list | tuple) and any(len(str(entry)) > 30 for entry in value):
            yield from (f"{title}: {entry}" for entry in value)
        elif isinstance(value, list | tuple):
            yield f"{title}: {', '.join(map(str, value)) or messages.NONE}"
        else:
            yield f"{title}: {messages.NONE if value is None or value == {} else value}"


def _failed(error: BaseException, arguments: Sequence[str]) -> int:
    if "--debug" in arguments:
        tell_error(*"".join(traceback.format_exception(error)).split("\n"))
    if not isinstance(error, LiverSegError) and is_out_of_memory(error):
        error = DeviceError(messages.OUT_OF_MEMORY)
    if isinstance(error, LiverSegError):
        tell_error(f"liverseg: error: {_one_line(error)}")
        return error.exit_code
    # Not foreseen: most likely a fault of ours.
    sentence = messages.UNFORESEEN_ERROR.format(kind=type(error).__name__, error=_one_line(error))
    tell_error(f"liverseg: error: {sentence}")
    return 1


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


if __name__ == "__main__":
    sys.exit(command())
