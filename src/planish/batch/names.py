"""The table that says which slide has which number, kept apart from all outputs."""

from __future__ import annotations

import csv
import io
import secrets
from contextlib import ExitStack
from pathlib import Path

from planish.batch.lock import held
from planish.errors import OptionError, PlanishError
from planish.files import replacing

_HEAD = ["slide", "source"]


class NameTable:
    """Numbers and names of slides, as a CSV file.

    It is written anew whenever slides were entered, whole or not at all. Bytes that are no UTF-8 stay as they are. Its
    first line also holds a token, by which the ledger knows it: numbers alone fit any other ledger as well.

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
        self.token: str
        self._names: dict[int, Path]
        self._unsaved = False
        self._held = ExitStack()
        self._load()

    def _load(self) -> None:
        self.token, self._names = "", {}
        if not self.path.exists():
            return
        try:
            text = self.path.read_bytes().decode("utf-8", "surrogateescape")
            rows = list(csv.reader(io.StringIO(text, newline=""), strict=True))
            if rows[0][:2] != _HEAD:
                raise ValueError(f"begins with {rows[0]}, not with {_HEAD}")
            self.token = "".join(rows[0][2:3])
            # A spreadsheet makes all rows as long as the first.
            self._names = {int(number): Path(name) for number, name, *_ in rows[1:]}
        except (OSError, ValueError, IndexError, csv.Error) as error:
            raise PlanishError(f"{self.path}: no table of slides and names ({error}); name the right file") from error

    def hold(self) -> None:
        """Let nobody else hold it until `release`, and take in what others wrote before.

        Raises
        ------
        Occupied
            Where somebody else holds it.
        PlanishError
            Where it cannot be read any more, or nothing be written beside it.
        """
        self._held.enter_context(
            held(self.path.with_name(f".{self.path.name}.lock"), f"{self.path}: another planish batch uses it")
        )
        self._load()

    def release(self) -> None:
        """Let others hold it."""
        self._held.close()

    def claim(self) -> str:
        """Become the table of one ledger alone; return the token by which that knows it."""
        self.token, self._unsaved = f"planish-{secrets.token_hex(8)}", True
        return self.token

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
        head = [*_HEAD, self.token]
        csv.writer(text).writerows([head, *([number, str(name)] for number, name in sorted(self._names.items()))])
        with replacing(self.path, overwrite=True) as temporary:
            temporary.touch(mode=0o600)  # for nobody but who runs this: it is what the outputs are kept free of
            temporary.write_bytes(text.getvalue().encode("utf-8", "surrogateescape"))
        self._unsaved = False

    def all(self) -> dict[int, Path]:
        """Return the names by number."""
        return dict(self._names)
