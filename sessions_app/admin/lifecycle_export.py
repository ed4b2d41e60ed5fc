"""The archive of an account as a download, under a support access: it holds every text."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import IO

from asgiref.sync import sync_to_async
from django.contrib import messages
from django.http import HttpRequest, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone

from accounts.admin.base import NO_STORE
from accounts.members import support_access
from accounts.models import Account, User
from accounts.tenancy.context import platform_context
from salient.actors import Actor, acting
from sessions_app.operations.lifecycle.transfer.archive import CHUNK
from sessions_app.operations.lifecycle.transfer.export import export_account, has_more_messages

# The browser waits while the archive is written: what takes minutes is for the command.
MOST_MESSAGES = 100_000
_EXPLANATION = "The archive holds every text of the account, and who its members are."


def download(request: HttpRequest, account: Account, user: User) -> HttpResponseBase:
    """Send the archive, or the page that asks for a reason; it opens its contexts itself.

    It is written into a file without a name first, so that a right that ends meanwhile sends
    nothing, and a slow browser keeps no transaction open.
    """
    back = reverse("admin:account-lifecycle", args=[account.pk])
    with platform_context():
        page = support_access.require_access(
            request, account.pk, back=back, explanation=_EXPLANATION
        )
        if page is not None:
            return page.render() if isinstance(page, TemplateResponse) else page
        access = support_access.current_access(user, account.pk)
        if has_more_messages(account, MOST_MESSAGES):
            messages.error(
                request, f"Too large to download: run manage.py export_account {account}"
            )
            return redirect(back)
    reason = access.reason if access else ""
    with ExitStack() as stack:
        file: IO[bytes] = stack.enter_context(tempfile.TemporaryFile())
        with acting(Actor("staff", str(user.pk), user.email, reason)):
            export_account(account, file)
        with platform_context():
            if support_access.current_access(user, account.pk) is None:
                messages.error(request, "The support access has ended meanwhile.")
                return redirect(back)
        # From here on the response closes the file.
        stack.pop_all()
    return _response(account, file)


def _response(account: Account, file: IO[bytes]) -> StreamingHttpResponse:
    size, day = file.seek(0, 2), timezone.now().date()
    file.seek(0)
    response = StreamingHttpResponse(
        _pieces(file),
        content_type="application/zip",
        headers={
            **NO_STORE,
            "Content-Length": str(size),
            "Content-Disposition": f'attachment; filename="{account.slug}-{day}.zip"',
            "X-Accel-Buffering": "no",
        },
    )
    # Also when the browser leaves before the first piece.
    response._resource_closers.append(file.close)  # type: ignore[attr-defined]
    return response


async def _pieces(file: IO[bytes]) -> AsyncIterator[bytes]:
    read = sync_to_async(file.read, thread_sensitive=False)
    with file:
        while piece := await read(CHUNK):
            yield piece
