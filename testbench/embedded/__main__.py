"""Fetch and unpack the programs: ``python -m testbench.embedded``. Interrupted, it tidies up."""

import logging
import sys

from testbench.embedded import EmbeddedUnavailable, runtime

_ADVICE = (
    "is the Debian registry reachable from here (network, proxy)? ELETROPOSTO_APT_MIRROR names"
    " another, docs/embedded.md says more"
)


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        runtime.install()
    except EmbeddedUnavailable as exc:
        print(f"{exc.cause}; {_ADVICE}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
