"""A synthetic CT abdomen with an exact liver mask, drawn from implicit functions in millimetres."""

from .make import Phantom, make_phantom
from .shapes import LESION, LIVER

__all__ = ["LESION", "LIVER", "Phantom", "make_phantom"]
