"""What can be found, as Slicer names, colours and codes it, and the metadata of .seg.nrrd files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from .anatomy import Anatomy
from .reference import LIVER_CODE, NamedSegment, find_liver

_CONTEXT = "Segmentation category and type - 3D Slicer General Anatomy list"
_REGIONS = "Anatomic codes - DICOM master list"


@dataclass(frozen=True)
class Structure:
    """One class of a labelmap: its voxel value, its name, its RGB colour (0..255) and its coded meaning."""

    label: int
    name: str
    colour: tuple[int, int, int]
    terminology: str

    @property
    def code(self) -> str:
        """SNOMED CT code of its type."""
        return NamedSegment("", self.name, self.terminology).code


# Colours of Slicer's general anatomy list; codes of SNOMED CT.
LIVER = Structure(
    1,
    "Liver",
    (221, 130, 101),
    f"{_CONTEXT}~SCT^123037004^Anatomical Structure~SCT^10200004^Liver~^^~{_REGIONS}~^^~^^",
)
TUMOUR = Structure(
    2,
    "Tumour",
    (144, 238, 144),
    f"{_CONTEXT}~SCT^49755003^Morphologically Altered Structure~SCT^4147007^Mass~^^~{_REGIONS}~SCT^10200004^Liver~^^",
)
STRUCTURES = (LIVER, TUMOUR)


def _anatomical(
    label: int, name: str, colour: tuple[int, int, int], code: str, meaning: str, region: str = "^^"
) -> Structure:
    terminology = f"{_CONTEXT}~SCT^123037004^Anatomical Structure~SCT^{code}^{meaning}~^^~{_REGIONS}~{region}~^^"
    return Structure(label, name, colour, terminology)


# Codes of SNOMED CT as DICOM's CID 7170, Couinaud Liver Segment, has them. Colours of Paul Tol's scheme "muted", which
# eyes of every kind tell apart, given so that neighbours differ in lightness.
COUINAUD = tuple(
    _anatomical(number, f"Couinaud segment {number}", colour, code, f"Couinaud hepatic segment {roman}")
    for number, (roman, code, colour) in enumerate(
        (
            ("I", "71133005", (136, 34, 85)),
            ("II", "277956007", (136, 204, 238)),
            ("III", "277957003", (51, 34, 136)),
            ("IV", "277958008", (221, 204, 119)),
            ("V", "277959000", (68, 170, 153)),
            ("VI", "277960005", (170, 68, 153)),
            ("VII", "277961009", (17, 119, 51)),
            ("VIII", "277962002", (204, 102, 119)),
        ),
        start=1,
    )
)
SPLEEN = _anatomical(9, "Spleen", (157, 108, 162), "78961009", "Spleen")
# Portal and hepatic veins alike, so that neither's code is right; "vein" in the region "liver" is.
VESSELS = _anatomical(10, "Liver vessels", (0, 151, 206), "29092000", "Vein", f"SCT^{LIVER_CODE}^Liver")
# Labels of a map of their own, beside that of liver and tumours. Vessels add theirs to that of the segment they run in.
ANATOMY = (*COUINAUD, SPLEEN, VESSELS)
MAP_VALUES = (
    0,
    *(structure.label for structure in ANATOMY),
    *(VESSELS.label + structure.label for structure in COUINAUD),
)


def masks_of(labels: np.ndarray, anatomy: Anatomy) -> Iterator[tuple[Structure, np.ndarray]]:
    """Each structure of a result with its mask, bool (k, j, i); the liver first, empty or not, the others if there.

    Parameters
    ----------
    labels
        uint8 (k, j, i): 0 background, 1 liver, 2 tumour. The liver's mask includes tumours.
    anatomy
        On the same grid.
    """
    yield LIVER, labels > 0
    if (tumour := labels == TUMOUR.label).any():
        yield TUMOUR, tumour
    yield from anatomy_masks(anatomy)


def anatomy_masks(anatomy: Anatomy) -> Iterator[tuple[Structure, np.ndarray]]:
    """Couinaud segments, spleen and vessels, each with its mask, bool (k, j, i); those that are empty are left out."""
    if anatomy.segments is not None:
        there = set(np.unique(anatomy.segments))
        yield from ((found, anatomy.segments == found.label) for found in COUINAUD if found.label in there)
    if anatomy.spleen is not None and anatomy.spleen.any():
        yield SPLEEN, anatomy.spleen
    if anatomy.vessels is not None and anatomy.vessels.any():
        yield VESSELS, anatomy.vessels


def to_map(anatomy: Anatomy) -> np.ndarray | None:
    """All of it as one labelmap, uint8 (k, j, i), with the labels of ANATOMY; None where there is nothing.

    A vessel is 10, within Couinaud segment 3 it is 13: no voxel loses its segment.
    """
    values = anatomy.segments
    if anatomy.spleen is not None:
        spleen = anatomy.spleen.view(np.uint8) * np.uint8(SPLEEN.label)
        values = spleen if values is None else np.where(values > 0, values, spleen)
    if anatomy.vessels is not None:
        vessels = anatomy.vessels.view(np.uint8) * np.uint8(VESSELS.label)
        values = vessels if values is None else values + vessels
    return values


def from_map(values: np.ndarray) -> Anatomy:
    """The inverse of :func:`to_map`; what the labelmap does not hold is None."""
    vessels, under = values >= VESSELS.label, values % VESSELS.label
    spleen = under == SPLEEN.label
    segments = np.where(spleen, 0, under).astype(np.uint8)
    return Anatomy(*(there if there.any() else None for there in (segments, spleen, vessels)))


def to_layers(labels: np.ndarray, anatomy: Anatomy) -> tuple[np.ndarray, dict[str, str]]:
    """A result as the segments of a .seg.nrrd file: those of :func:`masks_of`.

    Parameters
    ----------
    labels
        uint8 (k, j, i): 0 background, 1 liver, 2 tumour.
    anatomy
        On the same grid.

    Returns
    -------
    layers
        uint8 (k, j, i), or (k, j, i, layer), since segments that may overlap need a layer each; Couinaud's share one.
    fields
        The file's key/value pairs, as vtkMRMLSegmentationStorageNode writes them.
    """
    fields = {
        "Segmentation_ContainedRepresentationNames": "Binary labelmap|",
        "Segmentation_MasterRepresentation": "Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset": "0 0 0",
    }
    layers: list[np.ndarray] = []
    for n, (structure, mask) in enumerate(masks_of(labels, anatomy)):
        shared = anatomy.segments if structure in COUINAUD else None
        if shared is None or layers[-1] is not shared:
            layers.append(mask.view(np.uint8) if shared is None else shared)
        value = 1 if shared is None else structure.label
        fields |= _segment_fields(n, structure, value, len(layers) - 1, labels.shape)
    return (np.stack(layers, axis=-1) if len(layers) > 1 else layers[0]), fields


def _segment_fields(n: int, structure: Structure, value: int, layer: int, shape: tuple[int, ...]) -> dict[str, str]:
    depth, rows, columns = shape
    return {
        f"Segment{n}_Color": " ".join(f"{c / 255:.6g}" for c in structure.colour),
        f"Segment{n}_ColorAutoGenerated": "0",
        f"Segment{n}_Extent": f"0 {columns - 1} 0 {rows - 1} 0 {depth - 1}",
        f"Segment{n}_ID": structure.name,
        f"Segment{n}_LabelValue": str(value),
        f"Segment{n}_Layer": str(layer),
        f"Segment{n}_Name": structure.name,
        f"Segment{n}_NameAutoGenerated": "0",
        f"Segment{n}_Tags": f"TerminologyEntry:{structure.terminology}|",
    }


def to_labels(layers: np.ndarray, fields: Mapping[str, str], name: str) -> np.ndarray:
    """Liver and tumour out of the segments of a .seg.nrrd file.

    Parameters
    ----------
    layers
        Voxel values, shape (k, j, i, layer): segments that overlap lie in different layers.
    fields
        The file's key/value pairs; without a ``Segment0_LabelValue`` the file holds no segments.
    name
        What to call the file in messages.

    Returns
    -------
    uint8 (k, j, i): 1 in the liver's segment, 2 in those of liver tumours (see :mod:`LiverSegLib.data.reference`);
    other segments are left out.

    Raises
    ------
    InputError
        If none of several segments is clearly the liver.
    """
    stored = _stored_segments(fields)
    liver = find_liver([segment.named for segment in stored], name)
    labels = np.zeros(layers.shape[:3], np.uint8)
    for segment in stored:
        if segment.named == liver:
            np.putmask(labels, segment.mask(layers), LIVER.label)
    # Tumours come last: they lie inside the liver.
    for segment in stored:
        if segment.named.is_liver_tumour():
            np.putmask(labels, segment.mask(layers), TUMOUR.label)
    return labels


def to_anatomy(layers: np.ndarray, fields: Mapping[str, str]) -> Anatomy:
    """Couinaud segments, spleen and vessels out of the segments of a .seg.nrrd file, told by their SNOMED CT codes.

    Parameters and errors are those of :func:`to_labels`; what the file does not hold is None.
    """
    segments, spleen, vessels = None, None, None
    codes = {structure.code: structure for structure in ANATOMY}
    for stored in _stored_segments(fields):
        structure = codes.get(stored.named.code)
        if structure is SPLEEN:
            spleen = stored.mask(layers)
        elif structure is VESSELS:
            vessels = stored.mask(layers) if stored.named.is_in_liver() else vessels
        elif structure is not None:
            segments = np.zeros(layers.shape[:3], np.uint8) if segments is None else segments
            np.putmask(segments, stored.mask(layers), structure.label)
    return Anatomy(segments, spleen, vessels)


@dataclass(frozen=True)
class _StoredSegment:
    """Where in the file a segment's voxels are."""

    named: NamedSegment
    label: float
    layer: int

    def mask(self, layers: np.ndarray) -> np.ndarray:
        return layers[..., self.layer] == self.label


def _stored_segments(fields: Mapping[str, str]) -> list[_StoredSegment]:
    found: list[_StoredSegment] = []
    while (prefix := f"Segment{len(found)}_") + "LabelValue" in fields:
        terminology = re.search(r"TerminologyEntry:([^|]*)", fields.get(prefix + "Tags", ""))
        # The number keeps two segments of one name apart.
        identity = f"{len(found)} {fields.get(prefix + 'ID', '')}"
        name = fields.get(prefix + "Name", f"Segment_{len(found) + 1}")
        found.append(
            _StoredSegment(
                NamedSegment(identity, name, terminology[1] if terminology else ""),
                label=float(fields[prefix + "LabelValue"]),
                layer=int(fields.get(prefix + "Layer", 0)),
            )
        )
    return found
