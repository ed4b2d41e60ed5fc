#!/usr/bin/env python
"""Django's command line, for people who run Salient."""

import os
import sys

from django.core.management import execute_from_command_line

from salient.database import explain


def main() -> None:
    """Run the command; a database that cannot be used is one line, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "salient.settings")
    try:
        execute_from_command_line(sys.argv)
    except Exception as error:
        line = explain(error)
        if line is None or "--traceback" in sys.argv:
            raise
        sys.exit(f"manage.py: {line}")


if __name__ == "__main__":
    main()
