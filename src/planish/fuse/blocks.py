"""`BlockCache`: values that are computed once, held within a bound, and waited for by whoever else wants them."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any

from numpy.typing import NDArray


class BlockCache:
    """The blocks used last, as many as fit.

    Parameters
    ----------
    limit : int
        Bytes held at most, beside those that are being computed or used.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._blocks: OrderedDict[Hashable, Future[NDArray[Any]]] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable, compute: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Return a block, computed by the first thread that asks for it; an error reaches all who wait for it."""
        with self._lock:
            waiting = self._blocks.get(key)
            if waiting is None:
                mine: Future[NDArray[Any]] = Future()
                self._blocks[key] = mine
            else:
                self._blocks.move_to_end(key)
        if waiting is not None:
            return waiting.result()
        try:
            block = compute()
        except BaseException as error:
            with self._lock:
                del self._blocks[key]  # asked for again, it is tried again
            mine.set_exception(error)
            raise
        mine.set_result(block)
        self._make_room(block.nbytes)
        return block

    def _make_room(self, added: int) -> None:
        with self._lock:
            self._held += added
            for key in list(self._blocks):
                if self._held <= self._limit:
                    return
                if self._blocks[key].done():
                    self._held -= self._blocks.pop(key).result().nbytes
