"""What a tile service is told to do, and how its worker processes come to know it."""

from __future__ import annotations

import json
import os
from collections.abc import MutableMapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from planish.errors import OptionError

VARIABLE = "PLANISH_SERVE"
"""Environment variable that holds the options as JSON; any one of them by itself in ``PLANISH_SERVE_<NAME>``."""

_PATHS = frozenset({"folder", "allow_jobs", "cache", "shared"})


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
        Processes that open slides, of each worker; 0 for as many as there are cores.
    """

    folder: Path
    token: str = field(default="", repr=False)
    cors: tuple[str, ...] = ()
    show_label: bool = False
    allow_jobs: Path | None = None
    cache: Path | None = None
    shared: Path | None = None
    tile_cache: int = 256 << 20
    decoders: int = 0

    def __post_init__(self) -> None:
        if self.token and (not self.token.isascii() or not self.token.isprintable() or " " in self.token):
            raise OptionError("the token must be printable ASCII without spaces: it travels in a header")
        if self.tile_cache < 0:
            raise OptionError(f"the tile cache cannot have {self.tile_cache} bytes; 0 keeps nothing")
        if self.decoders < 0:
            raise OptionError(f"{self.decoders} decoders cannot be; 0 has one for each core")

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
        given: dict[str, Any] = json.loads(os.environ.get(VARIABLE, "{}"))
        for name in cls.__dataclass_fields__:
            if text := os.environ.get(f"{VARIABLE}_{name.upper()}"):
                given[name] = _value(name, text)
        if not given.get("folder"):
            raise OptionError(f"no folder to serve; set {VARIABLE}_FOLDER, or run planish serve DIR")
        for name in _PATHS & given.keys():
            given[name] = given[name] and Path(given[name])
        return cls(**{**given, "cors": tuple(given.get("cors", ()))})


def _value(name: str, text: str) -> Any:
    if name == "cors":
        return text.split()
    if name == "show_label":
        return text.lower() in ("1", "true", "yes")
    if name in ("tile_cache", "decoders"):
        try:
            return int(text)
        except ValueError:
            raise OptionError(f"{VARIABLE}_{name.upper()}: {text!r} is no whole number") from None
    return text
