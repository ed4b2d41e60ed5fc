"""`python -m salient`: gunicorn, once its own settings can be read.

gunicorn reads WEB_CONCURRENCY while it is imported, before its configuration file, and ends in a
traceback where that is no number.
"""

import sys
from importlib import import_module


def main() -> int:
    """Serve; the arguments are gunicorn's."""
    # Imported here, so that Ctrl-C ends this too without a traceback.
    from salient.environment import values  # noqa: PLC0415
    from salient.environment.reader import Environment  # noqa: PLC0415
    from salient.security import checks  # noqa: PLC0415

    env = Environment()
    values.serving(env)
    if env.problems:
        # Among all that is wrong.
        return checks.main()
    # Only now: see above.
    gunicorn = import_module("gunicorn.__main__")
    # What gunicorn starts anew when it replaces itself (SIGUSR2).
    sys.argv[0] = str(gunicorn.__file__)
    gunicorn.run(prog="gunicorn")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
