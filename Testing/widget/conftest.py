"""The panel on the bench: a fresh application with an empty scene for each test."""

from __future__ import annotations

import pytest

from LiverSegLib import mrml
from Testing.bench import slicer_application
from Testing.widget.refiner_stand_in import RefinerStandIn
from Testing.widget.stand_in import StandIn, small_ct


@pytest.fixture
def application(capfd):
    """Slicer as far as the module needs it; what was raised or logged unseen fails the test at its end."""
    with slicer_application() as application:
        yield application
        assert application.errors == [], "raised in a slot or an observer, where Slicer prints it and goes on"
        assert "ERR|" not in (logged := capfd.readouterr().err), logged


@pytest.fixture
def panel(application):
    """The module's panel, opened."""
    application.load_module()
    return application.open_panel()


@pytest.fixture
def stand_in():
    """What stands for the network in quick_panel."""
    return StandIn()


@pytest.fixture
def refiner():
    """What stands for the network that corrects in quick_panel."""
    return RefinerStandIn()


@pytest.fixture
def quick_panel(application, stand_in, refiner):
    """The module's panel, opened; its networks are the stand-ins, which understand small_ct()."""
    module = application.load_module()
    module._bundledSegmenter, module._bundledRefiner = stand_in, refiner
    return application.open_panel()


@pytest.fixture
def ct_node(application):
    """A CT that the stand-in understands; the panel chooses it by itself if it is opened already."""
    return mrml.volume_from_ct(small_ct()[0])
