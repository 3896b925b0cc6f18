# Has a process captured where the package is on PYTHONPATH and its .pth file is not installed: run
# puts this folder there too. Any Python may come by it, an old one as well: it is not to stumble.
import os
import sys

_here = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [_one for _one in sys.path if os.path.abspath(_one or ".") != _here]
if os.environ.get("MXM_DATAIO_AUTO") and sys.version_info >= (3, 11):
    _package = os.path.dirname(os.path.dirname(os.path.dirname(_here)))
    sys.path.insert(0, _package)
    try:
        from mxm_dataio.run import startup as _startup
    except ImportError as _exc:
        os.write(2, ("mxm-dataio: warning: not captured: %s\n" % _exc).encode("utf-8"))
    else:
        _startup.start()
    sys.path.remove(_package)

# The one that this stands before. Where there is none, this is not here either.
del sys.modules["sitecustomize"]
import sitecustomize  # noqa: E402, F401
