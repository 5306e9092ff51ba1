"""Labels as a DICOM Segmentation object that refers to the slices of its CT, by highdicom."""

from __future__ import annotations

import importlib.util
import logging
import os
import warnings
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__, messages
from ..data.anatomy import Anatomy
from ..data.modality import MR
from ..data.structures import TUMOUR, Structure, masks_of
from ..errors import OutputError
from ..io.atomic import replacing
from ..model.liver_model import ModelCard, bundled_model_path
from .sources import Sources, read_sources, refusing_strange_headers

if TYPE_CHECKING:
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import Segmentation, SegmentDescription
    from pydicom.dataset import Dataset
    from pydicom.sr.coding import Code

MANUFACTURER = "LiverSegExtension contributors"
PRODUCT = "LiverSeg"
# The one caret says that the name has no given name; nobody has one here.
CREATOR = "LiverSeg^"
DESCRIPTION = "Liver segmentation (LiverSeg)"
CORRECTED = "Liver, corrected by a reader; strokes: {count}"
# Added to the number of the CT's series, as scanners and archives number derived series.
SERIES_NUMBER_OFFSET = 1000
LARGEST_SERIES_NUMBER = 2**31 - 1

# What highdicom complains of it quotes, and that may be a patient's name: it reaches neither the terminal nor a log.
warnings.filterwarnings("ignore", module="highdicom")
logging.getLogger("highdicom").setLevel(logging.CRITICAL)


def check_can_write(files: Sequence[Path], name: str = "") -> None:
    """Find out before the long work whether labels can be written as a DICOM SEG that refers to these images.

    ``name`` is what to call the series in messages; without one, they call it by its folder.

    Raises
    ------
    InputError
        If the files are no stack of slices.
    OutputError
        If highdicom is not installed, or the images lack what a reference to them needs.
    """
    check_highdicom()
    sources = read_sources(files, name).for_trial()
    with refusing_strange_headers(files, name):
        segmentation_on_trial(sources)


def segmentation_on_trial(sources: Sources) -> Segmentation:
    """A segmentation of one voxel, made and written to memory, of :meth:`Sources.for_trial`.

    Raises whatever highdicom raises for headers that it does not take.
    """
    labels = np.zeros((len(sources.planes), 1, 1), np.uint8)
    labels[0] = TUMOUR.label
    segmentation = _segmentation(sources, labels, Anatomy(), bundled_card())
    segmentation.save_as(BytesIO())
    return segmentation


def bundled_card() -> ModelCard:
    """Any card does for a trial."""
    return ModelCard.read(bundled_model_path().with_suffix(".json"))


def check_highdicom() -> None:
    """Raise OutputError, with the way to install it, where highdicom is missing."""
    if importlib.util.find_spec("highdicom") is None:
        raise OutputError(messages.NO_HIGHDICOM)


def write_segmentation(
    path: str | os.PathLike[str],
    labels: np.ndarray,
    files: Sequence[Path],
    card: ModelCard,
    name: str = "",
    anatomy: Anatomy | None = None,
    corrections: int = 0,
) -> None:
    """Write labels as a DICOM SEG (binary) with the segment Liver, which includes tumours, and Tumour if there is any.

    Couinaud segments, spleen and vessels follow where there are any.

    Parameters
    ----------
    path
        Target; a crash leaves the file that was there before whole.
    labels
        uint8 (k, j, i), 0 background, 1 liver, 2 tumour, on the grid of ``read_files(files)``.
    files
        Those of the CT's series.
    card
        Of the network that found the labels.
    name
        What to call the series in messages; without one, they call it by its folder.
    anatomy
        On the same grid.
    corrections
        How many strokes of a reader went into the labels: the description says so, and the liver is semi-automatic.

    Raises
    ------
    InputError
        If the CT's files have changed.
    OutputError
        If highdicom is missing, the CT's headers lack what a reference to them needs, or the file cannot be written.
    """
    check_highdicom()
    sources = read_sources(files, name)
    with replacing(path) as temporary, refusing_strange_headers(files, name):
        _segmentation(sources, labels, anatomy or Anatomy(), card, corrections).save_as(temporary)


def _segmentation(
    sources: Sources, labels: np.ndarray, anatomy: Anatomy, card: ModelCard, corrections: int = 0
) -> Segmentation:
    import highdicom
    from highdicom.seg import Segmentation

    description = CORRECTED.format(count=corrections) if corrections else DESCRIPTION
    algorithm = "SEMIAUTOMATIC" if corrections else "AUTOMATIC"
    # Without a liver there is still the segment Liver, whose frames are empty: an object without segments is not valid.
    found = [(structure, sources.in_their_order(mask)) for structure, mask in masks_of(labels, anatomy)]
    segmentation = Segmentation(
        source_images=sources.images,
        pixel_array=np.stack([mask for _, mask in found], axis=-1),
        segmentation_type="BINARY",
        segment_descriptions=[
            _described(n, structure, card, algorithm) for n, (structure, _) in enumerate(found, start=1)
        ],
        series_instance_uid=highdicom.UID(),
        series_number=series_number(sources.images[0]),
        series_description=description_of(DESCRIPTION, card),
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=PRODUCT,
        software_versions=__version__,
        device_serial_number=card.sha256[:16],
        content_label="LIVER",
        content_description=description_of(description, card),
        content_creator_name=CREATOR,
    )
    _name_segment_in_each_frame(segmentation)
    return segmentation


def _name_segment_in_each_frame(segmentation: Dataset) -> None:
    """Of a single segment highdicom tells in the shared groups, as the standard allows; many readers look elsewhere."""
    shared = segmentation.SharedFunctionalGroupsSequence[0]
    if "SegmentIdentificationSequence" in shared:
        for groups in segmentation.PerFrameFunctionalGroupsSequence:
            groups.add(shared["SegmentIdentificationSequence"])
        del shared.SegmentIdentificationSequence


def description_of(text: str, card: ModelCard) -> str:
    """What readers see in the list of series; of MR, that it is experimental."""
    return f"{text}, {messages.MR_EXPERIMENTAL}" if card.modality == MR else text


def series_number(source: Any, offset: int = SERIES_NUMBER_OFFSET) -> int:
    """A number for a series derived from that of the source."""
    return min(max(int(source.get("SeriesNumber") or 0), 0) + offset, LARGEST_SERIES_NUMBER)


def codes_of(structure: Structure) -> tuple[Code, Code, list[Code]]:
    """Category, type and anatomic regions of a structure, out of its terminology entry."""
    from pydicom.sr.coding import Code

    def code(entry: str) -> Code:
        scheme, value, meaning = entry.split("^")
        return Code(value, scheme, meaning)

    _, category, kind, _, _, region, _ = structure.terminology.split("~")
    return code(category), code(kind), [code(region)] if region.strip("^") else []


def algorithm_of(card: ModelCard) -> AlgorithmIdentificationSequence:
    """The network that made a segment, by the name and version of its card and the digest of its weights."""
    from highdicom import AlgorithmIdentificationSequence
    from pydicom.sr.codedict import codes

    return AlgorithmIdentificationSequence(
        name=card.name,
        family=codes.DCM.ArtificialIntelligence,
        version=card.version,
        source=MANUFACTURER,
        parameters={"sha256": card.sha256},
    )


def _described(number: int, structure: Structure, card: ModelCard, algorithm: str) -> SegmentDescription:
    import highdicom
    from highdicom.color import CIELabColor
    from highdicom.seg import SegmentDescription

    category, kind, regions = codes_of(structure)
    return SegmentDescription(
        segment_number=number,
        segment_label=structure.name,
        segmented_property_category=category,
        segmented_property_type=kind,
        algorithm_type=algorithm,
        algorithm_identification=algorithm_of(card),
        tracking_id=structure.name,
        tracking_uid=highdicom.UID(),
        anatomic_regions=regions or None,
        display_color=CIELabColor.from_rgb(*structure.colour),
    )
