"""From a frame to a figure. Pure: no database, no page, no clock."""
