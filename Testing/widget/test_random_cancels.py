"""Clicks and cancels at random moments: `make soak` does fifty with the real network, here are some of them."""

from __future__ import annotations

import sys

import pytest

from Testing.soak.clicks import small_ct, soak

# Whose first cancel comes at once: any later one may find the run finished, where the machine has been slow before.
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux tells what a process holds")


def test_runs_that_are_cancelled_at_random_moments_leave_no_trace_and_disturb_no_other(application):
    found = soak(application, small_ct(), count=8, seed=1)
    assert found["failures"] == [] and found["passed"]
    assert sum(found["cancelled_in"].values()) == 8
    assert {tried["output"] for tried in found["tries"]} == {"a new output", "the earlier result"}
