"""The closed choices, each said once: for type checkers, messages and command lines."""

from __future__ import annotations

from typing import Literal

# What a session does with a call; VCR's words where they mean the same.
ModeName = Literal["record", "replay", "auto", "off", "all", "none", "new_episodes", "once"]
# What is done with a cassette; the order is that in which messages name them.
CassetteMode = Literal[
    "once", "none", "replay", "new_episodes", "auto", "all", "record", "rewrite", "off"
]
# What a run of pytest does with its tests' cassettes.
RunMode = Literal["none", "once", "new_episodes", "all", "rewrite", "off"]

# What replay serves when a call is made more often than it was recorded: the last answer, or none.
Exhausted = Literal["repeat", "error"]
# What a call survives as soon as it is recorded: the end of the process (``kill -9``; a power cut
# only once the session has ended), or a power cut as well.
Durability = Literal["process", "power"]
# How payloads are kept that get smaller by it.
Compression = Literal["none", "zstd"]

# What happens to a test whose cassette is too old.
OnExpired = Literal["warn", "fail"]
# The clock of a test stands still, or goes on from the recording's instant.
Freeze = Literal[True, False, "tick"]
# For how long a test's session is open: for more than the one test, or for that alone.
WideScope = Literal["class", "module", "session"]
Scope = Literal["function", WideScope]
