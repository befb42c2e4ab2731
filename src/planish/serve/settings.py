"""What a tile service is told to do, and how its worker processes come to know it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import MutableMapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from planish.errors import OptionError

VARIABLE = "PLANISH_SERVE"
"""Environment variable with all options as JSON; without it, each counts by itself in ``PLANISH_SERVE_<NAME>``."""

_INSTEAD = f"unset it, and set {VARIABLE}_FOLDER"
_LISTS = ("cors", "hosts")
_PATHS = frozenset({"folder", "allow_jobs", "cache", "shared"})
_ORIGIN = re.compile(r"\*|[a-z][a-z0-9+.\-]*://[^/?#@\sA-Z]+")
_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """Of a tile service; host, port and the number of workers are the server's own affair.

    Attributes
    ----------
    folder : Path
        Whose slides are served.
    token : str
        Without which nothing but ``/healthz`` answers; empty: everybody is answered.
    cors : tuple of str
        Origins whose pages may read the answers; ``*`` for any.
    hosts : tuple of str
        Names by which it may be asked for without a token, beside ``localhost`` and IP addresses; ``*`` for any.
    show_label : bool
        Whether label and macro images are served; they can show names.
    allow_jobs : Path or None
        Folder into which slides may be flattened; None: they may not.
    cache : Path or None
        Folder for plane maps; None: a folder of the user's own.
    shared : Path or None
        Folder in which the workers of one service add up their counters; None where there is but one.
    tile_cache : int
        Bytes of tiles that a worker process keeps.
    decoders : int
        Processes that open slides known to be harmless, of each worker; 0 for one more than there are cores.
    """

    folder: Path
    token: str = field(default="", repr=False)
    cors: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    show_label: bool = False
    allow_jobs: Path | None = None
    cache: Path | None = None
    shared: Path | None = None
    tile_cache: int = 256 << 20
    decoders: int = 0

    def __post_init__(self) -> None:
        if self.token and (not self.token.isascii() or not self.token.isprintable() or " " in self.token):
            raise OptionError("the token must be printable ASCII without spaces: it travels in a header")
        if wrong := [each for each in self.cors if not _ORIGIN.fullmatch(each)]:
            raise OptionError(
                f"{wrong[0]!r} is no origin to allow; write it as browsers do, in lower case and without a slash at "
                "the end: https://viewer.example, or * for any"
            )
        if self.tile_cache < 0:
            raise OptionError(f"the tile cache cannot have {self.tile_cache} bytes; 0 keeps nothing")
        if self.decoders < 0:
            raise OptionError(f"{self.decoders} decoders cannot be; 0 has one more than there are cores")

    def to_environment(self, environment: MutableMapping[str, str]) -> None:
        """Leave the options where processes started later find them."""
        environment[VARIABLE] = json.dumps(asdict(self), default=str)

    @classmethod
    def from_environment(cls) -> Self:
        """Return what `to_environment` left, or what a person set variable by variable.

        Raises
        ------
        OptionError
            Where there is no folder, or a value is none.
        """
        names = list(cls.__dataclass_fields__)
        # Whoever set it decided on everything: single variables meant for another service must not change that.
        given = _whole(os.environ[VARIABLE], names) if VARIABLE in os.environ else _single(names)
        if not given.get("folder"):
            raise OptionError(f"no folder to serve; set {VARIABLE}_FOLDER, or run planish serve DIR")
        try:
            for name in _PATHS & given.keys():
                given[name] = given[name] and Path(given[name])
            return cls(**given | {name: _list(given.get(name, ())) for name in _LISTS})
        except (AttributeError, TypeError):
            raise OptionError(f"{VARIABLE} holds a value of the wrong kind; {_INSTEAD}") from None


def _whole(text: str, names: Sequence[str]) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except ValueError:
        given = None
    if not isinstance(given, dict):
        raise OptionError(f"{VARIABLE} is no JSON object with options; {_INSTEAD}")
    if unknown := sorted(given.keys() - set(names)):
        raise OptionError(f"{VARIABLE}: {unknown[0][:40]!r} is no option; {_INSTEAD}")
    return given


def _single(names: Sequence[str]) -> dict[str, Any]:
    set_ = {name: os.environ.get(f"{VARIABLE}_{name.upper()}") for name in names}
    return {name: _value(name, text) for name, text in set_.items() if text}


def _list(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _value(name: str, text: str) -> Any:
    if name in _LISTS:
        return text.split()
    if name == "show_label":
        if text.lower() not in _WORDS:
            raise OptionError(f"{VARIABLE}_{name.upper()}: {text!r} is neither 1 nor 0")
        return _WORDS[text.lower()]
    if name in ("tile_cache", "decoders"):
        try:
            return int(text)
        except ValueError:
            raise OptionError(f"{VARIABLE}_{name.upper()}: {text!r} is no whole number") from None
    return text
