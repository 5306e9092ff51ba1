"""A gzip-compressed file as a stream that is read in large pieces and to its end, where its checksum is (RFC 1952)."""

from __future__ import annotations

import io
import os
import zlib
from types import TracebackType

# Python's own gzip takes 8 kB at a time: thousands of turns of its global lock for one CT, and twice the time.
PACKED_BYTES = 1 << 18
PIECE_BYTES = 1 << 20
# What may follow the last byte that anybody wanted. Some bytes more there may be, a bomb there should not be unpacked.
LARGEST_REST = 1 << 24

GZIP = 16 + zlib.MAX_WBITS  # zlib is to expect gzip's header, and to check the checksum and the length behind the data
MAGIC = b"\x1f\x8b"


class GunzipStream(io.RawIOBase):
    """Unpacks a file from its beginning to its end; it goes forwards only.

    Reading raises zlib.error where the data or their checksum are damaged, and EOFError where the file is cut short.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 # closed with this stream
        self._packed = b""
        self._member: zlib._Decompress | None = None
        self._members = 0
        self._position = 0

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        super().__exit__(kind, error, trace)

    def readable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Unpacked bytes so far."""
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go forwards to an offset from the beginning; io.UnsupportedOperation for everything else."""
        if whence != os.SEEK_SET or offset < self._position:
            raise io.UnsupportedOperation("a stream that goes forwards only")
        while self._position < offset and self._next(offset - self._position):
            pass
        return self._position

    def readinto(self, buffer: memoryview | bytearray, /) -> int:  # type: ignore[override]
        """Fill the buffer, unless the file ends before; the number of bytes."""
        wanted = memoryview(buffer).cast("B")
        filled = 0
        while filled < len(wanted) and (piece := self._next(len(wanted) - filled)):
            wanted[filled : filled + len(piece)] = piece
            filled += len(piece)
        return filled

    def check_rest(self) -> None:
        """Read on to the end, so that the checksum is compared; of a file with much more in it, only so far."""
        rest = 0
        while rest < LARGEST_REST and (piece := self._next(PIECE_BYTES)):
            rest += len(piece)

    def _next(self, most: int) -> bytes:
        """Unpacked bytes, ``most`` of them or fewer; none at the end."""
        while True:
            self._packed = self._packed or self._file.read(PACKED_BYTES)
            if self._member is None and not self._begins_another():
                return b""
            if not self._packed:
                raise EOFError("the compressed data have no end")
            assert self._member is not None  # nosec B101 # for mypy
            piece = self._member.decompress(self._packed, min(most, PIECE_BYTES))
            self._packed = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if self._member.eof:
                self._member = None
            if piece:
                self._position += len(piece)
                return piece

    def _begins_another(self) -> bool:
        """A file may hold several members one after the other; what else follows the first one counts for nothing."""
        if len(self._packed) < len(MAGIC):
            self._packed += self._file.read(PACKED_BYTES)
        if self._members and not self._packed.startswith(MAGIC):
            return False
        self._member = zlib.decompressobj(wbits=GZIP)
        self._members += 1
        return True
