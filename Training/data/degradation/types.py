"""What a degradation takes and gives."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from LiverSegLib.data.volume import CTVolume

Degraded = tuple[CTVolume, np.ndarray]
Degradation = Callable[[CTVolume, np.ndarray, np.random.Generator], Degraded]
