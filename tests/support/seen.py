"""A view that looks at all of each call and alters what it can, of which traffic shows nothing."""

from __future__ import annotations

from typing import Any

from mxm_dataio import Call

# Each rule there is, in the environment's words; none makes two calls of a test the same.
RULES = {
    "MXM_DATAIO_VIEW": f"{__name__}:altered",
    "MXM_DATAIO_IGNORE_PARAMS": "unused,$.unused[*].x,header:x-unused,xml:unused,path:/unused/*",
    "MXM_DATAIO_IGNORE_HOSTS": "unused.test",
    "MXM_DATAIO_IGNORE_BODY_OF": "*/unused/*",
    "MXM_DATAIO_MATCH_HOST": "false",
    "MXM_DATAIO_MATCH_HEADERS": "X-Unused",
}


def altered(call: Call) -> Call:
    """Return a call in whose place no other comes, after looking at every part of it."""
    changes: dict[str, Any] = {"headers": {**call.headers, "x-seen": "1"}}
    if call.json is not None:
        changes["json"] = {"was": call.json}
    elif call.form is not None:
        changes["form"] = [*call.form, ("seen", "1")]
    elif call.xml is not None:
        changes["xml"] = call.xml.replace("</", "<seen/></")
    elif call.text is not None and call.content != call.text.encode():
        raise ValueError(f"{call.text!r} is not {call.content!r}")
    return call.replace(
        method=f"X-{call.method}",
        host="seen.test",
        port=1,
        path=f"/seen/{call.host}-{call.port}{call.path}",
        params=[*call.params, ("seen", "1")],
        **changes,
    )
