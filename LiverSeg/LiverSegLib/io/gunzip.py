"""What zlib or gzip packed, as a stream that ends only after its length and checksum were compared (RFC 1950, 1952)."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from typing import BinaryIO

# Python's own gzip takes 8 kB at a time: thousands of turns of its global lock for one CT, and twice the time.
PACKED_BYTES = 1 << 18
PIECE_BYTES = 1 << 20

GZIP = 16 + zlib.MAX_WBITS
EITHER = 32 + zlib.MAX_WBITS  # zlib is to tell by the first bytes which of the two it is, and to check what ends them
MAGIC = b"\x1f\x8b"


def unpacked(file: BinaryIO) -> io.BufferedReader:
    """Unpack the rest of an open file; several members of gzip are one content, what else follows counts for nothing.

    Reading raises zlib.error where the data, their length or their checksum are damaged, and EOFError where they have
    no end.
    """
    return io.BufferedReader(_Unpacked(_pieces(file)), PIECE_BYTES)


class _Unpacked(io.RawIOBase):
    """Pieces of bytes as a stream that goes forwards only."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        if not self._left:
            self._left = memoryview(next(self._pieces, b""))
        count = min(len(buffer), len(self._left))
        buffer[:count] = self._left[:count]
        self._left = self._left[count:]
        return count


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    member, packed = zlib.decompressobj(EITHER), file.read(PACKED_BYTES)
    while packed:
        if piece := member.decompress(packed, PIECE_BYTES):
            yield piece
        packed = member.unconsumed_tail or (not member.eof and file.read(PACKED_BYTES)) or b""
        if member.eof:
            packed = member.unused_data
            if len(packed) < len(MAGIC):
                packed += file.read(max(PACKED_BYTES, len(MAGIC)))
            if not packed.startswith(MAGIC):
                return
            member = zlib.decompressobj(EITHER)
    raise EOFError("the compressed data have no end")
