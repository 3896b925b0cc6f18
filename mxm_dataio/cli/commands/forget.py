"""``mxm-dataio forget``: one recorded call answers none any more."""

from __future__ import annotations

from pathlib import Path

import click

from ..options import folder_options, reading
from ..output import print_line
from ..pages import Page


@click.command()
@click.argument("call")
@click.option("--undo", is_flag=True, help="Have it answer again.")
@folder_options
def forget(call: str, undo: bool, root: Path, as_json: bool) -> None:
    """Have one recorded CALL answer none any more: replay misses it, and auto asks again.

    CALL is its id, or as much of its beginning or end as tells it from others. If another recording
    holds the same call, that answers from now on. A call that was answered from the store stands
    for the one that answered it, and for all that did.

    Nothing is deleted: what was recorded can be shown and proved as before, and verify finds it
    sound. An export leaves it out.

    \b
    Examples:
      mxm-dataio forget 7c1a9e02
      mxm-dataio forget 7c1a9e02 --undo
    """
    from ...storage.root_store import RootStore

    with reading(root) as store:
        id = store.request_id(call)
    with RootStore(root, readonly=False, patient=True) as store:
        changed = store.forget(id, undo=undo)
        exchange = store.exchange(id)
        assert exchange is not None
        request = exchange.request
        held = store.catalog.newest(request.source, request.params_hash, "~")
    other = held[1] if held is not None and not undo else None
    if as_json:
        print_line(
            "forgotten", id=id, session_id=request.session_id, method=request.method,
            url=request.url, forgotten=not undo, changed=changed, answered_by=other,
        )  # fmt: skip
        return
    page = Page()
    page.line((request.method, "bold"), " ", (request.url, "bold"), "  ", (id, "yellow"))
    if undo:
        page.line("  it answers again" if changed else "  it was not forgotten")
        return
    page.line("  forgotten" if changed else "  it was forgotten before")
    if other is not None:
        page.line(f"  session {other} holds the same call, which answers in its place")
    else:
        page.line("  no other recording of it answers: replay misses it, auto asks again")
