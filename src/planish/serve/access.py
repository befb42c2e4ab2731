"""Who may ask: the token, pages of other origins, and the headers by which browsers keep answers to themselves."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.types import Scope

from planish.serve.cache import Headers
from planish.serve.hosts import Hosts
from planish.serve.responses import Problem, Response
from planish.serve.settings import ServeOptions

COOKIE = "planish-"
"""What the name of the cookie begins with; the rest is the token's, for services on several ports of one host."""
OPEN = frozenset({"/", "/favicon.ico", "/healthz"})
VIEWER = "/viewer/"
"""What answers without a token: whether the process lives, and the viewer, which asks for the token."""
POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ALLOWED = b"GET, HEAD, POST, OPTIONS"
_ASKED = b"Authorization, If-None-Match"
_TOLD = b"ETag, Link, Location, Retry-After, Server-Timing"
_HOST = re.compile(r"[A-Za-z0-9.\-_:\[\]]+")


@dataclass(frozen=True, slots=True)
class Caller:
    """The headers of a request that matter.

    Attributes
    ----------
    authorization, cookie, origin, site, none_match : str
        As they came; empty where there are none. `site` tells whether a page of this service asks, where a browser says
        so: that is so over TLS, and on the same machine.
    """

    authorization: str = ""
    cookie: str = ""
    origin: str = ""
    site: str = ""
    none_match: str = ""

    @classmethod
    def of(cls, headers: Iterable[tuple[bytes, bytes]]) -> Caller:
        """Return those of a request."""
        found = {name: value.decode("latin-1") for name, value in headers if name in _NAMES}
        return _NOBODY if not found else cls(*(found.get(name, "") for name in _NAMES))


_NAMES = (b"authorization", b"cookie", b"origin", b"sec-fetch-site", b"if-none-match")
_OWN = ("", "same-origin", "none")
_NOBODY = Caller()


_UNNAMED = Problem(
    421,
    "the service does not go by the name that it was asked for; ask by its IP address or localhost, or start it with "
    "--allow-host NAME",
)


class Access:
    """Lets requests in, or tells why not."""

    def __init__(self, options: ServeOptions) -> None:
        self._token, self._origins = options.token, frozenset(options.cors)
        self._any = "*" in self._origins
        # With a token no name matters: a page that was led here has neither the token nor our cookie, which browsers
        # send to the name that it was set for.
        self._hosts = Hosts(("*",) if options.token else options.hosts)
        # The cookie is not the token: who reads a browser's store cannot ask by other means.
        self._pass = self._derived(b"planish cookie") if self._token else ""
        self._cookie = COOKIE + self._derived(b"planish name")[:8]
        others = b"cross-origin" if self._origins else b"same-origin"
        self.everywhere: Headers = (
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-resource-policy", others),
        )
        """Headers of every answer."""

    def check(self, scope: Scope, caller: Caller) -> Response | None:
        """Return the answer to those who may not ask, or are to ask elsewhere; None to all others."""
        if not self._hosts.know(scope):
            return _UNNAMED.response
        method = scope["method"]
        if method == "OPTIONS" and caller.origin and self._origins:
            return self._preflight()
        if self._token and not self._known(caller) and not _is_open(scope):
            return self._entry(scope)
        exempt = self._any and self._bears(caller)
        if method not in ("GET", "HEAD", "OPTIONS") and not exempt and self._foreign(scope, caller):
            return Problem(403, "pages of other origins may not do this; allow theirs with --cors ORIGIN").response
        return None

    def shared(self, caller: Caller) -> Headers:
        """Return the headers by which a browser lets pages of another origin read the answer."""
        if not self._origins:
            return ()
        if self._any:
            return (_allow(b"*"), (b"access-control-expose-headers", _TOLD))
        if caller.origin not in self._origins:
            return ((b"vary", b"Origin"),)
        return (
            _allow(caller.origin.encode("latin-1")),
            (b"access-control-expose-headers", _TOLD),
            (b"vary", b"Origin"),
        )

    def may_begin(self, scope: Scope, caller: Caller) -> bool:
        """Whether what is read may begin work: not by a picture in a page of an origin that is not allowed."""
        if self._any and (self._bears(caller) or not self._token):
            return True
        if caller.origin:
            return not self._foreign(scope, caller)
        return caller.site in _OWN

    def _derived(self, use: bytes) -> str:
        return hmac.digest(self._token.encode(), use, "sha256").hex()

    def _bears(self, caller: Caller) -> bool:
        """Whether the token itself is sent, which a browser does for no page that does not have it."""
        scheme, _, token = caller.authorization.partition(" ")
        return bool(self._token) and scheme.lower() == "bearer" and _same(token.strip(), self._token)

    def _known(self, caller: Caller) -> bool:
        if self._bears(caller):
            return True
        pairs = (each.strip().partition("=") for each in caller.cookie.split(";"))
        return any(name == self._cookie and _same(value, self._pass) for name, _, value in pairs)

    def _entry(self, scope: Scope) -> Response:
        """Take the token out of an address into a cookie, so that it stays in no history and no log."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        # A plus that was not quoted comes as a space, which no token has.
        given = [value.replace(" ", "+") for name, value in query if name == "token"]
        if scope["method"] not in ("GET", "HEAD") or len(given) != 1 or not _same(given[0], self._token):
            ask = (b"www-authenticate", b'Bearer realm="planish"')
            return Problem(401, "a token is needed; send it as Authorization: Bearer TOKEN", headers=(ask,)).response
        left = urlencode([(name, value) for name, value in query if name != "token"])
        path = "/" + (scope.get("raw_path") or b"/").decode("ascii", "replace").partition("?")[0].lstrip("/\\")
        secure = "; Secure" if scope.get("scheme") == "https" else ""
        cookie = f"{self._cookie}={self._pass}; Path=/; HttpOnly; SameSite=Strict{secure}"
        place = f"{path}?{left}" if left else path
        headers = ((b"location", place.encode()), (b"set-cookie", cookie.encode()), (b"cache-control", b"no-store"))
        return Response(b"", headers, 303)

    def _preflight(self) -> Response:
        headers = (
            (b"access-control-allow-methods", _ALLOWED),
            (b"access-control-allow-headers", _ASKED),
            (b"access-control-max-age", b"600"),
        )
        return Response(b"", headers, 204)

    def _foreign(self, scope: Scope, caller: Caller) -> bool:
        """Whether a page that is none of ours asks, which a browser sends without asking whether it may."""
        if not caller.origin or caller.origin in self._origins:
            return False
        return urlsplit(caller.origin).netloc != host_of(scope)


def _is_open(scope: Scope) -> bool:
    path = scope["path"]
    return (path in OPEN or path.startswith(VIEWER)) and b"token=" not in scope["query_string"]


def host_of(scope: Scope) -> str:
    """Return host and port by which the client knows the service."""
    named = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
    if _HOST.fullmatch(named):
        return named
    host, port = scope.get("server") or ("localhost", 80)
    return f"{host}:{port}"


def base_of(scope: Scope) -> str:
    """Return the address of the service, without a slash at its end."""
    return f"{scope.get('scheme', 'http')}://{host_of(scope)}{scope.get('root_path', '')}"


def _same(given: str, meant: str) -> bool:
    # Hashed first: the time tells not even the length.
    one, other = (hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest() for text in (given, meant))
    return hmac.compare_digest(one, other)


def _allow(origin: bytes) -> tuple[bytes, bytes]:
    return (b"access-control-allow-origin", origin)
