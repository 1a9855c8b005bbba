"""The central system with short periods where a test waits for one to pass.

``python -m tests.acceptance.hasty_ingest``; what happens when they have passed is the same.
"""

import sys

from ingest import configuring, presence
from ingest.__main__ import main

SILENCE_S = 2.0

if __name__ == "__main__":
    configuring._SILENCE_BEFORE_TRIGGER_S = SILENCE_S
    presence._SIGN_OF_LIFE_S = 0.5
    sys.exit(main())
