"""What a segmentation asks of the system, as Python's audit events tell: no connection, no other process, no code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from LiverSegLib.io import files
from LiverSegLib.phantom import make_phantom
from Testing.dicom_files import save, slices_of

ROOT = Path(__file__).parents[2]

SCRIPT = """
import json, sys
watched = ("socket.", "urllib.", "http.", "ftplib.", "smtplib.", "webbrowser.", "pickle.find_class",
           "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty.")
seen = []
sys.addaudithook(lambda event, _: seen.append(event) if event.startswith(watched) else None)
if sys.argv[1] == "connect":
    import socket
    socket.socket().close()
    code = 0
else:
    from LiverSegLib.cli import main
    code = main(sys.argv[1:])
print(json.dumps([code, sorted(set(seen))]))
"""


def asked_of_the_system(*arguments: object) -> tuple[int, list[str]]:
    """Exit code of a command, and the watched events during it, imports included."""
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(ROOT / "LiverSeg"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    code, events = json.loads(finished.stdout.splitlines()[-1])
    return code, events


def test_a_segmentation_with_all_its_files_stays_alone(tmp_path: Path) -> None:
    phantom = make_phantom(shape=(6, 64, 64), spacing=(5.0, 6.0, 6.0))
    files.write_ct(tmp_path / "ct.nii.gz", phantom.ct)
    files.write_labels(tmp_path / "reference.nii.gz", phantom.labels, phantom.ct.affine)
    outputs = ["-o", tmp_path / "liver.seg.nrrd", "--report", tmp_path / "r.json", "--picture", tmp_path / "p.png"]
    command = ["segment", tmp_path / "ct.nii.gz", "--reference", tmp_path / "reference.nii.gz", *outputs]
    assert asked_of_the_system(*command) == (0, [])


def test_a_batch_stays_alone(tmp_path: Path) -> None:
    phantom = make_phantom(shape=(6, 64, 64), spacing=(5.0, 6.0, 6.0))
    (tmp_path / "in").mkdir()
    files.write_ct(tmp_path / "in" / "ct.nii.gz", phantom.ct)
    assert asked_of_the_system("batch", tmp_path / "in", "-o", tmp_path / "out") == (0, [])


def test_a_socket_would_be_noticed() -> None:
    assert asked_of_the_system("connect") == (0, ["socket.__new__"])


def test_a_dicom_series_and_its_dicom_seg_stay_alone(tmp_path: Path) -> None:
    phantom = make_phantom(shape=(6, 64, 64), spacing=(5.0, 6.0, 6.0))
    save(slices_of(phantom.ct.hu, phantom.ct.affine), tmp_path / "series")
    outputs = ["-o", tmp_path / "liver.dcm", "--measurements", tmp_path / "sr.dcm"]
    assert asked_of_the_system("segment", tmp_path / "series", *outputs) == (0, [])
