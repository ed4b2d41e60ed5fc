#!/usr/bin/env python
"""Django's command line, for people who run Salient."""

import os
import sys


def main() -> None:
    """Run the command; settings or a database that cannot be used are lines, not a traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "salient.settings")
    try:
        # Imported here, so that Ctrl-C ends these second-long imports without a traceback too.
        from django.core.management import execute_from_command_line  # noqa: PLC0415

        execute_from_command_line(sys.argv)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        lines = [] if "--traceback" in sys.argv else explained(error)
        if not lines:
            raise
        sys.exit("\n".join(f"manage.py: {line}" for line in lines))


def explained(error: Exception) -> list[str]:
    if isinstance(error, ModuleNotFoundError) and sys.prefix == sys.base_prefix:
        return [
            f"{sys.executable} has no module {error.name}: call .venv/bin/python manage.py, "
            "which make run sets up"
        ]
    from salient.environment.reader import SettingsError  # noqa: PLC0415 - only where something failed

    if isinstance(error, SettingsError):
        return error.lines
    # It asks for the settings, so it comes after them.
    from salient.database import explain  # noqa: PLC0415

    line = explain(error)
    return [line] if line else []


if __name__ == "__main__":
    main()
