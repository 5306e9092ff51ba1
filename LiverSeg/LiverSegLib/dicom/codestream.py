"""Is a compressed frame what its DICOM header says? GDCM is given no other: damaged tables can crash it.

The layout of the segments is in ITU-T T.81 (JPEG, annex B), T.87 (JPEG-LS, annex C) and T.800 (JPEG 2000, annex A).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

START, END = b"\xff\xd8", b"\xff\xd9"
START_2000 = b"\xff\x4f"
# Where one ends and another begins; within coded data there is no END.
ANOTHER = re.compile(END + rb"\0*(?:" + START + rb"\xff|" + START_2000 + rb"\xff\x51)")
# Before a marker, and after the end.
FILLED, PADDING = b"\xff\xff", b"\xff\x00"
# Second bytes of markers. Frames: baseline, extended, progressive, lossless, JPEG-LS.
FRAMES = {0xC0, 0xC1, 0xC2, 0xC3, 0xF7}
LOSSLESS, JPEG_LS = 0xC3, 0xF7
HUFFMAN_TABLES, SCAN = 0xC4, 0xDA
SIZE_2000 = 0x51

# Twice as wide as any CT's; JPEG 2000 may promise gigabytes in a few bytes.
MOST_PIXELS = 4096**2

LARGEST_PREDICTOR = 7
# Differences of 16 bits fall into categories 0 to 16; of the lossy kinds, a symbol holds a run length as well.
LARGEST_CATEGORY = 16


def check_codestream(frame: bytes, rows: int, columns: int, bits: int) -> None:
    """Raise ValueError unless a frame's own header fits the image's size and bits, and can be decoded without harm.

    Parameters
    ----------
    frame
        One frame of one of the JPEG family.
    rows, columns
        Size of the image.
    bits
        Bits Allocated; the frame's own precision may be less.
    """
    # Cut short, all of them would still be decoded, to a picture that is grey from there on.
    if not frame.rstrip(PADDING).endswith(END):
        raise ValueError("a frame without its end")
    if ANOTHER.search(frame):
        raise ValueError("several frames in one")
    try:
        size = _size_of_2000(frame) if frame[:2] == START_2000 else _size_of_jpeg(frame)
    except (struct.error, IndexError) as error:
        raise ValueError("a frame whose header is cut short") from error
    height, width, components, precision = size
    if (height, width, components) != (rows, columns, 1) or not 2 <= precision <= bits or height * width > MOST_PIXELS:
        raise ValueError(f"a frame of {width} × {height} × {components} with {precision} bits")


def _size_of_2000(frame: bytes) -> tuple[int, int, int, int]:
    if frame[2:4] != bytes((0xFF, SIZE_2000)):
        raise ValueError("no size in the codestream")
    right, bottom, left, top = struct.unpack_from(">4I", frame, 8)
    components, depth = struct.unpack_from(">HB", frame, 40)
    return bottom - top, right - left, components, (depth & 0x7F) + 1


def _size_of_jpeg(frame: bytes) -> tuple[int, int, int, int]:
    """Of the first scan's frame, after all segments before the scan were found sound."""
    if frame[:2] != START:
        raise ValueError("a frame without its beginning")
    size, kind, tables = None, 0, set()
    for marker, content in segments(frame):
        if marker in FRAMES:
            if size is not None:
                raise ValueError("two frames in one")
            precision, height, width, components = struct.unpack_from(">BHHB", content)
            size, kind = (height, width, components, precision), marker
        elif marker == HUFFMAN_TABLES:
            tables |= set(_huffman_tables(content))
        elif marker == SCAN:
            if size is None:
                raise ValueError("a scan without a frame")
            _check_scan(content, kind, size[3], tables)
            return size
    raise ValueError("a frame without a scan")


def segments(frame: bytes) -> Iterator[tuple[int, bytes]]:
    """Markers with their content, up to that of the first scan."""
    at = len(START)
    while True:
        while frame[at : at + 2] == FILLED:
            at += 1
        mark, marker, length = struct.unpack_from(">BBH", frame, at)
        if mark != 0xFF or length < 2 or at + 2 + length > len(frame):
            raise ValueError("segments out of step")
        yield marker, frame[at + 4 : at + 2 + length]
        if marker == SCAN:
            return
        at += 2 + length


def _huffman_tables(content: bytes) -> Iterator[int]:
    """The identifiers (class and number) of the tables of a segment, each table with no more codes than there are."""
    at = 0
    while at < len(content):
        identifier, counts = content[at], content[at + 1 : at + 17]
        symbols = content[at + 17 : at + 17 + sum(counts)]
        used = sum(count << (16 - length) for length, count in enumerate(counts, start=1))
        if len(counts) != 16 or len(symbols) != sum(counts) or used > 1 << 16 or not symbols:
            raise ValueError("a Huffman table that is none")
        is_direct = identifier >> 4 == 0
        if identifier & 0x0F > 3 or identifier >> 4 > 1 or (is_direct and max(symbols) > LARGEST_CATEGORY):
            raise ValueError("a Huffman table with unknown symbols")
        yield identifier
        at += 17 + len(symbols)


def _check_scan(content: bytes, kind: int, precision: int, tables: set[int]) -> None:
    components = content[0]
    if components != 1 or len(content) != 1 + 2 * components + 3:
        raise ValueError("a scan of several components")
    table, (first, last, shifts) = content[2], content[3:]
    if kind == JPEG_LS:
        return
    wanted = {table >> 4} if kind == LOSSLESS else {table >> 4, 0x10 | (table & 0x0F)}
    if not wanted <= tables:
        raise ValueError("a scan without its Huffman table")
    if kind == LOSSLESS and not (1 <= first <= LARGEST_PREDICTOR and last == 0 and shifts < precision):
        raise ValueError("a scan with an unknown predictor")
