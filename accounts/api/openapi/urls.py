"""Where the whole API is described: for programs, and as a page for people."""

from django.urls import path

from accounts.api.openapi import views
from accounts.pages import reference

urlpatterns = [
    path("docs/", reference.reference, name="reference"),
    path("openapi.json", views.openapi, name="api-document"),
]
