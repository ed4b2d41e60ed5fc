"""The ASGI application: API calls go to our own handler, pages and admin to Django's."""

import os

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "salient.settings")
django_pages = get_asgi_application()

from salient.api import lifespan  # noqa: E402 - after Django is set up
from salient.api.handler import ApiHandler  # noqa: E402
from salient.api.limits import Receive, Scope, Send, with_request_limits  # noqa: E402
from salient.api.routing import is_api  # noqa: E402
from salient.observability import context, requests  # noqa: E402

api = ApiHandler()
pages = with_request_limits(django_pages)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "lifespan":
        await lifespan.run(receive, send)
    elif scope["type"] == "websocket":
        # Closed before it is accepted: the server answers 403.
        await send({"type": "websocket.close"})
    else:
        begun = context.begin(scope)
        span = requests.begin(scope)
        try:
            await (api if is_api(scope["path"]) else pages)(scope, receive, send)
        finally:
            requests.end(scope, span)
            context.end(begun)
