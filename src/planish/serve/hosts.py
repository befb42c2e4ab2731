"""`Hosts`: the names by which a service without a token may be asked for.

A page of ``evil.example`` may have its own name point at 127.0.0.1 once a browser has loaded it (DNS rebinding). It is
then of the same origin as the service, and reads every slide; only the name in the Host header tells the two apart.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache

from starlette.types import Scope

from planish.errors import OptionError

ANY = "*"
_LOCAL = "localhost"
_PORT = re.compile(r":[0-9]{0,5}\Z")


class Hosts:
    """Tells a request that means this service from one that was led to it.

    Parameters
    ----------
    names : iterable of str
        That it answers to beside ``localhost`` and every IP address; ``*`` for any.

    Raises
    ------
    OptionError
        Where one is an address of the web.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        names = tuple(names)
        if web := [name for name in names if "/" in name]:
            raise OptionError(f"{web[0]}: is no name of a host; give it without https:// and path: slides.example")
        self._names = frozenset(map(_plain, (_LOCAL, *names)))

    def know(self, scope: Scope) -> bool:
        """Whether the request names the service; one without a name comes from no browser."""
        if ANY in self._names:
            return True
        return all(_known(value, self._names) for name, value in scope["headers"] if name == b"host")


@lru_cache(maxsize=64)
def _known(value: bytes, names: frozenset[str]) -> bool:
    host = _plain(value.decode("latin-1"))
    return host in names or _is_address(host.removeprefix("[").removesuffix("]"))


def _is_address(host: str) -> bool:
    # No name was looked up for an address, so nobody can have led it elsewhere.
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _plain(name: str) -> str:
    return _PORT.sub("", name.strip().lower()).removesuffix(".")
