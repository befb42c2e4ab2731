"""The morning report: what it says, in which order, and what it keeps to itself."""

from __future__ import annotations

import ast
import csv
import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from makers import container, make_stack
from planish.batch.entry import Entry
from planish.batch.report import Night, Totals, row, write_report
from planish.batch.thumbnails import FLAT_BYTES, HEATMAP_BYTES, pictures_of
from planish.batch.words import pasteable, size, span, text
from planish.convert import ConvertOptions, convert
from planish.errors import SlideError, WriteError
from planish.fuse.options import FuseOptions
from planish.report.thumbnail import write_png
from planish.slide.base import Slide

BEGAN = 1_700_000_000.0
HOSTILE = (
    "<script>alert(1)</script>.svs",
    "a\nb.svs",
    "\u202egpj.exe.svs",
    "\"'&quot;<img src=x onerror=alert(1)>.svs",
    '=HYPERLINK("http://x").svs',
    "javascript:alert(1).svs",
    "caf\udce9 é %2e#?.svs",
)
EMPTY = frozenset({"meta", "img", "input", "br", "link"})
NIGHT = Night(BEGAN, BEGAN + 3600, "1.2.3", ("planish", "batch", "/in", "/out"), Path("/in"), Path("/out"))
JPEG = cv2.imencode(".jpg", np.zeros((30, 40, 3), np.uint8))[1].tobytes()


def entry(number: int, name: str, **facts: Any) -> Entry:
    """Return a slide that was done, unless told otherwise."""
    relative = Path(name)
    done = {
        "state": "done", "attempts": 1, "begun": BEGAN + 10, "ended": BEGAN + 20, "seconds": 10.0, "peak_memory": 10**8,
        "tiles_copied": 30, "tiles_encoded": 10, "tile_planes_decoded": 7, "output_size": 2 * 10**6, "sha256": "ab",
    }  # fmt: skip
    known = {"size": 10**7, "mtime_ns": 10**18, "settings": "[]", **done, **facts}
    return Entry(number, relative, relative.with_suffix(".flat.tif"), **known)


FAILED: dict[str, Any] = {"state": "failed", "reason": "crashed", "message": "ended by SIGSEGV", "output_size": None}


def write(folder: Path, entries: list[Entry], night: Night = NIGHT, repeat: Any = lambda entry: "") -> Page:
    write_report(folder, night, lambda: iter(entries), lambda number: (JPEG, JPEG), repeat)
    return Page((folder / "planish-report.html").read_text(encoding="utf-8"))


class Page(HTMLParser):
    """A page that was read: its tags are balanced, its links and texts are known."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.source = source
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(source)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag, and that it waits for its end."""
        self.tags.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Fail unless it is the tag opened last."""
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.texts.append(data)

    def values(self, name: str) -> list[str]:
        """Return what all attributes of a name hold."""
        return [found for _, attributes in self.tags if (found := attributes.get(name)) is not None]

    @property
    def text(self) -> str:
        """All texts, on one line."""
        return " ".join(" ".join(self.texts).split())


def read_table(folder: Path) -> list[dict[str, str]]:
    with (folder / "planish-report.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def read_data(folder: Path) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads((folder / "planish-report.json").read_text(encoding="utf-8"), parse_constant=refuse)


def mixed() -> list[Entry]:
    return [
        entry(1, "a/fine.svs"),
        entry(2, "a/bad.svs", **FAILED),
        entry(3, "b/odd.svs", warnings=("3 planes were dropped", "in 4 of 9 cells, two planes are sharp at once")),
        entry(4, "b/earlier.svs", ended=BEGAN - 5, warnings=("in 2 of 9 cells, two planes are sharp at once",)),
        entry(5, "later.svs", state="waiting", attempts=0),
        entry(6, "gone.svs", state="missing", attempts=0),
    ]


def test_the_page_needs_nothing_but_itself_and_is_well_formed(tmp_path: Path) -> None:
    page = write(tmp_path, mixed(), replace(NIGHT, notes=("readme.txt: no slide",)))
    assert all(source.startswith("data:image/jpeg;base64,") for source in page.values("src"))
    links = page.values("href")
    assert links and all(re.match(r"#|[^/:]+(/[^/:]+)*$", link) for link in links)
    targets = {link[1:] for link in links if link.startswith("#")}
    assert targets <= set(page.values("id"))
    assert len(set(page.values("id"))) == len(page.values("id"))
    assert not {tag for tag, _ in page.tags} & {"link", "iframe", "object", "base"}
    assert "url(" not in page.source and "@import" not in page.source and "http:" not in page.source


def test_the_page_can_be_read_by_those_who_do_not_see_it(tmp_path: Path) -> None:
    page = write(tmp_path, mixed())
    by_tag = [tag for tag, _ in page.tags]
    assert page.tags[0] == ("html", {"lang": "en"})
    assert by_tag.count("h1") == 1 and by_tag.count("h2") == 4
    assert all(attributes.get("scope") in ("row", "col") for tag, attributes in page.tags if tag == "th")
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert all(picture["alt"] and picture["width"] == "40" and picture["loading"] == "lazy" for picture in pictures)


def test_warnings_come_before_failures_and_these_before_all_slides(tmp_path: Path) -> None:
    page = write(tmp_path, mixed(), replace(NIGHT, notes=("readme.txt: no slide",)))
    places = [page.source.index(f'<section id="{name}">') for name in
              ("warnings", "failures", "slides", "waiting", "notes")]  # fmt: skip
    assert places == sorted(places)
    assert page.text.index("3 of 6 slides done, 1 failed, 1 waiting, 1 missing") < places[0]


def test_slides_with_a_rare_kind_of_warning_come_first(tmp_path: Path) -> None:
    entries = [*mixed(), entry(7, "c.svs", warnings=("in 1 of 3 cells, two planes are sharp at once",))]
    page = write(tmp_path, entries)
    cards = page.source[page.source.index('class="cards"') : page.source.index('id="failures"')]
    assert re.findall(r'href="#s(\d+)"', cards) == ["3", "4", "7"]
    assert "3 in … of … cells, two planes are sharp at once" in page.text


def test_no_name_or_message_gets_into_the_markup(tmp_path: Path) -> None:
    entries = [
        changed
        for number, name in enumerate(HOSTILE)
        for changed in (
            entry(2 * number + 1, name, warnings=(name,), notes=(name,)),
            entry(2 * number + 2, f"x/{name}", **FAILED | {"message": name, "reason": name}),
        )
    ]
    night = replace(NIGHT, notes=HOSTILE, command=HOSTILE, settings=HOSTILE, version="<b>")
    plain = write(tmp_path, [replace(each, relative=Path("n"), warnings=("w",), notes=("n",), message="m", reason="r")
                             for each in entries])  # fmt: skip
    page = write(tmp_path, entries, night, lambda found: f"planish flatten {shlex.quote(str(found.relative))}")
    known = {tag for tag, _ in plain.tags} | {"section", "pre", "code"}
    assert {tag for tag, _ in page.tags} == known
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert "\u202e" not in page.source and "\udce9" not in page.source
    flats = [link for link in page.values("href") if link.endswith(".flat.tif")]
    assert "javascript%3Aalert%281%29.flat.tif" in flats
    assert "caf%E9%20%C3%A9%20%252e%23%3F.flat.tif" in flats


def test_links_lead_to_the_flat_slide_and_its_heatmap(tmp_path: Path) -> None:
    page = write(tmp_path, [entry(1, "Jänner 5/ä #1.svs")])
    links = [unquote(link) for link in page.values("href") if not link.startswith("#")]
    assert set(links) == {"Jänner 5/ä #1.flat.tif", "Jänner 5/ä #1.flat.heatmap.png"}


def test_a_failure_says_how_to_repeat_it(tmp_path: Path) -> None:
    page = write(tmp_path, mixed(), repeat=lambda found: f"planish flatten '/in/{found.relative}'")
    assert "<pre><code>planish flatten &#x27;/in/a/bad.svs&#x27;</code></pre>" in page.source
    assert "ended by SIGSEGV" in page.text


def test_a_command_with_signs_nobody_sees_can_be_pasted() -> None:
    word = "a\u202e\n'\\b\x1b1 \udce9ä"
    name, quoted = pasteable(shlex.join(["rm", word])).split(" ", 1)
    assert name == "rm" and quoted.isprintable() and quoted.startswith("$'")
    # Octal escapes of a shell are those of Python.
    bytes_of_word = ast.literal_eval(quoted[1:].replace("ä", "\\303\\244").join(("b", "")))
    assert bytes_of_word == word.encode("utf-8", "surrogateescape")
    assert pasteable("planish 'a b'") == "planish 'a b'"


def test_the_table_can_be_read_back(tmp_path: Path) -> None:
    entries = [entry(1, 'a, "b".svs', warnings=("one", "two"), settings='["--fuse", "soft"]'), *mixed()[1:]]
    write(tmp_path, entries)
    rows = read_table(tmp_path)
    assert list(rows[0]) == list(row(entries[0]))
    for found, each in zip(rows, entries, strict=True):
        values = {key: "\n".join(value) if isinstance(value, list) else value for key, value in row(each).items()}
        expected = values | {"settings": each.settings}
        assert found == {key: "" if value is None else str(value) for key, value in expected.items()}
    assert (tmp_path / "planish-report.csv").read_bytes().startswith(b"\xef\xbb\xbfid,name,")


@pytest.mark.parametrize("sign", ["=", "+", "-", "@"])
def test_no_cell_of_the_table_is_a_formula(tmp_path: Path, sign: str) -> None:
    write(tmp_path, [entry(1, f"{sign}1+1.svs", **FAILED | {"message": f"{sign}cmd|x"})])
    (found,) = read_table(tmp_path)
    assert (found["name"], found["message"]) == (f"'{sign}1+1.svs", f"'{sign}cmd|x")


def test_the_data_are_strict_json_with_times_in_utc(tmp_path: Path) -> None:
    entries = [*mixed(), entry(7, "caf\udce9.svs", seconds=None, message="\udce9")]
    write(tmp_path, entries)
    data = read_data(tmp_path)
    assert list(data) == ["night", "totals", "slides"]
    assert data["night"]["began"] == "2023-11-14T22:13:20+00:00"
    assert data["night"]["source"] == "/in"
    assert data["totals"]["slides"] == 7 and data["totals"]["share_copied"] == 0.75
    assert [slide["id"] for slide in data["slides"]] == [1, 2, 3, 4, 5, 6, 7]
    assert data["slides"][6]["seconds"] is None
    assert (data["slides"][6]["name"], data["slides"][6]["message"]) == ("caf\\udce9.svs", "?")


def test_totals_tell_this_night_from_those_before() -> None:
    totals = Totals.of(mixed(), BEGAN)
    assert (totals.slides, totals.done, totals.done_before, totals.warned) == (6, 3, 1, 2)
    assert (totals.bytes_in, totals.bytes_out) == (3 * 10**7, 6 * 10**6)
    assert (totals.longest_seconds, totals.longest_name) == (10.0, "a/fine.svs")
    assert totals.verdict == "3 of 6 slides done, 1 failed, 1 waiting, 1 missing"


@pytest.mark.parametrize(
    ("states", "verdict"),
    [
        ([], "No slides found"),
        (["done"], "1 slide, done"),
        (["done", "done"], "All 2 slides done"),
        (["failed"], "0 of 1 slide done, 1 failed"),
        (["done", "running"], "1 of 2 slides done, 1 running"),
    ],
)
def test_the_verdict(states: list[str], verdict: str) -> None:
    assert Totals.of([entry(1, "a.svs", state=state) for state in states], BEGAN).verdict == verdict


def test_a_night_without_slides(tmp_path: Path) -> None:
    page = write(tmp_path, [])
    assert "No slides found" in page.text
    assert not [tag for tag, _ in page.tags if tag in ("table", "nav", "script", "section")]
    assert read_table(tmp_path) == []
    assert read_data(tmp_path)["slides"] == []


def test_a_night_that_did_not_end_well_says_so(tmp_path: Path) -> None:
    page = write(tmp_path, mixed(), replace(NIGHT, interrupted=True, paused=75.0))
    assert "Interrupted: 3 of 6 slides done" in page.text
    assert "paused 1 min 15 s" in page.text
    assert "Still running: 3 of 6" in write(tmp_path, mixed(), replace(NIGHT, ended=None)).text


def test_without_names_nothing_is_left_of_them(tmp_path: Path) -> None:
    secret = "Jane Doe"
    entries = [
        replace(each, output=Path(f"{each.id:06d}.flat.tif"))
        for each in (
            entry(1, f"{secret}/{secret}.svs", warnings=(f"/in/{secret}/x.svs: odd",), notes=(f"{secret}: no",)),
            entry(
                2, f"{secret}.svs", **FAILED | {"message": f"/in/{secret}.svs: its header is damaged; export it again"}
            ),
            entry(3, f"{secret} 3.svs", state="waiting", settings=json.dumps(["--map", f"/in/{secret}.json"])),
        )
    ]
    entries[0] = replace(entries[0], notes=(f"/in/{secret}.svs: changed",))
    night = Night(BEGAN, BEGAN + 1, "1", (secret,), Path(f"/in/{secret}"), Path(f"/out/{secret}"),
                  ("--map", f"/in/{secret}.json"), (f"/in/{secret}.txt: no slide",), deid=True)  # fmt: skip
    page = write(tmp_path, entries, night, lambda found: f"planish flatten {found.relative}")
    assert "slide 000002" in page.text and "its header is damaged; export it again" in page.text
    for path in tmp_path.iterdir():
        content = path.read_text(encoding="utf-8")
        assert "Jane" not in content and "Doe" not in content and "/in" not in content, path.name


def test_slides_are_taken_one_after_the_other(tmp_path: Path) -> None:
    events: list[str] = []

    def entries() -> Iterator[Entry]:
        for number in range(1, 4):
            events.append(f"entry {number}")
            yield entry(number, f"{number}.svs")

    def pictures(number: int) -> None:
        events.append(f"pictures {number}")

    write_report(tmp_path, NIGHT, entries, pictures, lambda found: "")
    first = events.index("pictures 1")
    assert events[first - 1 : first + 5] == ["entry 1", "pictures 1", "entry 2", "pictures 2", "entry 3", "pictures 3"]


def test_a_report_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    write(tmp_path, mixed())
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert sorted(before) == ["planish-report.csv", "planish-report.html", "planish-report.json"]

    def pictures(number: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(WriteError, match="nothing was left there"):
        write_report(tmp_path, NIGHT, lambda: iter([entry(1, "a.svs")]), pictures, lambda found: "")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_slide_whose_pictures_are_no_jpeg_is_listed_all_the_same(tmp_path: Path) -> None:
    write_report(tmp_path, NIGHT, lambda: iter([entry(1, "a.svs")]), lambda number: (b"?", b""), lambda found: "")
    assert "a.svs" in Page((tmp_path / "planish-report.html").read_text(encoding="utf-8")).text


def test_figures_in_words() -> None:
    assert [size(count) for count in (None, 0, 999, 999_900, 12_345_678, 10**12)] == [
        "–", "0 bytes", "999 bytes", "1 MB", "12.3 MB", "1 TB",
    ]  # fmt: skip
    assert [span(seconds) for seconds in (None, 3.21, 59.97, 75, 3599.6, 26_000)] == [
        "–", "3.2 s", "1 min", "1 min 15 s", "1 h 00 min", "7 h 13 min",
    ]  # fmt: skip
    assert text("\x1b\u202e<\udce9") == "\\x1b\\u202e&lt;\\udce9"


Flattened = Callable[..., tuple[Path, Path]]


@pytest.fixture
def flattened(tmp_path: Path) -> Flattened:
    """Return a function that flattens a stack and draws its heatmap."""

    def run(stack: NDArray[Any], method: Any = "hybrid") -> tuple[Path, Path]:
        flat, heatmap = tmp_path / "a.flat.tif", tmp_path / "a.flat.heatmap.png"
        convert(container(tmp_path, stack), flat, ConvertOptions(fuse=FuseOptions(method), heatmap=heatmap))
        return flat, heatmap

    return run


def decoded(data: bytes) -> NDArray[Any]:
    assert data.startswith(b"\xff\xd8")
    found: NDArray[Any] | None = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert found is not None
    return found


def test_pictures_are_small_and_decode_no_large_level(flattened: Flattened, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = np.tile(make_stack(), (1, 4, 4, 1))
    flat, heatmap = flattened(stack)
    levels = set()
    decode = Slide.read_tile

    def noted(self: Slide, level: int, *place: int) -> NDArray[Any]:
        levels.add(level)
        return decode(self, level, *place)

    monkeypatch.setattr(Slide, "read_tile", noted)
    small, drawn = pictures_of(flat, heatmap)
    assert 0 not in levels
    assert len(small) <= FLAT_BYTES and len(drawn) <= HEATMAP_BYTES
    assert decoded(small).shape == (241, 320, 3)
    assert max(decoded(drawn).shape) <= 900


@pytest.mark.parametrize(("method", "least", "most"), [("select", 1.0, 1.6), ("hybrid", 2.0, 3.2)])
def test_the_heatmap_is_cut_to_its_panels(flattened: Flattened, method: str, least: float, most: float) -> None:
    """One panel has nearly the shape of the slide; two stand beside each other."""
    height, width, _ = decoded(pictures_of(*flattened(make_stack(), method))[1]).shape
    assert least < width / height < most


def test_a_picture_that_is_no_heatmap_is_shown_whole(flattened: Flattened) -> None:
    flat, heatmap = flattened(make_stack())
    write_png(np.zeros((1000, 3000, 3), np.uint8), heatmap, overwrite=True)
    assert decoded(pictures_of(flat, heatmap)[1]).shape == (300, 900, 3)


@pytest.mark.parametrize("content", [None, b"", b"no picture"])
def test_a_damaged_heatmap_is_named(flattened: Flattened, content: bytes | None) -> None:
    flat, heatmap = flattened(make_stack())
    heatmap.unlink()
    if content is not None:
        heatmap.write_bytes(content)
    with pytest.raises(SlideError, match=r"a\.flat\.heatmap\.png: .*flatten the slide again"):
        pictures_of(flat, heatmap)


def test_pictures_need_no_drawing_library(flattened: Flattened) -> None:
    flat, heatmap = flattened(make_stack())
    code = (
        "import sys; from pathlib import Path; import planish.batch.report;"
        "from planish.batch.thumbnails import pictures_of; pictures_of(Path(sys.argv[1]), Path(sys.argv[2]));"
        "print([name for name in ('matplotlib', 'openslide', 'pyvips', 'cupy') if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(flat), str(heatmap)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_of_many_slides_only_some_have_pictures_and_the_page_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("planish.batch.pagepictures.MOST", 2)
    entries = [entry(number, f"{number}.svs", ended=BEGAN + number % 4) for number in range(1, 7)]
    entries[0] = replace(entries[0], warnings=("odd",))
    page = write(tmp_path, entries)
    pictured = re.findall(r'<tbody id="s(\d+)"[^>]*><tr>(?:(?!</tbody>).)*class="pictures"', page.source, re.DOTALL)
    assert pictured == ["1", "3", "6"]
    assert "of the 2 others done last; those of the other 3 are left out" in page.text
    assert len(re.findall("<tbody id=", page.source)) == 6
