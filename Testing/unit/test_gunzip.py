"""Streams of zlib and gzip: the same bytes as Python's own unpack, and no damage that goes unnoticed."""

from __future__ import annotations

import gzip
import io
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from LiverSegLib.io import gunzip
from LiverSegLib.io.gunzip import unpacked

CONTENT = np.random.default_rng(0).integers(0, 9, 3_000_000, dtype=np.uint8).tobytes()


def content_of(packed: bytes) -> bytes:
    return unpacked(io.BytesIO(packed)).read()


@pytest.mark.parametrize("pack", [zlib.compress, gzip.compress])
@pytest.mark.parametrize("after", [b"", b"\0" * 512, b"\x1f", b"notes of somebody"])
def test_the_content_comes_back_and_what_follows_it_counts_for_nothing(pack, after):
    assert content_of(pack(CONTENT, 1) + after) == CONTENT


@settings(max_examples=25)
@given(
    parts=st.lists(st.binary(max_size=300), min_size=1, max_size=9),
    packed_bytes=st.integers(1, 40),
    piece_bytes=st.integers(1, 40),
)
def test_several_members_are_one_content_however_they_are_cut_into_pieces(parts, packed_bytes, piece_bytes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gunzip, "PACKED_BYTES", packed_bytes)
        patch.setattr(gunzip, "PIECE_BYTES", piece_bytes)
        assert content_of(b"".join(gzip.compress(part) for part in parts)) == b"".join(parts)


@pytest.mark.parametrize(("pack", "at"), [(gzip.compress, -8), (gzip.compress, -1), (zlib.compress, -1)])
def test_a_wrong_checksum_or_length_is_found_behind_the_last_byte(pack, at):
    packed = bytearray(pack(CONTENT))
    packed[at] ^= 1
    stream = unpacked(io.BytesIO(packed))
    assert stream.read(len(CONTENT) - 2 * gunzip.PIECE_BYTES) == CONTENT[: -2 * gunzip.PIECE_BYTES]
    with pytest.raises(zlib.error):
        stream.read()


@pytest.mark.parametrize("missing", [1, 8, 1000])
@pytest.mark.parametrize("pack", [zlib.compress, gzip.compress])
def test_a_file_without_its_end_is_found(pack, missing):
    with pytest.raises((EOFError, zlib.error)):
        content_of(pack(CONTENT)[:-missing])
