"""What other scanners, protocols and patients do to a CT, as functions of a scan and its reference.

Each degradation takes an axial stack (a canonical :class:`~LiverSegLib.data.volume.CTVolume`), its labels, uint8
(k, j, i) on the same grid, and a random generator; it returns a new scan and the labels that are exact for it. The
input is never changed, and the same generator's seed gives the same result.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np

from LiverSegLib.data.volume import CTVolume

from .calibration import shift_minus_30, shift_plus_30
from .contrast import fatty_liver, fatty_no_contrast, no_contrast
from .field_of_view import child, cropped
from .fluid import airless_lung, ascites, full_bowel, oral_contrast, pleural_effusion
from .lesions import bright_lesions, dark_lesions, iodised_oil, large_cyst, many_cysts
from .metal import streaks
from .noise import noise_doubled
from .slices import slices_07mm, slices_5mm
from .types import Degradation, Degraded

DEGRADATIONS: dict[str, Degradation] = {
    function.__name__: function
    for function in (
        noise_doubled,
        slices_5mm,
        slices_07mm,
        cropped,
        shift_plus_30,
        shift_minus_30,
        streaks,
        no_contrast,
        fatty_liver,
        fatty_no_contrast,
        pleural_effusion,
        airless_lung,
        ascites,
        full_bowel,
        oral_contrast,
        dark_lesions,
        bright_lesions,
        iodised_oil,
        many_cysts,
        large_cyst,
        child,
    )
}


def degrade(name: str, ct: CTVolume, labels: np.ndarray, seed: int = 0) -> Degraded:
    """Apply one of :data:`DEGRADATIONS`; the random numbers depend on its name, the scan's name and the seed only.

    Raises
    ------
    KeyError
        If there is no degradation of that name.
    """
    rng = np.random.default_rng([seed, crc32(f"{name} {ct.name}".encode())])
    return DEGRADATIONS[name](ct, labels, rng)
