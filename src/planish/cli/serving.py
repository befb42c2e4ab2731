"""`planish serve`."""

from __future__ import annotations

import argparse
import errno
import ipaddress
import os
import resource
import socket
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from planish.cli import values
from planish.errors import OptionError, PlanishError
from planish.threads import cores

if TYPE_CHECKING:
    from planish.serve.settings import ServeOptions

FACTORY = "planish.serve.app:create_app"
TOKEN = "PLANISH_SERVE_TOKEN"
BACKLOG = 2048
CONNECTIONS = 1024
"""Of a web process; who comes beyond is answered 503. Each is an open file, and what its client has not read yet."""
END_S = 3
"""That open answers, such as events, are given when the service ends."""


def add_serve(parser: argparse.ArgumentParser) -> None:
    """Add what serving takes."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder with slides, searched in depth")
    parser.add_argument("--host", default="127.0.0.1", help="address to answer at (127.0.0.1: this computer only)")
    parser.add_argument("--port", type=int, default=8000, help="0 for any that is free (8000)")
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="web processes (1)")
    parser.add_argument("--token", metavar="T", help=f"answer only to who knows it; better set {TOKEN}, since others "
                        "see the options of a program")  # fmt: skip
    parser.add_argument(
        "--cors", action="append", default=[], metavar="ORIGIN", help="let pages of an origin read the answers, e.g. "
        "https://viewer.example, or * for any; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--allow-host", action="append", default=[], metavar="NAME", help="answer also when asked for by that name, as "
        "behind a proxy, or * for any; needed without --token only; may be repeated",
    )  # fmt: skip
    parser.add_argument("--show-label", action="store_true", help="serve label and macro images, which may show names")
    parser.add_argument("--allow-jobs", type=Path, metavar="OUT", help="let slides be flattened into that folder")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="folder for plane maps (the user's cache)")
    parser.add_argument(
        "--tile-cache", type=values.size, default=256 << 20, metavar="SIZE", help="tiles in memory, per worker (256M)"
    )


def serve(options: Namespace) -> int:
    """Serve a folder until a signal comes."""
    try:
        import uvicorn
        from uvicorn.supervisors import Multiprocess

        from planish.serve.app import create_app
        from planish.serve.patience import Patient
        from planish.serve.registry import Registry
    except ModuleNotFoundError as error:
        if error.name and error.name.partition(".")[0] == "planish":
            raise
        raise PlanishError(f"{error.name} is missing; install it with pip install 'planish[serve]'") from error
    if not 0 <= options.port <= 65535 or options.workers < 1:
        raise OptionError("--port goes from 0 to 65535, and --workers from 1")
    most_files = _more_files()
    registry = Registry(options.folder)
    registry.check()
    with _shared(options.workers) as shared:
        chosen = _options(options, shared)
        app = create_app(chosen)  # tells what is wrong with it before anything is started
        with _listening(options.host, options.port) as listening:
            chosen.to_environment(os.environ)
            _say(options, chosen, registry.count, listening)
            several = options.workers > 1
            config = uvicorn.Config(
                FACTORY if several else app, factory=several, workers=options.workers, log_config=None, ws="none",
                access_log=False, server_header=False, timeout_graceful_shutdown=END_S, http=Patient,
                limit_concurrency=min(CONNECTIONS, most_files // 2),
            )  # fmt: skip
            with suppress(KeyboardInterrupt):  # a service is ended by a signal; that is no failure
                if several:
                    Multiprocess(config, sockets=[listening]).run()
                else:
                    uvicorn.Server(config).run(sockets=[listening])
    return 0


def _more_files() -> int:
    """Let this process and those that it starts open as many files as they may, and return how many that are."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):  # macOS allows less than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    few, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if few == resource.RLIM_INFINITY else few


def _options(options: Namespace, shared: Path | None) -> ServeOptions:
    from planish.serve.settings import ServeOptions

    token = options.token if options.token is not None else os.environ.get(TOKEN, "")
    if options.token == "":
        raise OptionError("--token is empty; leave it out, or give one that is hard to guess")
    return ServeOptions(
        folder=options.folder.absolute(),
        token=token,
        cors=tuple(options.cors),
        hosts=(options.host, *options.allow_host),
        show_label=options.show_label,
        allow_jobs=options.allow_jobs and options.allow_jobs.absolute(),
        cache=options.cache and options.cache.absolute(),
        shared=shared,
        tile_cache=options.tile_cache,
        # One more than a slide may have: one that takes long would hold up all others.
        decoders=1 + max(1, cores() // options.workers),
    )


@contextmanager
def _shared(workers: int) -> Iterator[Path | None]:
    """Make a folder in which several workers add up their counters."""
    if workers == 1:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="planish-serve-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """Open the socket that all workers share."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise OptionError(f"--host {host}: no such address ({error.strerror})") from error
    with listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(address)
            # At once: a port that another one only has bound is told as taken by this.
            listening.listen(BACKLOG)
        except OSError as error:
            raise _not_there(host, port, error) from error
        listening.set_inheritable(True)
        yield listening


def _not_there(host: str, port: int, error: OSError) -> PlanishError:
    if error.errno == errno.EADDRINUSE:
        return PlanishError(f"port {port} of {host} is taken; choose another with --port, or 0 for any that is free")
    if error.errno == errno.EACCES:
        return PlanishError(f"port {port} may not be used; choose one above 1023 with --port")
    return PlanishError(f"{host}, port {port}: cannot be answered at ({error.strerror}); check --host")


def _say(options: Namespace, chosen: ServeOptions, count: int, listening: socket.socket) -> None:
    host, port = listening.getsockname()[:2]
    slides = "1 slide" if count == 1 else f"{count} slides"
    place = f"[{host}]" if ":" in host else host
    print(f"serving   {slides} at http://{place}:{port}/ (Ctrl-C ends it)", flush=True)
    if not chosen.token and not _is_local(host):
        print(
            "planish: everybody who reaches this computer can see the slides; --token lets in only who knows it",
            file=sys.stderr,
        )


def _is_local(host: str) -> bool:
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback
