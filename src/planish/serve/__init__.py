"""SHOW, live: slides, planes, the flat slide and the focus map over HTTP."""
