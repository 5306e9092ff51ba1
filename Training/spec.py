"""What the network sees and says: the one place where training fixes it, copied into the model card on export."""

from __future__ import annotations

SPACING_MM = 1.5
OFFSETS_MM = (-6.0, -3.0, 0.0, 3.0, 6.0)
WINDOW_HU = (-160.0, 240.0)
CLASSES = ("background", "liver", "tumour")
WIDTHS = (16, 32, 64, 128, 256)

# Held out of training to watch its progress; one patient each. The test patients (split "test") are never read.
VALIDATION = ("ircad_e10", "ircad_e16", "lits_023")
