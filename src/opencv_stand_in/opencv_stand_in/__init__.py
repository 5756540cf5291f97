"""Where this is installed, pkg-config finds an opencv4 that is a header alone.

Made for the environment that FFCV is built in, never for one that anything runs in. FFCV's setup.py
asks pkg-config, and the .pth beside this package has every Python of that environment import it first.
"""

import os
from pathlib import Path

_HERE = str(Path(__file__).parent / "pkgconfig")
_FOUND = os.environ.get("PKG_CONFIG_PATH", "")
if _HERE not in _FOUND.split(os.pathsep):
    # First, so that a system's own OpenCV is not taken.
    os.environ["PKG_CONFIG_PATH"] = os.pathsep.join(filter(None, (_HERE, _FOUND)))
