"""`python -m salient.database`: whether the database can be used; one line and exit 1 if not."""

import os
import sys

from salient.database import check_server, explain


def main() -> str | None:
    """Return the problem in one line, or None."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "salient.settings")
    try:
        check_server()
    except Exception as error:
        line = explain(error)
        if line is None:
            raise
        return f"salient: {line}"
    return None


if __name__ == "__main__":
    sys.exit(main())
