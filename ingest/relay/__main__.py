"""``python -m ingest.relay``: the relay with the settings of the environment."""

import sys

from ingest.relay.main import main

if __name__ == "__main__":
    sys.exit(main())
