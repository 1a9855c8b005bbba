"""The pages: each file is run from top to bottom."""
