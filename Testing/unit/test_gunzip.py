"""gzip streams: the same bytes as Python's own gzip gives, and no damage that goes unnoticed."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from LiverSegLib.io import gunzip
from LiverSegLib.io.gunzip import GunzipStream

CONTENT = np.random.default_rng(0).integers(0, 9, 3_000_000, dtype=np.uint8).tobytes()


@pytest.fixture
def packed(tmp_path: Path):
    def packed(content: bytes) -> Path:
        path = tmp_path / "content.gz"
        path.write_bytes(content)
        return path

    return packed


def unpacked(path: Path, count: int = 10_000_000) -> bytes:
    with GunzipStream(path) as stream:
        buffer = bytearray(count)
        content = bytes(buffer[: stream.readinto(buffer)])
        stream.check_rest()
    return content


def test_the_content_comes_back(packed):
    assert unpacked(packed(gzip.compress(CONTENT, 1))) == CONTENT


@pytest.mark.parametrize("after", [b"", b"\0" * 512, b"\x1f", b"notes of somebody"])
def test_what_follows_a_whole_file_counts_for_nothing(packed, after):
    assert unpacked(packed(gzip.compress(CONTENT) + after)) == CONTENT


@settings(max_examples=25)
@given(
    parts=st.lists(st.binary(max_size=300), min_size=1, max_size=9),
    packed_bytes=st.integers(1, 40),
    piece_bytes=st.integers(1, 40),
)
def test_several_members_are_one_content_however_they_are_cut_into_pieces(
    tmp_path_factory, parts, packed_bytes, piece_bytes
):
    path = tmp_path_factory.mktemp("members") / "content.gz"
    path.write_bytes(b"".join(gzip.compress(part) for part in parts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gunzip, "PACKED_BYTES", packed_bytes)
        patch.setattr(gunzip, "PIECE_BYTES", piece_bytes)
        assert unpacked(path) == b"".join(parts)


def test_it_goes_forwards_only(packed):
    with GunzipStream(packed(gzip.compress(CONTENT))) as stream:
        assert stream.seek(1000) == stream.tell() == 1000
        assert stream.read(5) == CONTENT[1000:1005]
        with pytest.raises(io.UnsupportedOperation):
            stream.seek(0)


@pytest.mark.parametrize("at", [-8, -1], ids=["checksum", "length"])
def test_a_wrong_checksum_is_found_after_all_bytes_that_are_wanted(packed, at):
    content = bytearray(gzip.compress(CONTENT))
    content[at] ^= 1
    with pytest.raises(zlib.error):
        unpacked(packed(bytes(content)), len(CONTENT))


@pytest.mark.parametrize("missing", [1, 8, 1000])
def test_a_file_without_its_end_is_found(packed, missing):
    with pytest.raises((EOFError, zlib.error)):
        unpacked(packed(gzip.compress(CONTENT)[:-missing]), len(CONTENT))


def test_of_a_bomb_behind_the_wanted_bytes_only_a_little_is_unpacked(packed, monkeypatch):
    monkeypatch.setattr(gunzip, "LARGEST_REST", 1_000_000)
    with GunzipStream(packed(gzip.compress(bytes(50_000_000), 1))) as stream:
        assert stream.readinto(bytearray(1000)) == 1000
        stream.check_rest()
        assert stream.tell() < 4_000_000
