"""A stand-in for DOJOT 0.7.1 on a real broker and a real HTTP server. It is not DOJOT.

``python -m testbench.dojot`` runs it; ``running()`` is the same inside a test.
"""

from testbench.dojot.faults import Faults
from testbench.dojot.stand_in import StandIn, running

__all__ = ["Faults", "StandIn", "running"]
