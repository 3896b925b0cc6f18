"""Settings: argument, environment (``MXM_DATAIO_…``), file (``MXM_DATAIO_CONFIG``), default.

The earlier goes before the later.

``configs/default.yaml`` documents every setting. TOML and JSON files need nothing more; YAML,
with OmegaConf's interpolation, needs ``pip install 'mxm-dataio[config]'``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, Union, get_args

from ..errors import ConfigError
from ..models import Mode
from ..patterns import regex
from ..process import PREFIX, default_root
from .archive_urls import checked, root_of
from .choices import Compression, Durability, Exhausted, ModeName
from .faces import ENVIRONMENT, PYTHON, Face
from .functions import function_of

T = TypeVar("T")
# A setting's value for all sources, or a mapping by source: ``*`` stands for those not named.
ByName = Union[T, Mapping[str, T]]  # noqa: UP007 - an alias with a variable

# Read by other parts, not settings of a session.
RESERVED = frozenset({"CONFIG", "AUTO", "RUN", "SOURCE", "AS_OF", "SESSION"})

# VCR's words, where they mean the same; "once" needs to know whether a recording exists.
ALIASES = {"all": Mode.RECORD, "none": Mode.REPLAY, "new_episodes": Mode.AUTO}
ONCE = "once"


@dataclass(slots=True)
class Settings:
    """Every setting with its default.

    ``view``, ``ignore_params``, ``ignore_hosts``, ``match_host``, ``ignore_body_of`` and
    ``match_headers`` may be mappings that have them by source; ``*`` stands for all that they do
    not name.

    Attributes:
        root: folder of the store; for replay, or the URL of an archive.
        mode: ``record``, ``replay``, ``auto`` or ``off``, or one of VCR's words.
        ttl: seconds for which ``auto`` takes a stored answer as fresh; ``None``: for ever. Given as
            a number, ``90s``, ``15m``, ``1h``, ``30d`` or a ``timedelta``; or by patterns of URLs
            (``*/live/*``), of which the first that matches counts.
        reuse: statuses and methods of which ``auto`` may serve answers; see
            :class:`mxm_dataio.replay.policy.Reuse`; or by patterns of URLs.
        stale_if_error: stale answers serve in ``auto`` if the source fails; seconds: for so long.
        exhausted: ``repeat`` or ``error``, for a call made more often than it was recorded.
        strict: a failure to store raises instead of warning.
        view: what calls are compared by, a function; as text ``module:function``.
        ignore_params: what does not count in ``params_hash``.
        ignore_hosts: hosts whose calls are neither recorded nor missed; as ``allowed_hosts``.
        match_host: host and port count.
        ignore_body_of: patterns of URLs of calls of which method and URL alone count.
        match_headers: names of headers that count besides.
        spool_limit: bytes of a body held in memory before a temporary file takes it.
        compression: ``none`` or ``zstd``, for payloads that get smaller by it.
        durability: ``process`` or ``power``: what a call survives as soon as it is recorded.
        max_body: bytes of an answer's body that are kept; ``None``: all. The program gets all.
        stdlib: capture ``http.client`` and ``urllib.request`` as well.
        watch: list the connections and processes that no captured call accounts for, and refuse
            such connections in replay.
        allowed_hosts: hosts to which replay lets such connections pass; ``loopback`` and ``unix``
            stand for this machine and for unix sockets.
        sources: host pattern (``*.example.com``) → the source of calls to such hosts.
        push: URL of the archive to which ``run`` pushes once its program has ended.
    """

    root: Path
    mode: ModeName = "record"
    ttl: float | Mapping[str, float | None] | None = None
    reuse: tuple[str, ...] | Mapping[str, tuple[str, ...]] = ()
    stale_if_error: bool | float = False
    exhausted: Exhausted = "repeat"
    strict: bool = False
    view: ByName[Callable[[Any], Any] | None] = None
    ignore_params: ByName[tuple[str, ...]] = ()
    ignore_hosts: ByName[tuple[str, ...]] = ()
    match_host: ByName[bool] = True
    ignore_body_of: ByName[tuple[str, ...]] = ()
    match_headers: ByName[tuple[str, ...]] = ()
    spool_limit: int = 262_144
    compression: Compression = "none"
    durability: Durability = "process"
    max_body: int | None = None
    stdlib: bool = False
    watch: bool = False
    allowed_hosts: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    push: str | None = None


def load(
    arguments: Mapping[str, Any],
    environ: Mapping[str, str] | None = None,
    *,
    defaults: Mapping[str, Any] | None = None,
    face: Face = PYTHON,
) -> Settings:
    """Return the settings in force.

    Args:
        arguments: what the caller gave; ``None`` stands for "not given".
        environ: the environment, ``os.environ`` if not given.
        defaults: values that hold where nothing else is said, in place of the usual ones.
        face: in whose words the arguments were given.

    Raises:
        ConfigError: an unknown name or a value that does not fit, saying where it stands.
    """
    environ = os.environ if environ is None else environ
    known = [field.name for field in fields(Settings)]
    values: dict[str, Any] = {"root": Path(default_root(environ)), **(defaults or {})}
    named = environ.get(f"{PREFIX}CONFIG")
    layers: list[tuple[str, Face | None, dict[str, Any]]] = [
        (f"the file {named}", None, _read(Path(named)) if named else {}),
        ("the environment", ENVIRONMENT, _from_environment(environ)),
        ("the arguments", face, {k: v for k, v in arguments.items() if v is not None}),
    ]
    given: dict[str, tuple[Any, str]] = {}
    for place, words, layer in layers:
        for name, value in layer.items():
            if name not in known:
                also = [one.lower() for one in RESERVED] if words is ENVIRONMENT else []
                near = nearest(name, [*known, *also], PREFIX if also else "")
                raise ConfigError(f"unknown setting {name!r} in {place}{near}")
            # Somebody may have put a password in it.
            told = "…" if name == "push" or "://" in str(value) else value
            said = words.says(name, told) if words else f"{name}={told!r} in {place}"
            given[name] = value, said
    # What is overridden is not looked at: another process may have no such function.
    for name, (value, said) in given.items():
        try:
            values[name] = converted(name, value)
        except (TypeError, ValueError, ArithmeticError, RuntimeError, ConfigError) as exc:
            raise ConfigError(f"{said}: {exc}") from None
    return Settings(**values)


def mode_of(word: str, recorded: bool = False) -> Mode:
    """Return the mode that a word names, VCR's included.

    Args:
        recorded: a recording of the source exists; decides ``once``.

    Raises:
        ConfigError: no mode is called that.
    """
    text = str(word).lower()
    if text == ONCE:
        return Mode.REPLAY if recorded else Mode.RECORD
    if text in ALIASES:
        return ALIASES[text]
    try:
        return Mode(text)
    except ValueError:
        words = get_args(ModeName)
        raise ConfigError(
            f"unknown mode {word!r} (there are {', '.join(words)}){nearest(text, words)}"
        ) from None


def nearest(name: str, known: Iterable[str], prefix: str = "") -> str:
    """Return ``; did you mean …?`` for the nearest known name, or nothing.

    Args:
        prefix: with which the names are variables of the environment.
    """
    import difflib  # for an error alone

    match = difflib.get_close_matches(name, list(known), n=1)
    if not match:
        return ""
    return f"; did you mean {match[0]!r}?" + (f" ({prefix}{match[0].upper()})" if prefix else "")


_UNITS = {"w": 604_800, "d": 86_400, "h": 3600, "m": 60, "s": 1}


def seconds_of(value: object, unit: str) -> float:
    """Return a time in seconds: ``90s``, ``15m``, ``12h``, ``30d``, ``2w``, a ``timedelta``.

    Args:
        unit: of a number alone.

    Raises:
        ValueError: it is none, or negative.
    """
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    else:
        text = str(value).strip().lower()
        number, unit = (text[:-1], text[-1]) if text[-1:] in _UNITS else (text, unit)
        try:
            seconds = float(number) * _UNITS[unit]
        except ValueError:
            raise ValueError(
                f"no time: 90s, 15m, 12h, 30d, 2w, or a number, which has the unit {unit}"
            ) from None
    if not seconds >= 0:
        raise ValueError("a time is not negative")
    return seconds


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in environ:
        key = name.removeprefix(PREFIX)
        if key != name and key not in RESERVED:
            found[key.lower()] = environ[name]
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".toml":
            import tomllib  # few sessions have a file of settings

            data = tomllib.loads(text)
        elif path.suffix == ".json":
            data = json.loads(text)
        else:
            data = _read_yaml(path)
    except (OSError, ValueError, RecursionError) as exc:
        raise ConfigError(
            f"the file {path} (named by {PREFIX}CONFIG) can't be read: {exc}"
        ) from exc
    data = data.get("dataio", data) if isinstance(data, dict) else data
    if not isinstance(data, dict):
        raise ConfigError(f"the file {path} holds no mapping of settings")
    return {str(k): v for k, v in data.items() if v is not None and k != "mxm"}


def _read_yaml(path: Path) -> Any:
    try:
        from omegaconf import OmegaConf
    except ImportError:
        raise ConfigError(
            f"{path} is YAML: pip install 'mxm-dataio[config]', or write it as .toml or .json"
        ) from None
    try:
        return OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except OSError:
        raise
    except Exception as exc:
        # OmegaConf's own errors and those of the YAML parser beneath have no common base.
        raise ConfigError(f"the file {path} can't be read: {exc}") from exc


def converted(name: str, value: Any) -> Any:
    """Return the value of a setting as a session takes it.

    Raises:
        TypeError, ValueError, ArithmeticError, RuntimeError, ConfigError: it does not fit.
    """
    match name:
        case "root":
            return root_of(value)
        case "mode":
            # YAML 1.1 reads a bare off as false.
            word = "off" if value is False else str(value).lower()
            mode_of(word)
            return word
        case "exhausted":
            return _one_of(Exhausted, value)
        case "durability":
            return _one_of(Durability, value)
        case "compression":
            return _one_of(Compression, value)
        case "ttl":
            return _by_url(value, _seconds)
        case "stale_if_error":
            return _boolean_or_seconds(value)
        case "strict" | "stdlib" | "watch":
            return _boolean(value)
        case "ignore_params" | "ignore_hosts" | "ignore_body_of" | "match_headers":
            none: tuple[str, ...] = ()
            return _by_name(value, words_of, none)
        case "match_host":
            return _by_name(value, _boolean, True)
        case "view":
            return _by_name(value, function_of, None)
        case "allowed_hosts":
            return tuple(word.lower() for word in words_of(value))
        case "reuse":
            return _by_url(value, words_of)
        case "sources":
            return _mapping(value)
        case "push":
            return checked(str(value)) if value else None
        case "max_body" if value is None or str(value).lower() in ("", "none", "null"):
            return None
        case _:
            number = int(value)
            if number < 0:
                raise ValueError("a number of bytes is not negative")
            return number


def _one_of(choice: Any, value: Any) -> str:
    text, words = str(value).lower(), get_args(choice)
    if text not in words:
        raise ValueError(f"unknown (there are {', '.join(words)}){nearest(text, words)}")
    return text


# Not an IPv6 address.
_LIST = regex(r"\s*\[(?![0-9A-Fa-f.]*:)")


def words_of(value: Any) -> tuple[str, ...]:
    """Return words that are given one by one; as text, with commas between or as a JSON list.

    Raises:
        TypeError, ValueError: they are not.
    """
    if isinstance(value, str):
        value = _from_json(value, list) if _LIST.match(value) else value.split(",")
    elif isinstance(value, Mapping):
        raise TypeError("no list of words")
    words = (str(word).strip() for word in value if word is not None)
    return tuple(word for word in words if word)


def _from_json(text: str, kind: type) -> Any:
    value = _loaded(text)
    values = value.values() if isinstance(value, dict) else value
    if not isinstance(value, kind) or not all(isinstance(one, (str, int)) for one in values):
        raise ValueError("it is JSON, but not of words alone")
    return value


def _mapping(value: Any) -> dict[str, str]:
    """Return a mapping of names; as text, ``pattern=name`` pairs with commas between, or JSON."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = _from_json(value, dict)
    if isinstance(value, str):
        pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
        if not all(equals for _, equals, _ in pairs):
            raise ValueError("no pairs like *.example.com=name, separated by commas")
        value = {name.strip(): text.strip() for name, _, text in pairs}
    if not isinstance(value, Mapping):
        raise ValueError("no mapping of patterns to names")
    if not all(str(name) and str(text) for name, text in value.items()):
        raise ValueError("a pattern or a name is empty")
    return {str(name).lower(): str(text) for name, text in value.items()}


def _by_name(value: Any, convert: Callable[[Any], T], default: T) -> ByName[T]:
    """Return one value for all sources, or a mapping that has them by source; as text: JSON.

    Args:
        default: of the sources that such a mapping does not name.
    """
    value = _parsed(value)
    if not isinstance(value, Mapping):
        return convert(value)
    return {"*": default, **{str(name): convert(one) for name, one in value.items()}}


def _by_url(value: Any, convert: Callable[[Any], T]) -> T | dict[str, T]:
    """Return one value for all calls, or a mapping by patterns of URLs; as text: JSON."""
    value = _parsed(value)
    if not isinstance(value, Mapping):
        return convert(value)
    if not all(str(pattern).strip() for pattern in value):
        raise ValueError("a pattern is empty")
    return {str(pattern).strip(): convert(one) for pattern, one in value.items()}


def _parsed(value: Any) -> Any:
    is_json = isinstance(value, str) and value.lstrip().startswith("{")
    return _loaded(value) if is_json else value


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"it begins as JSON, and is none: {exc}") from None


def _seconds(value: Any) -> float | None:
    if value is None or (isinstance(value, str) and value.lower() in ("", "none", "null")):
        return None
    return seconds_of(value, "s")


def _boolean_or_seconds(value: Any) -> bool | float:
    try:
        return _boolean(value)
    except ValueError:
        return seconds_of(value, "s")


def by_name(value: ByName[T], name: str) -> T:
    """Return what a setting is for a source."""
    if not isinstance(value, Mapping):
        return value
    found: T = value[name] if name in value else value["*"]
    return found


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    text = str(value).lower()
    if text in ("1", "true", "yes", "on"):
        return True
    if text in ("0", "false", "no", "off", ""):
        return False
    raise ValueError("not a yes or no")
