"""Make the network that corrects from nothing: ``make train NETWORK=refine``.

It begins as the liver network that never saw BTCV, which is made first unless it is there: that network's mistakes on
those patients are true ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..data.prepare import prepare
from .export import NAME, export
from .fit import fit
from .settings import SPACING_MM, parse_settings

FOLDERS = ["train", "more"]
BASE = "without_btcv"


def make(data: Path, options: Sequence[str]) -> Path:
    """Prepare, train and export it; the options are those of ``Training.refine.fit``. Returns its file."""
    settings = parse_settings(options)
    settings.start_from = settings.start_from or str(_base(data))
    prepare(data, Path(settings.prepared), FOLDERS, SPACING_MM, phantoms=0, fluid_copies=0)
    weights = Path(settings.run) / f"{NAME}.pt"
    export(fit(settings), weights)
    return weights


def _base(data: Path) -> Path:
    """The file of the liver network to begin with."""
    from ..recipe import make as make_liver

    weights = Path("runs") / BASE / "liver_unet.pt"
    return weights if weights.exists() else make_liver(BASE, data, [])
