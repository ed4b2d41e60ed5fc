"""The addresses of pages outside of any account: log-in, passwords, the reference of the API."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path, reverse_lazy
from django.views.generic import TemplateView

from accounts.members.passwords import LogInForm, SetPasswordView

login = LoginView.as_view(
    template_name="login.html", authentication_form=LogInForm, next_page="login"
)
# A viewer of the OpenAPI document, for everybody: it holds nothing of an account.
reference = TemplateView.as_view(
    template_name="reference.html",
    extra_context={"document": reverse_lazy("api-document")},
    http_method_names=["get", "head"],
)

urlpatterns = [
    path("login/", login, name="login"),
    path("logout/", LogoutView.as_view(next_page="login"), name="logout"),
    path("password/<str:uidb64>/<str:token>/", SetPasswordView.as_view(), name="set-password"),
    path("docs/", reference, name="reference"),
]
