"""The parts of the module's panel: with LiverSeg.py the only files that know Qt, through the names of LiverSeg.ui."""
