"""The API's shapes for agents."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from django.conf import settings
from pydantic import Field, model_validator

from salient.api.problems import FieldError
from salient.api.schemas import In, Origin, Out, Printable

LONGEST_END_USER_SECONDS = 24 * 3600


class VisitorIn(In):
    """Whom a token shall stand for: nobody known, or (`sub`) the account's own end user."""

    sub: Annotated[Printable, Field(min_length=1, max_length=255)] | None = None
    expires_in: Annotated[int, Field(ge=1)] | None = None
    # The token then works from pages of this origin alone.
    origin: Origin | None = None

    @model_validator(mode="after")
    def _not_too_long(self) -> Self:
        longest = settings.VISITOR_TOKEN_SECONDS if self.sub is None else LONGEST_END_USER_SECONDS
        if self.expires_in is not None and self.expires_in > longest:
            raise FieldError("expires_in", f"at most {longest} seconds")
        return self


class VisitorOut(Out):
    """Sent as `Authorization: Bearer`; it opens this visitor's conversations and no others."""

    token: str
    expires_at: datetime
