"""LiverSegLib: from a CT volume to a liver segmentation, inside and outside 3D Slicer. For research use.

Importing the package loads nothing else; import the module that you need, for example
``from LiverSegLib.inference.segmenter import Segmenter``.
"""

__version__ = "0.1.0"
