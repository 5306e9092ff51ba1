"""Compressed frames: sound ones pass, damaged ones are refused before they reach the decoder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.encaps import generate_frames
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless

from LiverSegLib.dicom.codestream import check_codestream
from Testing.dicom_files import slices_of, stored_as

ROWS, COLUMNS = 24, 20
SYNTAXES = [JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless]


def frame_in(syntax) -> bytes:
    """A frame of noise."""
    hu = np.random.default_rng(0).integers(-1000, 1000, (1, ROWS, COLUMNS)).astype(np.int16)
    image = stored_as(slices_of(hu, np.diag((-1.0, -1.0, 2.0, 1.0)))[0], syntax)
    return next(generate_frames(image.PixelData, number_of_frames=1))


FRAMES = {syntax: frame_in(syntax) for syntax in SYNTAXES}


@pytest.fixture(params=SYNTAXES, ids=lambda syntax: syntax.name)
def frame(request) -> bytes:
    """A sound frame of each kind."""
    return FRAMES[request.param]


def test_a_sound_frame_passes(frame):
    check_codestream(frame, ROWS, COLUMNS, 16)


def test_padding_after_the_end_is_allowed(frame):
    check_codestream(frame + b"\0\0", ROWS, COLUMNS, 16)


@pytest.mark.parametrize(
    ("rows", "columns", "bits"), [(ROWS + 1, COLUMNS, 16), (ROWS, COLUMNS - 1, 16), (ROWS, COLUMNS, 8)]
)
def test_another_size_than_the_image_s_is_refused(frame, rows, columns, bits):
    with pytest.raises(ValueError, match="a frame of"):
        check_codestream(frame, rows, columns, bits)


@given(share=st.floats(0, 0.999))
@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
def test_a_frame_that_is_cut_short_is_refused(syntax, share):
    frame = FRAMES[syntax].rstrip(b"\0")
    with pytest.raises(ValueError, match="frame"):
        check_codestream(frame[: int(share * len(frame))], ROWS, COLUMNS, 16)


@given(content=st.binary(max_size=200))
def test_random_bytes_are_refused(content):
    for start in (b"", b"\xff\xd8", b"\xff\x4f\xff\x51"):
        with pytest.raises(ValueError, match=r"."):
            check_codestream(start + content + b"\xff\xd9", ROWS, COLUMNS, 16)


def test_a_lossless_scan_without_its_table_is_refused():
    frame = FRAMES[JPEGLosslessSV1]
    at = frame.index(b"\xff\xda")
    changed = frame[: at + 6] + b"\x30" + frame[at + 7 :]
    with pytest.raises(ValueError, match="Huffman"):
        check_codestream(changed, ROWS, COLUMNS, 16)


READ_DAMAGED = """
import sys
import numpy as np
from pathlib import Path
from LiverSegLib.dicom import read_series
from LiverSegLib.errors import InputError
path = Path(sys.argv[1])
content = path.read_bytes()
begin = content.index(bytes.fromhex(sys.argv[2]))
for seed in range(60):
    generator = np.random.default_rng(seed)
    changed = bytearray(content)
    for _ in range(generator.integers(1, 4)):
        changed[begin + generator.integers(0, 120)] = generator.integers(0, 256)
    path.write_bytes(changed)
    try:
        read_series(path.parent)
    except InputError:
        pass
print("alive")
"""


@pytest.mark.slow
@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
def test_no_damage_to_the_header_of_a_frame_ends_the_process(syntax, tmp_path):
    from Testing.dicom_files import save

    hu = np.random.default_rng(0).integers(-1000, 1000, (1, ROWS, COLUMNS)).astype(np.int16)
    path = save([stored_as(slices_of(hu, np.diag((-1.0, -1.0, 2.0, 1.0)))[0], syntax)], tmp_path)[0]
    command = [sys.executable, "-c", READ_DAMAGED, path, FRAMES[syntax][:4].hex()]
    library = Path(__file__).parents[2] / "LiverSeg"
    finished = subprocess.run(command, cwd=library, capture_output=True, text=True, timeout=300, check=False)
    assert (finished.returncode, finished.stdout) == (0, "alive\n")
