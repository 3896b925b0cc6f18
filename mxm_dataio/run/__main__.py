"""``python -m mxm_dataio.run script.py ARGS``; see :mod:`.launcher`."""

from __future__ import annotations

import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    # By -m, files of the present folder go before the standard library: they are the program's.
    del sys.path[0]

from .launcher import main

if __name__ == "__main__":
    sys.exit(main())
