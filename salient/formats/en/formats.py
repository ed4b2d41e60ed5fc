"""Dates as all pages write them: short, with the day first, 24 hours, and the zone's name."""

DATE_FORMAT = "j M Y"
TIME_FORMAT = "H:i"
DATETIME_FORMAT = "j M Y, H:i e"
