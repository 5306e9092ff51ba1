"""The samples in Slicer's Sample Data module, through a stand-in that keeps the rules of Slicer's own (branch main)."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import slicer
from PIL import Image

from LiverSegLib import mrml, sample_data

ICONS = Path(sample_data.__file__).parents[1] / "Resources" / "Icons"


class Source:
    """One sample; as in Slicer, addresses, files, nodes and checksums have to be as many as each other."""

    def __init__(
        self, sampleName, uris, fileNames, nodeNames, checksums=None, customDownloader=None, thumbnailFileName=None
    ):
        if isinstance(uris, str):
            uris, fileNames, nodeNames, checksums = [uris], [fileNames], [nodeNames], [checksums]
        checksums = [None] * len(uris) if checksums is None else checksums
        assert len(uris) == len(fileNames) == len(nodeNames) == len(checksums)
        self.sampleName, self.customDownloader, self.thumbnailFileName = sampleName, customDownloader, thumbnailFileName
        self.uris, self.fileNames, self.nodeNames, self.checksums = uris, fileNames, nodeNames, checksums


@pytest.fixture
def offered(monkeypatch) -> dict[str, dict[str, Source]]:
    """A Sample Data module, and by category and name what is registered with it."""
    samples: dict[str, dict[str, Source]] = {}

    class SampleDataLogic:
        @staticmethod
        def registerCustomSampleDataCategory(category, title):
            assert title
            samples.setdefault(category, {})

        @staticmethod
        def registerCustomSampleDataSource(category="Custom", **values):
            source = Source(**values)
            samples.setdefault(category, {})[source.sampleName] = source

    module = ModuleType("SampleData")
    module.SampleDataLogic = SampleDataLogic
    monkeypatch.setitem(sys.modules, "SampleData", module)
    return samples


def test_a_real_ct_and_a_synthetic_one_are_offered(offered):
    sample_data.register(ICONS)
    assert {category: set(samples) for category, samples in offered.items()} == {
        "Liver Segmentation": {"CTLiver", "LiverPhantom"}
    }


def test_an_older_slicer_without_titles_of_categories_offers_them_too(offered, monkeypatch):
    monkeypatch.delattr(sys.modules["SampleData"].SampleDataLogic, "registerCustomSampleDataCategory")
    sample_data.register(ICONS)
    assert set(offered["Liver Segmentation"]) == {"CTLiver", "LiverPhantom"}


def test_the_real_ct_is_verified_after_its_download(offered):
    sample_data.register(ICONS)
    source = offered["Liver Segmentation"]["CTLiver"]
    [checksum], [uri] = source.checksums, source.uris
    assert checksum == f"SHA256:{uri.rpartition('/')[2]}"
    assert uri.startswith("https://") and source.customDownloader is None


def test_the_phantom_has_a_thumbnail_of_about_the_size_that_slicer_suggests(offered):
    sample_data.register(str(ICONS))
    with Image.open(offered["Liver Segmentation"]["LiverPhantom"].thumbnailFileName) as picture:
        assert picture.size == (260, 280)


def test_a_click_on_the_phantom_puts_a_ct_with_its_exact_liver_into_the_scene_and_the_views(offered, a_scene):
    view = a_scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    sample_data.register(ICONS)
    source = offered["Liver Segmentation"]["LiverPhantom"]
    source.customDownloader(source)
    volume_node = a_scene.GetFirstNodeByName("LiverPhantom")
    reference_node = a_scene.GetFirstNodeByName("LiverPhantom reference")
    assert view.GetBackgroundVolumeID() == volume_node.GetID()
    liver_hu = slicer.util.arrayFromVolume(volume_node)[slicer.util.arrayFromVolume(reference_node) == 1]
    assert 90 < np.median(liver_hu) < 130


def test_the_phantom_can_be_segmented_and_compared_with_its_reference(a_scene):
    volume_node, reference_node = sample_data.load_phantom()
    labels, warnings = mrml.reference_to_labels(reference_node, volume_node)
    assert labels.shape == mrml.volume_to_ct(volume_node).hu.shape
    assert labels.any() and not warnings
    assert mrml.segmentation_of(volume_node) is None, "the reference must not be taken for a result"


def test_a_second_phantom_gets_a_name_of_its_own(a_scene):
    names = {node.GetName() for _ in range(2) for node in sample_data.load_phantom()}
    assert len(names) == 4


def test_without_the_sample_data_module_nothing_is_offered_and_nothing_fails(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "SampleData", None)
    with caplog.at_level("INFO"):
        sample_data.register(ICONS)
    assert "not offered" in caplog.text
