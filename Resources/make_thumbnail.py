"""Draws the picture of LiverPhantom for Slicer's Sample Data module: the synthetic CT with its exact liver."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "LiverSeg"))

from LiverSegLib.data.structures import LIVER, TUMOUR
from LiverSegLib.evaluation.picture import WINDOW_HU
from LiverSegLib.phantom import make_phantom

TARGET = Path(__file__).resolve().parents[1] / "LiverSeg/Resources/Icons/LiverPhantom.png"
# Slicer suggests about this size, width × height in pixels. Above an axial slice, below a coronal one.
WIDTH, HEIGHT, AXIAL_HEIGHT = 260, 280, 176
MM_PER_PIXEL = 1.3
# Millimetres superior and posterior of the abdomen's centre at which the liver is widest.
AXIAL_AT, CORONAL_AT = 34.0, -2.0
FILL = 0.35


def main() -> None:
    slices = round(2 * (AXIAL_AT + 90) / MM_PER_PIXEL)
    phantom = make_phantom(shape=(slices, AXIAL_HEIGHT, WIDTH), spacing=(MM_PER_PIXEL,) * 3)
    k, j = _index(AXIAL_AT, slices), _index(CORONAL_AT, AXIAL_HEIGHT)
    axial = _coloured(phantom.ct.hu[k], phantom.labels[k])
    # Rows run upwards in the patient, downwards in a picture.
    coronal = _coloured(phantom.ct.hu[::-1, j], phantom.labels[::-1, j])
    spare = len(coronal) - (HEIGHT - AXIAL_HEIGHT)
    picture = np.concatenate([axial, coronal[spare // 4 :][: HEIGHT - AXIAL_HEIGHT]])
    Image.fromarray(picture).save(TARGET, optimize=True)


def _index(millimetres: float, count: int) -> int:
    """Voxel at a distance from the centre of an axis with `count` voxels."""
    return round((count - 1) / 2 + millimetres / MM_PER_PIXEL)


def _coloured(hu: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """One slice in the window of the project's pictures, liver and tumours filled lightly and outlined; uint8 RGB."""
    low, high = WINDOW_HU
    grey = np.clip((hu - low) / (high - low), 0, 1) * 255
    picture = np.repeat(grey[..., np.newaxis], 3, axis=2)
    for mask, colour in ((labels > 0, LIVER.colour), (labels == TUMOUR.label, TUMOUR.colour)):
        picture[mask] += FILL * (np.array(colour) - picture[mask])
        picture[mask & ~ndimage.binary_erosion(mask)] = colour
    return picture.astype(np.uint8)


if __name__ == "__main__":
    main()
