"""The tables of a ledger."""

VERSION = 1
APPLICATION = 0x706C6E73
"""``plns``, which tells a ledger from other people's SQLite files."""
SCHEMA = """
CREATE TABLE slides (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    source BLOB UNIQUE,            -- below IN, as the bytes of its path; null where names are kept apart
    output BLOB NOT NULL,          -- below OUT
    state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed', 'missing')),
    size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, settings TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    not_before REAL NOT NULL DEFAULT 0,   -- waits at least so long, seconds since 1970
    before TEXT NOT NULL DEFAULT '',      -- what lay at the output's place when the attempt began
    begun REAL, ended REAL, seconds REAL, peak_memory INTEGER,
    reason TEXT NOT NULL DEFAULT '', message TEXT NOT NULL DEFAULT '',
    tiles_copied INTEGER, tiles_encoded INTEGER, tile_planes_decoded INTEGER,
    output_size INTEGER, sha256 TEXT NOT NULL DEFAULT '',
    warnings TEXT NOT NULL DEFAULT '[]', notes TEXT NOT NULL DEFAULT '[]'
);
CREATE INDEX states ON slides (state, not_before);
CREATE TABLE pictures (id INTEGER PRIMARY KEY REFERENCES slides (id), slide BLOB NOT NULL, heatmap BLOB NOT NULL);
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
