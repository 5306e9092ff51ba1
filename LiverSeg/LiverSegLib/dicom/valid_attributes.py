"""What a new object may repeat of a CT's header: the attributes that are valid, their texts in UTF-8."""

from __future__ import annotations

import datetime
import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pydicom import config
from pydicom.charset import convert_encodings, default_encoding, python_encoding
from pydicom.datadict import dictionary_VM, dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag
from pydicom.valuerep import DA, DT, TM

from .frames import PER_FRAME, SHARED
from .header import DAMAGED

# What every object has, empty where it is not known (type 2).
NEVER_LEFT_OUT = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
# Whose an object is stays as the CT tells it, even where that is too long: a shortened identity is another's. Several
# values are kept in one.
IDENTITY = ("PatientID", "PatientName")
ENUMERATED: dict[str, tuple[object, ...]] = {
    "PatientSex": ("M", "F", "O"),
    "PatientIdentityRemoved": ("YES", "NO"),
    "PregnancyStatus": (1, 2, 3, 4),
    "LossyImageCompression": ("00", "01"),
}
ELSEWHERE = (PER_FRAME, SHARED, "SpecificCharacterSet")

UTF_8 = "ISO_IR 192"
# A text by the rules of ISO 2022 names its character set itself, in escape sequences.
ESCAPED = tuple(name for term, name in python_encoding.items() if term.startswith("ISO 2022 IR"))
ESCAPE_SEQUENCE = re.compile(r"\x1b[\x20-\x2f]+[\x30-\x7e]")
ONE_LINE, PARAGRAPHS = ("LO", "PN", "SH", "UC"), ("LT", "ST", "UT")
LINE_BREAKS = "\r\n\f\t"

Reader = Callable[[str], str]


def valid_attributes(header: Dataset) -> Dataset:
    """The elements of a header without private ones, functional groups and what the standard forbids.

    What can be cleaned without a guess, control characters and dates as they were written before DICOM, is cleaned. A
    text in no character set that is declared and known is read by its escape sequences, else as UTF-8 if it is that,
    else as Latin 1.

    Parameters
    ----------
    header
        As read from a file; nobody has asked for its texts yet, since pydicom converts them then. It is changed.
    """
    valid = _valid_elements(header, _reader_of_texts(header))
    for keyword in NEVER_LEFT_OUT:
        if keyword not in valid:
            setattr(valid, keyword, "")
    valid.SpecificCharacterSet = UTF_8
    return valid


def _valid_elements(header: Dataset, read: Reader, all_or_none: bool = False) -> Dataset:
    valid = Dataset()
    for tag in header.keys():  # noqa: SIM118 - going through the data set itself converts each value, which may raise
        if tag.is_private or keyword_for_tag(tag) in ELSEWHERE:
            continue
        try:
            valid.add(_valid_element(header, tag, read))
        except DAMAGED:
            if all_or_none:
                raise
    return valid


def _valid_element(header: Dataset, tag: BaseTag, read: Reader) -> DataElement:
    """An element in the value representation that the standard gives it; raises one of DAMAGED if it is not valid."""
    value, vr, keyword = header[tag].value, dictionary_VR(tag), keyword_for_tag(tag)
    if vr == "SQ":
        # What is left of an item could mean something else.
        return DataElement(tag, vr, [_valid_elements(item, read, all_or_none=True) for item in value])
    values = [_cleaned(part, vr, read) for part in _parts(value)]
    if keyword in IDENTITY:
        return DataElement(tag, vr, "/".join(values))
    if len(values) > 1 and dictionary_VM(tag) == "1":
        raise ValueError(keyword)
    if keyword in ENUMERATED and values[0] not in ENUMERATED[keyword]:
        raise ValueError(keyword)
    return DataElement(tag, vr, values, validation_mode=config.RAISE)


def _parts(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | MultiValue) else [value]


def _cleaned(value: Any, vr: str, read: Reader) -> Any:
    if value is None:
        return ""
    if vr in ONE_LINE or vr in PARAGRAPHS:
        kept = LINE_BREAKS if vr in PARAGRAPHS else ""
        # Of some escape sequences pydicom leaves a rest.
        text = ESCAPE_SEQUENCE.sub("", read(str(value)))
        return "".join(c for c in text if c in kept or unicodedata.category(c) != "Cc")
    if vr in ("DA", "DT", "TM"):
        return _moment(str(value).strip(), vr)
    # Numbers go in as texts, so that their form is looked at as well.
    return str(value) if vr in ("DS", "IS") else value


def _moment(text: str, vr: str) -> str:
    """A date or time as DICOM writes it, also out of 2020.01.02 and 10:11:12; ValueError if it is none."""
    if not text:
        return ""
    if vr == "DA":
        return datetime.date.isoformat(DA(text)).replace("-", "")
    text = text.replace(":", "")
    (TM if vr == "TM" else DT)(text)
    return text


def _reader_of_texts(header: Dataset) -> Reader:
    """Let pydicom heed every escape sequence, and return what mends the texts that it reads for want of a set."""
    try:
        first, *others = convert_encodings([str(term) for term in _parts(header.get("SpecificCharacterSet") or "")])
    except DAMAGED:
        first, others = default_encoding, []
    is_implicit_vr, is_little_endian = header.original_encoding
    header.set_original_encoding(is_implicit_vr, is_little_endian, [first, *others, *ESCAPED])
    return partial(_in_another_set, sets=(*others, "utf_8")) if first == default_encoding else str


def _in_another_set(text: str, sets: Sequence[str]) -> str:
    """A text that pydicom has taken for Latin 1, in the first of these sets in which it is one."""
    for name in sets:
        try:
            return text.encode(default_encoding).decode(name)
        except UnicodeError:
            continue
    return text
