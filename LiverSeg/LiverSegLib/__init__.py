"""LiverSegLib: from a CT volume to a liver segmentation, inside and outside 3D Slicer. For research use.

Importing the package loads nothing else; import the module that you need, for example
``from LiverSegLib.inference.segmenter import Segmenter``.
"""

import os

__version__ = "0.1.0"

# Threads of OpenMP that wait for each other spin, for milliseconds, which beside other work keeps the very thread that
# they wait for from its core. OpenMP reads how long when PyTorch loads it, so it is said here, which is always before:
# in turns of a loop for GNU's, in milliseconds for Intel's and LLVM's. Whoever has chosen has it their way.
if not os.environ.keys() & {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"}:
    os.environ.update(GOMP_SPINCOUNT="10000", KMP_BLOCKTIME="1")
