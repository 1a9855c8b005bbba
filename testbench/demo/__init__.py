"""Everything on one machine: 30 days through the websocket, then live charging."""

from testbench.demo.stage import main

__all__ = ["main"]
