"""The addresses where people log in and out and set a password."""

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from accounts.members.passwords import LogInForm, SetPasswordView

login = LoginView.as_view(
    template_name="login.html", authentication_form=LogInForm, next_page="login"
)

urlpatterns = [
    path("login/", login, name="login"),
    path("logout/", LogoutView.as_view(next_page="login"), name="logout"),
    path("password/<str:uidb64>/<str:token>/", SetPasswordView.as_view(), name="set-password"),
]
