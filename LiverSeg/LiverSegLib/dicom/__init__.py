"""DICOM: the CT and MR series of a folder tree, one of them as a CTVolume, results as DICOM SEG and structured report.

Reading takes pydicom for the headers and GDCM, as SimpleITK brings it, for the pixels. Writing takes highdicom:
:mod:`LiverSegLib.dicom.segmentation` and :mod:`LiverSegLib.dicom.measurements` are imported by those who write.
"""

from .header import is_dicom
from .read import read_files, read_series
from .series import Series, SeriesSearch, SeveralSeries, find_series, one_series, series_among

__all__ = [
    "Series",
    "SeriesSearch",
    "SeveralSeries",
    "find_series",
    "is_dicom",
    "one_series",
    "read_files",
    "read_series",
    "series_among",
]
