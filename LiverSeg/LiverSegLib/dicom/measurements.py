"""Volumes as a DICOM structured report (TID 1500, Measurement Report) on a DICOM SEG, by highdicom."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import generate_uid

from ..data.modality import CT, MR
from ..data.structures import LIVER, SPLEEN, TUMOUR, Structure
from ..io.atomic import replacing
from ..model.liver_model import ModelCard
from .segmentation import (
    MANUFACTURER,
    PRODUCT,
    SERIES_NUMBER_OFFSET,
    bundled_card,
    check_highdicom,
    codes_of,
    description_of,
    segmentation_on_trial,
    series_number,
)
from .sources import Sources, read_sources, refusing_strange_headers

if TYPE_CHECKING:
    from highdicom.sr import EnhancedSR, ObservationContext, VolumetricROIMeasurementsAndQualitativeEvaluations

DESCRIPTION = "Liver volume (LiverSeg)"
PROCEDURES = {CT: codes.LN.CTUnspecifiedBodyRegion, MR: codes.LN.MRIUnspecifiedBodyRegion}
MILLILITRE = Code("ml", "UCUM", "ml")
# A decimal string has 16 characters at most; a thousandth of a millilitre is one voxel of 1 mm.
DECIMALS = 3


def check_can_write(files: Sequence[Path], name: str = "") -> None:
    """Find out before the long work whether labels and their volumes can be written as DICOM objects.

    Parameters and errors are those of :func:`LiverSegLib.dicom.segmentation.check_can_write`.
    """
    check_highdicom()
    sources = read_sources(files, name).for_trial()
    with refusing_strange_headers(files, name):
        segments = segmentation_on_trial(sources)
        _report(segments, sources, bundled_card(), {LIVER: 1.0, TUMOUR: 1.0}).save_as(BytesIO())


def write_measurements(
    path: str | os.PathLike[str],
    segmentation: str | os.PathLike[str],
    files: Sequence[Path],
    card: ModelCard,
    volumes: Mapping[Structure, float | None],
    name: str = "",
) -> None:
    """Write the volumes of the segments of a DICOM SEG as a structured report.

    Parameters
    ----------
    path
        Target; a crash leaves the file that was there before whole.
    segmentation
        What :func:`LiverSegLib.dicom.segmentation.write_segmentation` wrote.
    files
        Those of the CT's series.
    card
        Of the network that found the segments.
    volumes
        In ml, that of the liver with its tumours; None if they were not asked for. What has no segment is left out.
    name
        What to call the series in messages; without one, they call it by its folder.

    Raises
    ------
    InputError
        If the CT's files have changed.
    OutputError
        If highdicom is missing, the CT's headers lack what a reference to them needs, or the file cannot be written.
    """
    check_highdicom()
    segments = pydicom.dcmread(segmentation)
    sources = read_sources(files, name)
    with replacing(path) as temporary, refusing_strange_headers(files, name):
        _report(segments, sources, card, volumes).save_as(temporary)


def _report(
    segments: pydicom.Dataset, sources: Sources, card: ModelCard, volumes: Mapping[Structure, float | None]
) -> EnhancedSR:
    import highdicom
    from highdicom.sr import EnhancedSR, MeasurementReport

    present = {str(segment.SegmentLabel) for segment in segments.SegmentSequence}
    content = MeasurementReport(
        observation_context=_observer(card),
        procedure_reported=PROCEDURES[card.modality],
        imaging_measurements=[
            _measured(segments, structure, volume, card)
            for structure, volume in volumes.items()
            if volume is not None and structure.name in present
        ],
        title=codes.DCM.ImagingMeasurementReport,
    )
    return EnhancedSR(
        evidence=[segments, *sources.images],
        content=content[0],
        series_instance_uid=highdicom.UID(),
        series_number=series_number(sources.images[0], SERIES_NUMBER_OFFSET + 1),
        series_description=description_of(DESCRIPTION, card),
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=False,
        is_verified=False,
    )


def _observer(card: ModelCard) -> ObservationContext:
    """The program, not a person, made the measurements."""
    from highdicom.sr import DeviceObserverIdentifyingAttributes, ObservationContext, ObserverContext

    # The same network is the same observer, wherever it runs.
    device = DeviceObserverIdentifyingAttributes(
        uid=generate_uid(prefix=None, entropy_srcs=[PRODUCT, card.sha256]),
        name=PRODUCT,
        manufacturer_name=MANUFACTURER,
        model_name=card.name,
    )
    return ObservationContext(
        observer_device_context=ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=device)
    )


def _measured(
    segments: pydicom.Dataset, structure: Structure, volume_ml: float, card: ModelCard
) -> VolumetricROIMeasurementsAndQualitativeEvaluations:
    from highdicom.sr import (
        AlgorithmIdentification,
        FindingSite,
        Measurement,
        ReferencedSegment,
        TrackingIdentifier,
        VolumetricROIMeasurementsAndQualitativeEvaluations,
    )

    segment = next(entry for entry in segments.SegmentSequence if entry.SegmentLabel == structure.name)
    category, kind, _ = codes_of(structure)
    # Tumours, Couinaud segments and vessels lie in the liver.
    _, site, _ = codes_of(SPLEEN if structure is SPLEEN else LIVER)
    algorithm = AlgorithmIdentification(card.name, card.version, parameters=[f"sha256: {card.sha256}"])
    return VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=TrackingIdentifier(uid=segment.TrackingUID, identifier=segment.TrackingID),
        referenced_segment=ReferencedSegment.from_segmentation(segments, segment.SegmentNumber),
        finding_category=category,
        finding_type=kind,
        finding_sites=[FindingSite(anatomic_location=site)],
        algorithm_id=algorithm,
        measurements=[Measurement(name=codes.SCT.Volume, value=round(volume_ml, DECIMALS), unit=MILLILITRE)],
    )
