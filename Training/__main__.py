"""``fabric run Training``: starts :mod:`Training.fit` for launchers that can run a folder or a file, not a module."""

import sys
from pathlib import Path

# A folder that is run is itself where imports begin; its package lies one above.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from Training.fit import main

if __name__ == "__main__":
    main()
