"""What every answer of the API is built from: an allow-list of fields."""

from django.http import HttpResponse
from pydantic import BaseModel


class Out(BaseModel):
    """Something that the API answers with."""

    def as_response(self) -> HttpResponse:
        return HttpResponse(self.model_dump_json(), content_type="application/json")
