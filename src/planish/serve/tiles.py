"""Tiles: Deep Zoom, XYZ, and the focus map in colours. Addresses are read by hand: most requests are for these."""

from __future__ import annotations

import re

from planish.serve.overlay import LAYERS
from planish.serve.pictures import Asked, Pictures, Terms
from planish.serve.registry import Served
from planish.serve.responses import Response
from planish.serve.service import Service

PREFIX = "/api/slides/"
_ID = slice(len(PREFIX), len(PREFIX) + 16)
_NUMBER = "(0|[1-9][0-9]{0,6})"
_DZI = re.compile(rf"{PREFIX}([0-9a-f]{{16}})/dzi/([^/]+)_files/{_NUMBER}/{_NUMBER}_{_NUMBER}\.jpeg")
_XYZ = re.compile(rf"{PREFIX}([0-9a-f]{{16}})/xyz/([^/]+)/{_NUMBER}/{_NUMBER}/{_NUMBER}\.jpeg")
_CELLS = re.compile(rf"{PREFIX}([0-9a-f]{{16}})/focus/({'|'.join(LAYERS)})_files/{_NUMBER}/{_NUMBER}_{_NUMBER}\.png")


class Tiles:
    """Answers those who ask for tiles."""

    def __init__(self, service: Service, pictures: Pictures) -> None:
        self._service, self._pictures = service, pictures

    def at_once(self, path: str, terms: Terms) -> Response | None:
        """Return the answer where it is kept or the client has it; only the shape of Deep Zoom is looked for."""
        slide = self._service.registry.fresh(path[_ID])
        return None if slide is None else self._pictures.at_once(slide, path, terms)

    async def tile(self, path: str, terms: Terms) -> Response | None:
        """Return the answer, None where the path is no tile's; raise Problem where there is no such tile."""
        asked = _dzi(path) or _cells(path)
        if asked is None:
            found = _XYZ.fullmatch(path)
            if not found:
                return None
            asked = await self._xyz(*found.groups())
        return await self._pictures.picture(asked, terms)

    async def _xyz(self, slide: str, plane: str, zoom: str, column: str, row: str) -> Asked:
        async def level(served: Served) -> int:
            return (await self._service.facts(served)).level_of_zoom(int(zoom))

        number = await self._service.answered(slide, level)
        # By the address of Deep Zoom, whose tiles these are.
        return _tile(slide, plane, number, int(column), int(row))


def _dzi(path: str) -> Asked | None:
    found = _DZI.fullmatch(path)
    return found and _tile(found[1], found[2], int(found[3]), int(found[4]), int(found[5]))


def _tile(slide: str, plane: str, level: int, column: int, row: int) -> Asked:
    address = f"{PREFIX}{slide}/dzi/{plane}_files/{level}/{column}_{row}.jpeg"
    return Asked(slide, plane, address, {"kind": "tile", "level": level, "column": column, "row": row})


def _cells(path: str) -> Asked | None:
    found = _CELLS.fullmatch(path)
    if not found:
        return None
    level, column, row = (int(found[place]) for place in (3, 4, 5))
    fields = {"kind": "cell_tile", "level": level, "column": column, "row": row, "name": found[2], "format": "png"}
    return Asked(found[1], "best", path, fields)
