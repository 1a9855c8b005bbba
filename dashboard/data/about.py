"""What the database says about itself."""

import pandas as pd

from dashboard.data import asking


def dictionary() -> pd.DataFrame:
    """view_name, column_name, type_name, column_comment, view_comment of report."""
    return asking.settled("dictionary")
