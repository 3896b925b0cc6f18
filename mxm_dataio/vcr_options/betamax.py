"""betamax's options as ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError
from .matching import Key
from .options import Translated, from_vcr

# Option → vcrpy's, which means the same.
_AS_VCR = {
    "allow_playback_repeats": "allow_playback_repeats",
    "record": "record_mode",
    "record_mode": "record_mode",
}
_NOT_NEEDED = frozenset(
    """cassette_library_dir preserve_exact_body_bytes serialize serialize_with""".split()  # noqa: SIM905
)


def from_betamax(
    options: Mapping[str, Any], *, matchers: Mapping[str, Key] | None = None
) -> Translated:
    """Return options of ``Betamax.use_cassette`` as those of ours.

    Args:
        options: its keywords, or ``default_cassette_options``.
        matchers: as of :func:`mxm_dataio.vcr_options.from_vcr`.

    Raises:
        ConfigError: one has no equal here; the message says what there is instead.
    """
    theirs: dict[str, Any] = {}
    for name, value in options.items():
        if name in _AS_VCR:
            theirs[_AS_VCR[name]] = value
        elif name == "match_requests_on":
            # Credentials do not count.
            theirs["match_on"] = [one for one in value if one != "digest-auth"]
        elif name == "placeholders":
            theirs["filter_sensitive_data"] = [
                (one["placeholder"], one["replace"]) for one in value
            ]
        elif name == "re_record_interval" and value:
            raise ConfigError(
                "betamax's option 're_record_interval' has no equal here; expires='1d' on the "
                "marker warns or fails, mode='auto' with ttl fetches anew what is older"
            )
        elif name not in _NOT_NEEDED and value is not None:
            raise ConfigError(f"betamax's option {name!r} has no equal here; leave it out")
    return from_vcr(theirs, matchers=matchers)
