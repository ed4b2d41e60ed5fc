"""`python -m salient.environment`: whether a server can start with the settings and their database.

Prints what is wrong, one line each, and exits with 1.
"""

import os
import sys

from salient.database import check_server, explain
from salient.security import checks


def main() -> int | str:
    """Return the exit code; gunicorn.conf.py runs this."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "salient.settings")
    if code := checks.main():
        return code
    try:
        check_server()
    except Exception as error:
        line = explain(error)
        if line is None:
            raise
        return f"salient: {line}"
    return 0


if __name__ == "__main__":
    sys.exit(main())
