"""What the module offers in Slicer's Sample Data module: a real CT to download, and a synthetic one, made offline.

Slicer calls :func:`register` once it has started. Nothing is downloaded or drawn before the user clicks on a sample.
"""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from . import messages

if TYPE_CHECKING:
    import slicer

# Older versions of Slicer show the name of the category as it is, newer ones the title that is registered for it.
CATEGORY = "Liver Segmentation"
PHANTOM = "LiverPhantom"

# Slicer's own sample, registered here once more so that it is found beside ours: the same file in Slicer's cache, and
# Slicer's own thumbnail. It is imagesTr/liver_100 of the Medical Segmentation Decathlon, CC BY-SA 4.0.
CT_LIVER = "CTLiver"
CT_LIVER_SHA256 = "e16eae0ae6fefa858c5c11e58f0f1bb81834d81b7102e021571056324ef6f37e"
CT_LIVER_URL = f"https://github.com/Slicer/SlicerTestingData/releases/download/SHA256/{CT_LIVER_SHA256}"


def register(icons_folder: str | os.PathLike[str]) -> None:
    """Add the two samples to Slicer's Sample Data module; does nothing where that module is not there.

    Parameters
    ----------
    icons_folder
        Folder with the thumbnail LiverPhantom.png.
    """
    try:
        from SampleData import SampleDataLogic
    except ImportError:
        logging.info("Slicer has no Sample Data module here: the samples for Liver Segmentation are not offered.")
        return
    if hasattr(SampleDataLogic, "registerCustomSampleDataCategory"):
        SampleDataLogic.registerCustomSampleDataCategory(CATEGORY, title=messages.SAMPLE_CATEGORY)
    SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=CT_LIVER,
        uris=CT_LIVER_URL,
        fileNames=f"{CT_LIVER}.nrrd",
        nodeNames=CT_LIVER,
        checksums=f"SHA256:{CT_LIVER_SHA256}",
    )
    SampleDataLogic.registerCustomSampleDataSource(
        category=CATEGORY,
        sampleName=PHANTOM,
        thumbnailFileName=str(Path(icons_folder) / f"{PHANTOM}.png"),
        # As many addresses as there are files to download.
        uris=[],
        fileNames=[],
        nodeNames=[],
        customDownloader=_load_phantom_into_views,
    )


def load_phantom() -> tuple[slicer.vtkMRMLScalarVolumeNode, slicer.vtkMRMLLabelMapVolumeNode]:
    """Draw the synthetic CT and add it to the scene with its exact labels; takes about a second.

    SampleData.downloadSample cannot do this, as it knows only what is downloaded: scripts call this function.

    Returns
    -------
    The CT, and a labelmap to choose as the reference: 1 liver, 2 tumour. It is no segmentation node, so that it cannot
    be taken for a result and be overwritten.
    """
    from . import mrml
    from .phantom import make_phantom

    name = mrml.ensure_scene().GenerateUniqueName(PHANTOM)
    phantom = make_phantom()
    volume_node = mrml.volume_from_ct(replace(phantom.ct, name=name))
    reference_node = mrml.labelmap_from_array(phantom.labels, phantom.ct.affine, f"{name} reference")
    mrml.use_abdominal_window(volume_node)
    return volume_node, reference_node


def _load_phantom_into_views(source: object) -> None:
    """What a click on the sample does; Slicer hands over the sample that was clicked and takes nothing back."""
    from . import mrml

    volume_node, _ = load_phantom()
    mrml.show_in_slices(volume_node)
