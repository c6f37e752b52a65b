"""`python -m realtape`: the command line."""

from __future__ import annotations

from realtape.cli import main

main(prog_name="realtape")
