"""How gunicorn serves Salient; sizes and the address come from the environment."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.workers.base import Worker

from salient.environment import values
from salient.environment.reader import Environment
from salient.observability import multiprocess
from salient.observability.logs import gunicorn_config

wsgi_app = "salient.asgi:application"
# Wrong values are reported at the start, with those of all other settings.
bind, workers = values.serving(Environment())
START_WORKER = values.start_worker(Environment())
worker_class = "salient.api.worker.Worker"  # takes uvloop where it is installed
worker_connections = 4_000
# As many may connect at once; gunicorn's 2,048 made the last of two thousand wait for a minute.
# The kernel's net.core.somaxconn is the upper limit.
backlog = 4_096
# A worker whose event loop stood still for this long is replaced.
timeout = 60
# When a client leaves, the turn is settled: at worst that waits 3 s for a connection and 5 s for
# the statement (its timeout), twice if it had to be tried anew. Only then is the task cancelled.
asgi_disconnect_grace_period = 20
# On SIGTERM the arbiter kills what is left after this time …
graceful_timeout = 25
# … so a worker cuts its streams earlier, which lets each of them settle its turn.
CUT_STREAMS_AFTER = 20
keepalive = 15
# A GET stream carries its message in the address: some 8 kB is all that gunicorn takes.
limit_request_line = 8190
# TRUST_PROXY_HEADERS decides whether a proxy's header about HTTPS is trusted.
forwarded_allow_ips = ""
# Requests are logged by the reverse proxy, or by LOG_REQUESTS, which leaves out what people write.
accesslog = None
errorlog = "-"
loglevel = os.environ.get("LOG_LEVEL", "info")
# Of the arbiter, and of workers until they have read the settings. A wrong one is reported there.
logconfig_dict = gunicorn_config(
    loglevel, Environment().one("LOG_FORMAT", values.log_format, default="text")
)


class ServerLogger(Logger):
    """Logs requests only where `--access-logfile` asks for it.

    To gunicorn a `logconfig_dict` asks for it as well: for addresses with the messages in them.
    """

    @property
    def access_log_enabled(self) -> bool:
        return bool(self.cfg.accesslog)


logger_class = ServerLogger
# Its socket would lie in the home directory and collide with another checkout's.
control_socket_disable = True


def on_starting(server: Arbiter) -> None:
    """Say in a line when settings are insecure or the database can not be used, and stop."""
    if not _can_start():
        sys.exit(1)
    multiprocess.make_folder()
    server.handle_hup = partial(_reload, server, server.handle_hup)


def when_ready(server: Arbiter) -> None:
    """Start the worker of background tasks beside the server (salient/tasks/__main__.py)."""
    server.tasks = None
    if START_WORKER:
        command = [sys.executable, "-m", "salient.tasks"]
        # In a session of its own, so that Ctrl-C reaches only the arbiter, which ends it.
        server.tasks = subprocess.Popen(command, start_new_session=True)  # noqa: S603 - ours


def on_exit(server: Arbiter) -> None:
    """End what runs beside the server, once its requests are answered."""
    if getattr(server, "tasks", None) is not None:
        server.tasks.terminate()
        with suppress(subprocess.TimeoutExpired):
            server.tasks.wait(CUT_STREAMS_AFTER)
    multiprocess.remove_folder()


def child_exit(server: Arbiter, worker: Worker) -> None:
    """With --reload, changed code has ended the server's worker: the other one is started anew."""
    multiprocess.forget_process(worker.pid)
    if server.cfg.reload:
        _restart_tasks(server)


def _restart_tasks(server: Arbiter) -> None:
    if getattr(server, "tasks", None) is not None:
        server.tasks.send_signal(signal.SIGHUP)


def _reload(server: Arbiter, reload: Callable[[], None]) -> None:
    """Keep the workers that run when new ones could not start: their failure ends the server.

    Asked before gunicorn's own SIGHUP handler: it waits until all workers of before have ended.
    """
    if _can_start():
        _restart_tasks(server)
        reload()
    else:
        server.log.error("Nothing was reloaded: the workers go on as they are")


def _can_start() -> bool:
    """Ask in a process of its own, so that the arbiter imports no settings.

    In a session of its own too, so that Ctrl-C reaches only the arbiter.
    """
    command = [sys.executable, "-m", "salient.environment"]
    try:
        done = subprocess.run(command, check=False, start_new_session=True)  # noqa: S603 - ours
    except KeyboardInterrupt:
        sys.exit(130)
    return done.returncode == 0


def post_worker_init(worker: Worker) -> None:
    """Keep the embedded database for as long as this worker lives."""
    # Imported here, for what the arbiter imports a reload would not renew.
    from salient.database import ensure_started  # noqa: PLC0415

    ensure_started()
    threading.Thread(target=leave_with_arbiter, args=[worker], daemon=True).start()
    worker.cfg.set("graceful_timeout", CUT_STREAMS_AFTER)


def leave_with_arbiter(worker: Worker) -> None:
    """Take no new turns once the arbiter was killed: no process would replace or stop this worker.

    gunicorn itself stops listening then, but goes on with the connections that are open.
    """
    from salient.api.lifespan import take_no_turns  # noqa: PLC0415 - as above

    while os.getppid() == worker.ppid:
        time.sleep(0.5)
    take_no_turns()
    worker.alive = False
