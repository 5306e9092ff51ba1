"""Damage by seed: the same format and seed always give the same damaged files."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import re
import struct
from collections.abc import Callable
from typing import Any

from Testing.fuzz.corpus import Sample, sample_of

Content = dict[str, bytes]

WHOLE_NUMBERS = (0, 1, 2, 3, 127, 128, 255, 256, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1)
REALS = (
    0.0, -0.0, 1e-320, 1e-38, 1e-12, 1e-3, -1.0, 1e3, 1e6, 1e12, 3e38, 1e308, float("inf"), float("-inf"), float("nan"),
)  # fmt: skip
# As texts: of headers that are texts, and of DICOM's decimal strings.
TEXTS = (
    "0", "1", "-1", "-0", "2147483647", "2147483648", "4294967296", "9223372036854775807", "99999999999999999999",
    "1e3", "1e12", "1e-12", "1e308", "1e-308", "1e999", "-1e999", "nan", "inf", "-inf", "0x10", "1,5", "", " ",
    "x" * 300, "é", "%s%n", "../../etc/passwd", "1 2", "(1,2,3)", "none", "1\\2\\3",
)  # fmt: skip

# Name, offset and struct format of NIfTI-1's fields that matter (nifti1.h).
NIFTI_FIELDS = [
    ("sizeof_hdr", 0, "i"), ("dim_info", 39, "b"), *((f"dim[{n}]", 40 + 2 * n, "h") for n in range(8)),
    ("datatype", 70, "h"), ("bitpix", 72, "h"), *((f"pixdim[{n}]", 76 + 4 * n, "f") for n in range(8)),
    ("vox_offset", 108, "f"), ("scl_slope", 112, "f"), ("scl_inter", 116, "f"), ("xyzt_units", 123, "b"),
    ("qform_code", 252, "h"), ("sform_code", 254, "h"), *((f"qform[{n}]", 256 + 4 * n, "f") for n in range(6)),
    *((f"srow[{n}]", 280 + 4 * n, "f") for n in range(12)), ("magic", 344, "i"), ("extension", 348, "i"),
]  # fmt: skip

DICOM_FIELDS = {
    "Rows": "US", "Columns": "US", "BitsAllocated": "US", "BitsStored": "US", "HighBit": "US",
    "PixelRepresentation": "US", "SamplesPerPixel": "US", "NumberOfFrames": "IS", "ImagePositionPatient": "DS",
    "ImageOrientationPatient": "DS", "PixelSpacing": "DS", "SliceThickness": "DS", "RescaleSlope": "DS",
    "RescaleIntercept": "DS", "Modality": "CS", "ImageType": "CS", "SOPClassUID": "UI", "SeriesInstanceUID": "UI",
    "PhotometricInterpretation": "CS", "PatientName": "PN", "SpecificCharacterSet": "CS", "TransferSyntaxUID": "UI",
}  # fmt: skip


def mutated(name: str, seed: int) -> Sample:
    """The sound input of a format with one to four kinds of damage, most often one."""
    draw = random.Random(f"{name}/{seed}")
    sample = sample_of(name, seed)
    content = dict(sample.files)
    for _ in range(draw.choices((1, 2, 3, 4), (70, 15, 10, 5))[0]):
        content = draw.choice(_mutators(name))(draw, content)
    if name == "model" and draw.random() < 0.8:
        content = _signed(content)
    return Sample(sample.kind, sample.target, content)


def _mutators(name: str) -> list[Callable[[random.Random, Content], Content]]:
    anywhere = [_some_file(damage) for damage in BYTES]
    if name == "nii.gz":
        return [*anywhere, *[_inside_gzip] * 12]
    if name.startswith("nii"):
        return [*anywhere, *[_some_file(_nifti_field)] * 12, _some_file(_byte_order)]
    if "nrrd" in name or name.startswith("mha"):
        return [*anywhere, *[_some_file(damage) for damage in (_text_value, _text_value, _text_number, _text_line)] * 4]
    if name.startswith("dicom"):
        return [*anywhere, *[_dicom_value] * 8, *[_dicom_length] * 3, *[_codestream] * 3, _lying_size, _lying_size]
    return [*anywhere, *[_card_value] * 10, *[_tensor] * 3]


# ---- any bytes -------------------------------------------------------------------------------------------------------


def _flipped(draw: random.Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 2, 8, 64))):
        changed[_place(draw, content)] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _truncated(draw: random.Random, content: bytes) -> bytes:
    return content[: draw.randrange(len(content))]


def _with_more(draw: random.Random, content: bytes) -> bytes:
    at = _place(draw, content)
    return content[:at] + draw.randbytes(draw.choice((1, 2, 4, 100, 1000))) + content[at:]


def _with_less(draw: random.Random, content: bytes) -> bytes:
    at = _place(draw, content)
    return content[:at] + content[at + draw.choice((1, 2, 4, 100, 1000)) :]


def _with_a_copy(draw: random.Random, content: bytes) -> bytes:
    at, length = _place(draw, content), draw.choice((4, 50, 500))
    return content[:at] + content[at : at + length] * 2 + content[at + length :]


def _with_a_number(draw: random.Random, content: bytes) -> bytes:
    code = draw.choice("BHIQ")
    return _put(content, _place(draw, content), _packed(draw, code, draw.choice(WHOLE_NUMBERS)))


def _with_a_real(draw: random.Random, content: bytes) -> bytes:
    return _put(content, _place(draw, content), _packed(draw, draw.choice("fd"), draw.choice(REALS)))


def _with_swapped_words(draw: random.Random, content: bytes) -> bytes:
    length, one, other = draw.choice((2, 4)), _place(draw, content), _place(draw, content)
    return _put(_put(content, one, content[other : other + length]), other, content[one : one + length])


def _with_turned_words(draw: random.Random, content: bytes) -> bytes:
    at, length = _place(draw, content), draw.choice((2, 4, 8))
    return _put(content, at, content[at : at + length][::-1])


BYTES = (
    _flipped, _truncated, _with_more, _with_less, _with_a_copy, _with_a_number, _with_a_real, _with_swapped_words,
    _with_turned_words,
)  # fmt: skip


def _place(draw: random.Random, content: bytes) -> int:
    """Where to do damage: one time in two near the beginning, where headers are."""
    length = max(1, len(content) - 1)
    return draw.randrange(min(length, 400) if draw.random() < 0.5 else length)


def _put(content: bytes, at: int, value: bytes) -> bytes:
    return (content[:at] + value + content[at + len(value) :])[: max(len(content), at + len(value))]


def _packed(draw: random.Random, code: str, value: Any) -> bytes:
    order = draw.choice("<>")
    if code in "fd":
        try:
            return struct.pack(order + code, value)
        except OverflowError:
            return struct.pack(order + code, float("inf"))
    size = struct.calcsize(code)
    return (int(value) % (1 << 8 * size)).to_bytes(size, "little" if order == "<" else "big")


def _some_file(damage: Callable[[random.Random, bytes], bytes]) -> Callable[[random.Random, Content], Content]:
    def damaged(draw: random.Random, content: Content) -> Content:
        name = draw.choice(sorted(content))
        return {**content, name: damage(draw, content[name])} if content[name] else content

    return damaged


# ---- NIfTI -----------------------------------------------------------------------------------------------------------


def _nifti_field(draw: random.Random, content: bytes) -> bytes:
    _, at, code = draw.choice(NIFTI_FIELDS)
    value = draw.choice(REALS if code == "f" else WHOLE_NUMBERS)
    return _put(content, at, struct.pack("<f", min(value, 3e38)) if code == "f" else _whole(value, code))


def _whole(value: int, code: str) -> bytes:
    size = struct.calcsize(code)
    return (value % (1 << 8 * size)).to_bytes(size, "little")


def _byte_order(draw: random.Random, content: bytes) -> bytes:
    """The whole header in the other byte order; the voxels with it, or not."""
    for _, at, code in NIFTI_FIELDS[:-2]:
        size = struct.calcsize(code)
        content = _put(content, at, content[at : at + size][::-1])
    voxels = content[352:]
    if draw.random() < 0.5:
        voxels = b"".join(voxels[n : n + 2][::-1] for n in range(0, len(voxels), 2))
    return content[:352] + voxels


def _inside_gzip(draw: random.Random, content: Content) -> Content:
    [(name, packed)] = content.items()
    try:
        inner = gzip.decompress(packed)
    except (OSError, EOFError, ValueError):
        return content
    except Exception:  # zlib.error is no ValueError
        return content
    damage = draw.choice((_nifti_field, _nifti_field, _nifti_field, *BYTES))
    return {name: gzip.compress(damage(draw, inner) if inner else inner, mtime=0)}


# ---- NRRD and MetaImage ----------------------------------------------------------------------------------------------

_VALUE = re.compile(rb"(?m)^([^\n:=#]{1,60}?)(:=?|\s=)[ ]?([^\n]*)$")
_NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def _text_value(draw: random.Random, content: bytes) -> bytes:
    """Another value for one key."""
    return _replaced(draw, content, _VALUE, lambda match: match[1] + match[2] + b" " + draw.choice(TEXTS).encode())


def _text_number(draw: random.Random, content: bytes) -> bytes:
    """Another number at one place."""
    return _replaced(draw, content, _NUMBER, lambda match: draw.choice(TEXTS).encode())


def _text_line(draw: random.Random, content: bytes) -> bytes:
    """One line twice, gone, or in another place."""
    header, rest = content[:1500], content[1500:]
    lines = header.split(b"\n")
    at = draw.randrange(min(len(lines), 16))
    match draw.randrange(4):
        case 0:
            lines.insert(draw.randrange(min(len(lines), 16)), lines[at])
        case 1:
            del lines[at]
        case 2:
            lines.insert(draw.randrange(min(len(lines), 16)), lines.pop(at))
        case _:
            lines[at] = lines[at].replace(b"3", draw.choice((b"2", b"4", b"16", b"-3")))
    return b"\n".join(lines) + rest


def _replaced(draw: random.Random, content: bytes, pattern: re.Pattern[bytes], by: Callable) -> bytes:
    matches = list(pattern.finditer(content[:1000]))
    if not matches:
        return content
    match = draw.choice(matches)
    return content[: match.start()] + by(match) + content[match.end() :]


# ---- DICOM -----------------------------------------------------------------------------------------------------------


def _dicom_value(draw: random.Random, content: Content) -> Content:
    """Another value of one element, in one file or in all of them, without pydicom, which would refuse to write it."""
    keyword = draw.choice(sorted(DICOM_FIELDS))
    kind = DICOM_FIELDS[keyword]
    if kind == "US":
        value = struct.pack("<H", draw.choice(WHOLE_NUMBERS) % 65536)
    else:
        count = {"ImagePositionPatient": 3, "ImageOrientationPatient": 6, "PixelSpacing": 2}.get(keyword, 1)
        count = draw.choice((count, count, count, count + 1, 1))
        value = "\\".join(draw.choice((*TEXTS, "1", "0", "2.5")) for _ in range(count)).encode()
        value += b" " * (len(value) % 2)
    names = sorted(content) if draw.random() < 0.6 else [draw.choice(sorted(content))]
    return {**content, **{name: _with_element(content[name], keyword, kind, value) for name in names}}


def _with_element(content: bytes, keyword: str, kind: str, value: bytes) -> bytes:
    at = _find(content, keyword, kind)
    if not 0 <= at <= len(content) - 8:
        return content
    length = struct.unpack_from("<H", content, at + 6)[0]
    return content[: at + 6] + struct.pack("<H", len(value) % 65536) + value + content[at + 8 + length :]


def _find(content: bytes, keyword: str, kind: str) -> int:
    from pydicom.datadict import tag_for_keyword

    tag = tag_for_keyword(keyword)
    assert tag is not None
    return content.find(struct.pack("<HH", tag >> 16, tag & 0xFFFF) + kind.encode())


def _dicom_length(draw: random.Random, content: Content) -> Content:
    """A length that lies: of some element, or of the pixels and what they are wrapped in."""
    name = draw.choice(sorted(content))
    data = content[name]
    elements = [match.start() for match in re.finditer(rb"(?s)..[\x00-\xff]{2}(?:OB|OW|SQ|UN|UT)\0\0", data)]
    items = [match.start() + 4 for match in re.finditer(rb"\xfe\xff[\x00\x0d\xdd]\xe0", data)]
    places = [at + 8 for at in elements] + items
    if not places or draw.random() < 0.3:
        short = [match.start() + 6 for match in re.finditer(rb"(?s)....(?:DS|IS|US|CS|UI|PN|LO|SH)", data)]
        return {
            **content,
            name: _put(data, draw.choice(short or [0]), struct.pack("<H", draw.choice(WHOLE_NUMBERS) % 65536)),
        }
    return {**content, name: _put(data, draw.choice(places), struct.pack("<I", draw.choice(WHOLE_NUMBERS) % 2**32))}


def _codestream(draw: random.Random, content: Content) -> Content:
    """Damage inside the pixels."""
    name = draw.choice(sorted(content))
    at = content[name].find(b"\xe0\x7f\x10\x00")
    if at < 0:
        return content
    head, pixels = content[name][: at + 12], content[name][at + 12 :]
    return {**content, name: head + draw.choice(BYTES)(draw, pixels)} if pixels else content


def _lying_size(draw: random.Random, content: Content) -> Content:
    """The same other size in the headers of all files, and where they are compressed in the frames' own."""
    rows, columns = (draw.choice((9, 11, 1, 1000, 30000, 65535)) for _ in range(2))
    for name, data in content.items():
        data = _with_element(data, "Rows", "US", struct.pack("<H", rows))
        data = _with_element(data, "Columns", "US", struct.pack("<H", columns))
        data = re.sub(
            rb"(?s)(\xff[\xc3\xf7]..)(.)....", lambda m: m[1] + m[2] + struct.pack(">HH", rows, columns), data, count=1
        )
        sizes = struct.pack(">IIIIII", columns, rows, 0, 0, columns, rows)
        data = re.sub(rb"(?s)(\xff\x51....).{24}", lambda m, sizes=sizes: m[1] + sizes, data, count=1)
        content = {**content, name: data}
    return content


# ---- the model -------------------------------------------------------------------------------------------------------

_CARD_VALUES: tuple[Any, ...] = (
    None, True, 0, 1, -1, 2, 2**31, 10**7, 10**30, 0.0, 1e-300, 1e-6, 1e6, 1e300, float("nan"), float("inf"), "",
    "text", "residual", "é" * 50, [], [0], [1], [1, 2], [2, 1], [-1, 0, 1], [10**5] * 3, [10**9] * 2, [1] * 40,
    [0, 0, 0], [float("nan")] * 3, [1e300] * 3, ["a", "b", "c"], [[1]], {},
    {"intercept": "x"}, {"intercept": float("nan")},
)  # fmt: skip


def _card_value(draw: random.Random, content: Content) -> Content:
    """Another value of one of the card's entries, or the entry gone."""
    try:
        card = json.loads(content["model.json"])
        key = draw.choice(sorted(card))
    except (ValueError, TypeError, IndexError):
        return content
    value = draw.choice(_CARD_VALUES)
    if value is None and draw.random() < 0.5:
        del card[key]
    elif isinstance(card[key], list) and card[key] and draw.random() < 0.4:
        card[key][draw.randrange(len(card[key]))] = value
    else:
        card[key] = value
    return {**content, "model.json": json.dumps(card).encode()}


def _tensor(draw: random.Random, content: Content) -> Content:
    """Weights of another shape or type, saved as they should be."""
    import io

    import torch

    try:
        weights = torch.load(io.BytesIO(content["model.pt"]), weights_only=True)
        name = draw.choice(sorted(weights))
    except Exception:  # damaged before
        return content
    weights[name] = draw.choice(
        (
            lambda tensor: tensor.double(),
            lambda tensor: tensor.half(),
            lambda tensor: tensor.to(torch.complex64),
            lambda tensor: tensor.long(),
            lambda tensor: torch.full(tensor.shape, 2**40 if not tensor.is_floating_point() else float("nan")),
            lambda tensor: torch.full(tensor.shape, 2**40 if not tensor.is_floating_point() else 1e38),
            lambda tensor: tensor.flatten(),
            lambda tensor: torch.zeros(1).expand(10**6, 10**5),
            lambda tensor: tensor.to_sparse(),
            lambda tensor: torch.empty(10**6, 10**6, device="meta"),
            lambda tensor: 5,
        )
    )(weights[name])
    buffer = io.BytesIO()
    torch.save(weights, buffer)
    return {**content, "model.pt": buffer.getvalue()}


def _signed(content: Content) -> Content:
    """As somebody would do who means harm: the card names the digest of the damaged weights."""
    try:
        card = json.loads(content["model.json"])
        card["sha256"] = hashlib.sha256(content["model.pt"]).hexdigest()
    except (ValueError, TypeError):
        return content
    return {**content, "model.json": json.dumps(card).encode()}
