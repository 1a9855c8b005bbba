"""Breaking real processes on purpose, and counting what is left: ``python -m tests.faults``."""
