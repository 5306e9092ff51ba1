"""The self-test of LiverSeg.py, as Slicer's Self Tests module runs it, on slicer-core."""

from __future__ import annotations

import LiverSeg


class TestSelfTest(LiverSeg.LiverSegTest):
    """Every test of the module, each on its own."""
