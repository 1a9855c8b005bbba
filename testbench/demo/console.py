"""What the terminal shows: one line per step, with the seconds since the start."""

import time


class Console:
    def __init__(self) -> None:
        self._began = time.monotonic()

    def say(self, name: str, text: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s  {name:<15} {text}", flush=True)

    def table(self, rows: dict[str, str]) -> None:
        width = max(map(len, rows))
        lines = [f"  {name:<{width}}  {text}" for name, text in rows.items()]
        print("\n".join(["", *lines, ""]), flush=True)
