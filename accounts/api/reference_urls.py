"""Where the whole API is described: for programs, and as a page for people."""

from django.urls import path

from accounts.api import openapi_views
from accounts.pages import reference

urlpatterns = [
    path("docs/", reference.reference, name="reference"),
    path("openapi.json", openapi_views.openapi, name="api-document"),
]
