"""E-mail that the admin's pages send after the commit."""

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
    """Return this installation's address for links; raises PermissionDenied for a wrong Host."""
    try:
        return site_address(request)
    except Invalid as problem:
        raise PermissionDenied(problem.detail) from problem


def send_or_tell(request: HttpRequest, send: Callable[[], None], problem: str) -> bool:
    """Send an e-mail; where that fails, show `problem` as a message and return False."""
    try:
        send()
    except OSError as error:
        # SMTP errors are OSErrors; their text may contain the message, so it is not logged.
        logger.error("An e-mail was not sent: %s", type(error).__name__)  # noqa: TRY400
        messages.error(request, problem)
        return False
    return True
