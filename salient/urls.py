"""Every address of the product."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from accounts.api.openapi.views import openapi
from accounts.api.views import account_change
from salient.api import health, metrics

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", metrics.metrics, name="metrics"),
    path("admin/", admin.site.urls),
    path("", include("accounts.pages.urls")),
    path("openapi.json", openapi, name="api-document"),
    path("accounts/<str:account>", account_change, name="one-account"),
    path("accounts/<str:account>/", include("accounts.api.urls")),
    path("accounts/<str:account>/", include("agents.api.urls")),
    path("accounts/<str:account>/", include("sessions_app.api.urls")),
    path("accounts/<str:account>/", include("sessions_app.protocols.openai.urls")),
    path("accounts/<str:account>/", include("sessions_app.protocols.ui.urls")),
]
