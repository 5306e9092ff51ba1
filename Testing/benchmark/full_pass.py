"""The network over all of a scan, to compare with what is found by looking first where the liver is."""

from __future__ import annotations

from typing import Any


def measure(ct: str, labels: str, device: str) -> dict[str, Any]:
    """Dice of labels, written before, with those of the full pass, and the seconds that this took."""
    from LiverSegLib.data.metrics import dice
    from LiverSegLib.inference.segmenter import Segmenter
    from LiverSegLib.io.files import read_ct, read_labels

    full = Segmenter(device=device, everywhere=True).segment(read_ct(ct))
    found, _ = read_labels(labels)
    return {
        "dice": float(dice(found > 0, full.labels > 0)),
        "voxels": int((full.labels > 0).sum()),
        "seconds": full.seconds,
    }
