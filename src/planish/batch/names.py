"""The table that says which slide has which number, kept apart from all outputs."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from planish.errors import OptionError, PlanishError
from planish.files import replacing

_HEAD = ["slide", "source"]


class NameTable:
    """Numbers and names of slides, as a CSV file.

    It is written anew whenever slides were entered, whole or not at all. Bytes that are no UTF-8 stay as they are.

    Parameters
    ----------
    path : Path
        The file; made with the first slide.
    outside : Path
        The output folder, in which it may not lie.

    Raises
    ------
    OptionError
        Where it would lie among the outputs.
    PlanishError
        Where it cannot be read as such a table.
    """

    def __init__(self, path: Path, outside: Path) -> None:
        if outside.resolve() in path.resolve().parents:
            raise OptionError(f"{path}: lies in {outside}, beside what is to be without names; keep it elsewhere")
        if not path.parent.is_dir():
            raise OptionError(f"{path.parent}: no such folder; make it first")
        self.path = path
        self._names: dict[int, Path] = {}
        self._unsaved = False
        if path.exists():
            self._load()

    def _load(self) -> None:
        try:
            text = self.path.read_bytes().decode("utf-8", "surrogateescape")
            rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
            if rows[0] != _HEAD:
                raise ValueError(f"begins with {rows[0]}, not with {_HEAD}")
            self._names = {int(number): Path(name) for number, name in rows[1:]}
        except (OSError, ValueError, IndexError, csv.Error) as error:
            raise PlanishError(f"{self.path}: no table of slides and names ({error}); name the right file") from error

    def add(self, number: int, name: Path) -> None:
        """Enter a slide; `save` writes it."""
        self._names[number] = name
        self._unsaved = True

    def save(self) -> None:
        """Write the table if anything was entered.

        Raises
        ------
        WriteError
            Where it cannot be written.
        """
        if not self._unsaved:
            return
        text = io.StringIO(newline="")
        csv.writer(text).writerows([_HEAD, *([number, str(name)] for number, name in sorted(self._names.items()))])
        with replacing(self.path, overwrite=True) as temporary:
            temporary.touch(mode=0o600)  # for nobody but who runs this: it is what the outputs are kept free of
            temporary.write_bytes(text.getvalue().encode("utf-8", "surrogateescape"))
        self._unsaved = False

    def all(self) -> dict[int, Path]:
        """Return the names by number."""
        return dict(self._names)
