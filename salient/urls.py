"""Every address of the product."""

from django.contrib import admin
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import include, path
from django.views.generic import RedirectView

from salient import health

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index"), name="home"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("admin/", admin.site.urls),
    path("login/", LoginView.as_view(template_name="login.html", next_page="login"), name="login"),
    path("logout/", LogoutView.as_view(next_page="login"), name="logout"),
    path("password/", include("accounts.password_urls")),
    path("accounts/<str:account>/", include("accounts.urls")),
    path("accounts/<str:account>/", include("agents.urls")),
    path("accounts/<str:account>/", include("sessions_app.urls")),
]
