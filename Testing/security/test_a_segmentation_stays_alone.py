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
seen, told = [], []
sys.addaudithook(lambda event, _: seen.append(event) if event.startswith(watched) else None)
from LiverSegLib.cli import main
for command in json.loads(sys.argv[1]):
    code = main(command)
    told.append([code, sorted(set(seen))])
import socket
seen.clear()
socket.socket().close()
print(json.dumps([told, seen]))
"""


def test_commands_with_all_their_files_stay_alone(tmp_path: Path) -> None:
    """Each with what was asked for until then, imports included; a socket at the end would have been noticed."""
    phantom = make_phantom(shape=(6, 64, 64), spacing=(5.0, 6.0, 6.0))
    (tmp_path / "in").mkdir()
    files.write_ct(tmp_path / "in" / "ct.nii.gz", phantom.ct)
    files.write_labels(tmp_path / "reference.nii.gz", phantom.labels, phantom.ct.affine)
    save(slices_of(phantom.ct.hu, phantom.ct.affine), tmp_path / "series")
    commands = (
        "segment in/ct.nii.gz --reference reference.nii.gz -o liver.seg.nrrd --report r.json --picture p.png",
        "segment series -o liver.dcm --measurements sr.dcm",
        "batch in -o out",
    )
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps([command.split() for command in commands])],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "LiverSeg"), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    told, at_last = json.loads(finished.stdout.splitlines()[-1])
    assert told == [[0, []]] * len(commands)
    assert at_last == ["socket.__new__"]
