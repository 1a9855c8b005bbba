"""``python -m eletroposto`` is the command ``eletroposto``."""

from eletroposto.cli import main

main()
