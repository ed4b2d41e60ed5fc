"""The reference of the API as a page: a viewer of the OpenAPI document."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe


@require_safe
def reference(request: HttpRequest) -> HttpResponse:
    """Show the whole API to everybody; it holds nothing of an account."""
    return render(request, "reference.html", {"document": reverse("api-document")})
