"""Clicks and cancels at random moments: `make soak` does fifty with the real network, here are some of them."""

from __future__ import annotations

import sys

import pytest
import slicer

from Testing.soak.clicks import small_ct, soak

# Whose first cancel comes at once: any later one may find the run finished, where the machine has been slow before.
CANCELS_AT_ONCE = 2

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux tells what a process holds")


def test_runs_that_are_cancelled_at_random_moments_leave_no_trace_and_disturb_no_other(application):
    found = soak(application, small_ct(), count=8, seed=1)
    assert found["failures"] == [] and found["passed"]
    assert sum(found["cancelled_in"].values()) == 8
    assert {tried["output"] for tried in found["tries"]} == {"a new output", "the earlier result"}


def test_a_cancel_that_leaves_a_node_behind_would_be_noticed(application):
    module = application.load_module()
    stop = module.LiverSegWidget._stopRun

    def leaving_a_node(self, text):
        slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "half")
        return stop(self, text)

    module.LiverSegWidget._stopRun = leaving_a_node
    application.load_module = lambda: module
    found = soak(application, small_ct(), count=1, seed=CANCELS_AT_ONCE)
    assert found["tries"][0]["seconds"] == 0
    assert not found["passed"]
    assert any("the scene changed with the cancel" in failure for failure in found["failures"])
