"""The ASGI application: API calls go to the lean handler, pages and admin to Django's own."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "salient.settings")
django_pages = get_asgi_application()

from salient import lifespan  # noqa: E402 - after Django is set up
from salient.api_handler import ApiHandler  # noqa: E402
from salient.edge import Receive, Scope, Send, edged  # noqa: E402

api = ApiHandler()
pages = edged(django_pages)


def is_api(path: str) -> bool:
    """Pages under /accounts/ end with a slash; API routes never do."""
    return path in {"/healthz", "/readyz"} or (
        path.startswith("/accounts/") and not path.endswith("/")
    )


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan.run(receive, send)
    elif scope["type"] == "http":
        await (api if is_api(scope["path"]) else pages)(scope, receive, send)
    else:
        raise ValueError(f"Salient serves HTTP, not {scope['type']}.")
