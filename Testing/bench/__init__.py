"""A bench on which the unmodified module file runs without Slicer: see README.md."""

from .application import Application, slicer_application

__all__ = ["Application", "slicer_application"]
