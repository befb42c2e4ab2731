"""The morning report as one HTML page that needs nothing but itself."""

from __future__ import annotations

import hashlib
import re
import shlex
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from importlib.resources import files
from typing import TYPE_CHECKING, TextIO

from planish.batch.entry import Entry, shown
from planish.batch.pagepictures import Newest, Pictures, both, picture
from planish.batch.words import href, many, moment, pasteable, size, span, text

if TYPE_CHECKING:
    from planish.batch.report import Night, Totals

Repeat = Callable[[Entry], str]
"""From an entry to the command that flattens it again, quoted for a shell; empty where it is not to be told."""
_SCRIPT = """\
const table = document.getElementById("all"), find = document.getElementById("find"),
  order = document.getElementById("order"), rows = [...table.tBodies];
find.oninput = () => { const word = find.value.toLowerCase();
  for (const row of rows) row.hidden = !row.dataset.words.toLowerCase().includes(word); };
order.onchange = () => { const key = order.value;
  table.append(...[...rows].sort((a, b) => key ? b.dataset[key] - a.dataset[key] : 0)); };
document.getElementById("tools").hidden = false;
"""


def write_page(
    file: TextIO,
    night: Night,
    totals: Totals,
    entries: Callable[[], Iterable[Entry]],
    pictures: Pictures,
    repeat: Repeat,
) -> None:
    """Write the page piece by piece; see `planish.batch.report.write_report`."""
    troubled, newest = list[Entry](), Newest()
    for entry in entries():
        if entry.warnings or entry.state == "failed":
            troubled.append(entry)
        elif entry.state == "done":
            newest.offer(entry)
    warned = [entry for entry in troubled if entry.state == "done"]
    failed = [entry for entry in troubled if entry.state == "failed"]
    file.writelines(_head(night, totals))
    file.writelines(_warnings(warned, pictures))
    file.writelines(_failures(failed, repeat))
    file.writelines(_all(entries(), pictures, newest, totals.done + totals.failed))
    file.writelines(_waiting(entries(), totals))
    file.writelines(_foot(night, scripted=totals.done + totals.failed > 0))


def _head(night: Night, totals: Totals) -> Iterator[str]:
    style = files("planish.batch").joinpath("report.css").read_text(encoding="utf-8")
    digest = b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
    # Whatever a slide is called: the page loads nothing, and runs nothing but the lines above.
    policy = f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    so_far = "Interrupted: " if night.interrupted else "Still running: " if night.ended is None else ""
    verdict = text(so_far + totals.verdict)
    yield f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{verdict} · planish</title>
<style>
{style}</style>
</head>
<body>
<header>
<p class="brand">planish · overnight batch</p>
<h1>{verdict}</h1>
<p class="quiet">{_when(night)}</p>
{_share(totals)}
<dl class="totals">
"""
    yield from (f"<div><dt>{name}</dt><dd>{value}</dd></div>\n" for name, value in _figures(night, totals))
    yield "</dl>\n" + _contents(night, totals) + "</header>\n<main>\n"


def _when(night: Night) -> str:
    begin = moment(night.began)
    parts = [f"{begin} to {moment(night.ended)}" if night.ended is not None else f"since {begin}"]
    if night.paused:
        parts.append(f"paused {span(night.paused)}, for want of space or of IN")
    return " · ".join(parts)


def _share(totals: Totals) -> str:
    counts = {
        "done": totals.done - totals.warned,
        "warned": totals.warned,
        "failed": totals.failed,
        "waiting": totals.waiting + totals.running + totals.missing,
    }
    parts = [f'<i class="{kind}" style="flex:{count}"></i>' for kind, count in counts.items() if count]
    return f'<div class="share" aria-hidden="true">{"".join(parts)}</div>' if parts else ""


def _figures(night: Night, totals: Totals) -> Iterator[tuple[str, str]]:
    before = f"<small>{totals.done_before:,} of them before this night</small>" if totals.done_before else ""
    warned = f'<small class="warned">{totals.warned:,} with warnings</small>' if totals.warned else ""
    yield "Slides", f"{totals.slides:,}"
    yield "Done", f"{totals.done:,}{before}{warned}"
    yield "Failed", f'<span class="failed">{totals.failed:,}</span>' if totals.failed else "0"
    if left := totals.waiting + totals.running + totals.missing:
        counts = {"waiting": totals.waiting, "running": totals.running, "missing": totals.missing}
        yield "Not done", f"{left:,}<small>{', '.join(f'{n:,} {state}' for state, n in counts.items() if n)}</small>"
    yield "Read", f"{size(totals.bytes_in)}<small>slides done</small>"
    yield "Written", f"{size(totals.bytes_out)}<small>flat slides</small>"
    if totals.share_copied is not None:
        counted = f"{totals.tiles_copied:,} copied, {totals.tiles_encoded:,} encoded"
        yield "Tiles copied", f"{_percent(totals.share_copied)}<small>{counted}</small>"
    if night.seconds is not None:
        yield "Wall time", span(night.seconds)
    if totals.longest_seconds is not None:
        yield "Longest slide", f"{span(totals.longest_seconds)}<small>{text(totals.longest_name)}</small>"
    if totals.largest_memory is not None:
        yield "Largest memory", f"{size(totals.largest_memory)}<small>{text(totals.largest_name)}</small>"


def _percent(share: float) -> str:
    """Return a share that is 0 or 100 % only where it is all or nothing."""
    return f"{100 * share if share in (0, 1) else min(max(100 * share, 0.1), 99.9):.3g}\N{NO-BREAK SPACE}%"


def _contents(night: Night, totals: Totals) -> str:
    counts = {
        "warnings": ("Warnings", totals.warned),
        "failures": ("Failures", totals.failed),
        "slides": ("All slides", totals.done + totals.failed),
        "waiting": ("Not done", totals.waiting + totals.running + totals.missing),
        "notes": ("Passed over", len(night.notes)),
    }
    links = [f'<a href="#{place}">{name} ({count:,})</a>' for place, (name, count) in counts.items() if count]
    return f'<nav aria-label="Contents">{" ".join(links)}</nav>\n' if links else ""


def _warnings(entries: list[Entry], pictures: Pictures) -> Iterator[str]:
    """Sort slides by their rarest kind of warning: what all slides have says little of one."""
    if not entries:
        return
    yield f'<section id="warnings">\n<h2>Warnings <span>{many(len(entries), "slide")} to look at</span></h2>\n'
    counts = Counter(kind for entry in entries for kind in {_kind(warning) for warning in entry.warnings})
    kinds = sorted(counts, key=lambda kind: (counts[kind], kind))
    yield '<ul class="kinds">\n'
    yield from (f"<li><b>{counts[kind]:,}</b> {text(kind)}</li>\n" for kind in kinds)
    yield '</ul>\n<ul class="cards">\n'
    rank = {kind: index for index, kind in enumerate(kinds)}
    for entry in sorted(entries, key=lambda entry: (min(rank[_kind(warning)] for warning in entry.warnings), entry.id)):
        flat = picture((pictures(entry.id) or (b"", b""))[0], f"{entry.name}, flat")
        said = "".join(f"<p>{text(warning)}</p>" for warning in entry.warnings)
        yield f'<li><div>{flat}</div><div><h3><a href="#s{entry.id}">{text(entry.name)}</a></h3>{said}</div></li>\n'
    yield "</ul>\n</section>\n"


def _kind(warning: str) -> str:
    """Return a warning without its figures."""
    return re.sub(r"\d+(?:[.,]\d+)*", "…", warning)


def _failures(entries: list[Entry], repeat: Repeat) -> Iterator[str]:
    if not entries:
        return
    reasons = Counter(entry.reason for entry in entries).most_common()
    summary = ", ".join(f"{count:,} {text(reason or 'of unknown reason')}" for reason, count in reasons)
    yield f"""<section id="failures">
<h2>Failures <span>{len(entries):,} failed</span></h2>
<p class="quiet">{summary}</p>
<table>
<thead><tr><th scope="col">Slide</th><th scope="col">Reason</th><th scope="col">Attempts</th><th scope="col">What it \
said, and how to repeat it</th></tr></thead>
"""
    for entry in sorted(entries, key=lambda entry: (entry.reason, entry.id)):
        command = repeat(entry)
        code = f"<pre><code>{text(pasteable(command))}</code></pre>" if command else ""
        yield f"""<tbody id="f{entry.id}"><tr><th scope="row">{text(entry.name)}</th>
<td class="failed" data-label="Reason">{text(entry.reason)}</td>
<td data-label="Attempts">{entry.attempts:,}<small>last {span(entry.seconds)}, {size(entry.peak_memory)}</small></td>
<td class="wide"><p class="said">{text(entry.message)}</p>{_notes(entry)}{code}</td></tr></tbody>
"""
    yield "</table>\n</section>\n"


def _notes(entry: Entry) -> str:
    return "".join(f"<small>{text(note)}</small>" for note in entry.notes)


def _all(entries: Iterable[Entry], pictures: Pictures, newest: Newest, count: int) -> Iterator[str]:
    if not count:
        return
    yield f"""<section id="slides">
<h2>All slides <span>{count:,} done or failed</span></h2>
<div class="tools" id="tools" hidden>
<label>Find<input type="search" id="find"></label>
<label>Order<select id="order"><option value="">as found</option><option value="seconds">longest first</option>\
<option value="memory">most memory first</option><option value="bytes">largest first</option></select></label>
</div>
{newest.said()}<table id="all">
<thead><tr><th scope="col">Slide</th>"""
    columns = ("Time", "Memory", "Source", "Flat slide", "Tiles copied", "Tile-planes decoded")
    yield "".join(f'<th scope="col" class="number">{name}</th>' for name in columns) + "</tr></thead>\n"
    chosen = newest.ids()
    for entry in entries:
        if entry.state in ("done", "failed"):
            wanted = entry.state == "done" and (entry.warnings or entry.id in chosen)
            yield _row(entry, pictures(entry.id) if wanted else None, columns)
    yield "</table>\n</section>\n"


def _row(entry: Entry, found: tuple[bytes, bytes] | None, columns: tuple[str, ...]) -> str:
    done = entry.state == "done"
    name = f'<a href="{href(entry.output)}">{text(entry.name)}</a>' if done else text(entry.name)
    failed = f'<small><a class="failed" href="#f{entry.id}">failed: {text(entry.reason)}</a></small>'
    warned = f'<small class="warned">{many(len(entry.warnings), "warning")}</small>' if entry.warnings and done else ""
    values = (span(entry.seconds), size(entry.peak_memory), size(entry.size), size(entry.output_size), _tiles(entry))
    decoded = "–" if entry.tile_planes_decoded is None else f"{entry.tile_planes_decoded:,}"
    cells = "".join(
        f'<td data-label="{column}">{value}</td>' for column, value in zip(columns, (*values, decoded), strict=True)
    )
    words = text(f"{entry.name} {entry.state} {entry.reason}{' warning' if warned else ''}".replace("\n", " "))
    return (
        f'<tbody id="s{entry.id}" data-words="{words}" data-seconds="{entry.seconds or 0:g}"'
        f' data-memory="{entry.peak_memory or 0}" data-bytes="{entry.size}">'
        f'<tr><th scope="row">{name}{warned if done else failed}{_notes(entry) if done else ""}</th>{cells}</tr>\n'
        f"{both(entry, *found) if found else ''}</tbody>\n"
    )


def _tiles(entry: Entry) -> str:
    if entry.tiles_copied is None or entry.tiles_encoded is None:
        return "–"
    tiles = entry.tiles_copied + entry.tiles_encoded
    share = _percent(entry.tiles_copied / tiles) if tiles else "–"
    return f"{share}<small>{entry.tiles_copied:,} of {tiles:,}</small>"


def _waiting(entries: Iterable[Entry], totals: Totals) -> Iterator[str]:
    count = totals.waiting + totals.running + totals.missing
    if not count:
        return
    yield f'<section id="waiting">\n<h2>Not done <span>{many(count, "slide")}</span></h2>\n<ul class="plain">\n'
    for entry in entries:
        if entry.state in ("waiting", "running", "missing"):
            state: str = "source no longer there" if entry.state == "missing" else entry.state
            state += f", last time: {text(entry.reason)}" if entry.reason else ""
            yield f'<li>{text(entry.name)} <span class="quiet">{state}</span></li>\n'
    yield "</ul>\n</section>\n"


def _foot(night: Night, *, scripted: bool) -> Iterator[str]:
    if night.notes:
        yield '<section id="notes">\n<h2>Passed over <span>while looking for slides</span></h2>\n<ul class="plain">\n'
        yield from (f"<li>{text(note)}</li>\n" for note in night.notes)
        yield "</ul>\n</section>\n"
    facts = {
        "planish": night.version,
        "Command": pasteable(shlex.join(night.command)),
        "From": shown(night.source) if night.source else "",
        "To": shown(night.output) if night.output else "",
        "Settings": pasteable(shlex.join(night.settings)) or "defaults of planish flatten",
        "Names": "kept apart (--deid-names)" if night.deid else "",
    }
    yield "</main>\n<footer>\n<dl>\n"
    yield from (f"<dt>{name}</dt><dd>{text(value)}</dd>\n" for name, value in facts.items() if value)
    script = f"<script>{_SCRIPT}</script>\n" if scripted else ""
    yield f"</dl>\n</footer>\n{script}</body>\n</html>\n"
