"""What the bundled network sees and says: the defaults of :class:`Training.settings.Settings`.

Spacing, offsets and widths are options of ``Training.fit``; they travel with the checkpoint into the model card.
"""

from __future__ import annotations

from .data.splits import VALIDATION as VALIDATION  # where evaluation looks for it

SPACING_MM = 1.5
OFFSETS_MM = (-6.0, -3.0, 0.0, 3.0, 6.0)
WINDOW_HU = (-160.0, 240.0)
CLASSES = ("background", "liver", "tumour")
WIDTHS = (32, 64, 128, 256, 256)
BASE_WIDTH, MAX_WIDTH, DEPTH = WIDTHS[0], WIDTHS[-1], len(WIDTHS)
PATCH = 2
# What belongs to the liver is labelled as tumour where the network gives that more than this probability. It is too
# sure of itself, and rather misses a tumour than makes one up: EXPERIMENTS.md says what other limits find.
TUMOUR_ABOVE = 0.05
