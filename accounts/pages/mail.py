"""E-mail that the staff's pages send, once what it tells of is stored."""

from __future__ import annotations

import logging
from collections.abc import Callable

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest

from accounts.api.member_views import site_address
from salient.api.problems import Invalid

logger = logging.getLogger(__name__)


def site_of(request: HttpRequest) -> str:
    """Return this installation's address for links; a strange Host gets none."""
    try:
        return site_address(request)
    except Invalid as problem:
        raise PermissionDenied(problem.detail) from problem


def send_or_tell(request: HttpRequest, send: Callable[[], None], problem: str) -> bool:
    """Send, or tell whoever is at the page what is to be done now."""
    try:
        send()
    except OSError as error:
        # SMTP errors are OSErrors; their text may hold the message.
        logger.error("An e-mail was not sent: %s", type(error).__name__)  # noqa: TRY400
        messages.error(request, problem)
        return False
    return True
