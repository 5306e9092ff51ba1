"""Was all of a lossless JPEG frame decoded? GDCM goes on over damaged data, and says so on stderr only.

Encoded again, its pixels take as many bits as the frame has: ITU-T T.81, annexes H (lossless) and F.1.2.1 (categories).
"""

from __future__ import annotations

import re
import struct

import numpy as np

from .codestream import END, HUFFMAN_TABLES, LARGEST_CATEGORY, LOSSLESS, SCAN, START, segments

RESTART_INTERVAL = 0xDD
FROM_THE_LEFT = 1
# The last byte is filled up (annex F.1.2.3).
MOST_PADDING_BITS = 7
_CATEGORIES = np.array([difference.bit_length() for difference in range(0x8001)], np.uint8)


def check_all_decoded(frame: bytes, values: np.ndarray, bits: int) -> None:
    """Raise ValueError unless the frame's data are those of its pixels, in number of bits.

    Parameters
    ----------
    frame
        A sound frame, as :func:`LiverSegLib.dicom.codestream.check_codestream` lets it pass. Looked at are those of
        lossless JPEG as nearly all are: predicted from the left, without restart intervals.
    values
        The stored numbers that GDCM made of it, shape (j, i).
    bits
        Bits Stored; of a frame with more, GDCM does not give all.
    """
    found = dict(segments(frame)) if frame[:2] == START else {}
    if LOSSLESS not in found or RESTART_INTERVAL in found:
        return
    precision, (predictor, _, shift) = found[LOSSLESS][0], found[SCAN][3:6]
    if predictor != FROM_THE_LEFT or shift or precision > bits:
        return
    categories = _CATEGORIES[np.abs(_differences(values.astype(np.int32) & ((1 << precision) - 1), precision))]
    used = _code_lengths(frame, found[SCAN][2])[categories] + np.where(categories < LARGEST_CATEGORY, categories, 0)
    if not 0 <= _data_bits(frame) - int(used.sum()) <= MOST_PADDING_BITS:
        raise ValueError("a frame that was not decoded to its end")


def _differences(samples: np.ndarray, precision: int) -> np.ndarray:
    """From the sample to the left, in the first column from that above, modulo 2 to the 16."""
    above = np.concatenate(([1 << (precision - 1)], samples[:-1, 0]))
    differences = np.diff(samples, axis=1, prepend=above[:, np.newaxis])
    return (differences + 0x8000) % 0x10000 - 0x8000


def _code_lengths(frame: bytes, selector: int) -> np.ndarray:
    """Bits of the code of each category (0 to 16) in the scan's table; of one without a code, more than any frame."""
    lengths = np.full(LARGEST_CATEGORY + 1, 1 << 32, np.int64)
    for marker, content in segments(frame):
        at = 0
        while marker == HUFFMAN_TABLES and at < len(content):
            counts = content[at + 1 : at + 17]
            symbols = content[at + 17 : at + 17 + sum(counts)]
            if content[at] == selector >> 4:
                lengths[list(symbols)] = np.repeat(np.arange(1, 17), list(counts))
            at += 17 + len(symbols)
    return lengths


def _data_bits(frame: bytes) -> int:
    """Bits of the entropy-coded data, without the zeros that are stuffed in after each 0xFF."""
    begin = frame.rindex(struct.pack(">BB", 0xFF, SCAN)) + 2
    begin += struct.unpack_from(">H", frame, begin)[0]
    data = frame[begin : frame.rindex(END)]
    return 8 * len(re.sub(rb"\xff\0", b"\xff", data.rstrip(b"\xff")))
