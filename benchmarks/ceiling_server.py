"""How gunicorn serves the ceiling: as gunicorn.conf.py serves Salient, without its hooks."""

import os

bind = f"127.0.0.1:{os.environ['PORT']}"
workers = 1
worker_class = "asgi"
worker_connections = 4_000
backlog = 4_096
keepalive = 15
accesslog = None
control_socket_disable = True
