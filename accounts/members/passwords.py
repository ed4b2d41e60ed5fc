"""How people log in and set their passwords; hashes are made outside of every transaction."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm, AdminPasswordChangeForm
from django.contrib.auth.forms import AuthenticationForm, SetPasswordForm
from django.contrib.auth.tokens import default_token_generator
from django.contrib.auth.views import PasswordResetConfirmView
from django.core.mail import send_mail
from django.template.loader import render_to_string
from django.urls import reverse, reverse_lazy
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from accounts.auth import attempts
from accounts.models import User
from accounts.tenancy.context import platform_context
from salient.actors import Actor, acting


class LogInForm(AuthenticationForm):
    """Counts the attempt before it looks the person up."""

    def clean(self) -> dict[str, Any]:
        email, password = (self.cleaned_data.get(name) for name in ("username", "password"))
        if not (email and password and self.request):
            return super().clean()
        attempts.try_login(self.request, email)
        cleaned = super().clean()
        attempts.logged_in(self.request, email)
        return cleaned


class AdminLogInForm(LogInForm, AdminAuthenticationForm):
    pass


class OwnPasswordForm(SetPasswordForm[User]):
    """Makes the hash before the transaction that saves it."""

    actor_kind = "member"

    def save(self, commit: bool = True) -> User:  # noqa: FBT001, FBT002
        person = super().save(commit=False)
        if commit:
            # Named here, because a person who opens a link is not logged in.
            with acting(Actor(self.actor_kind, str(person.pk), person.email)), platform_context():
                person.save()
        return person


class AdminOwnPasswordForm(OwnPasswordForm, AdminPasswordChangeForm):
    actor_kind = "staff"


def send_link(person: User, site: str) -> None:
    """Write to the person; `site` is this installation's address without a slash."""
    named = urlsafe_base64_encode(force_bytes(person.pk))
    token = default_token_generator.make_token(person)
    link = site + reverse("set-password", args=[named, token])
    days = settings.PASSWORD_RESET_TIMEOUT // (24 * 3600)
    text = render_to_string("password_link.txt", {"person": person, "link": link, "days": days})
    send_mail("Set your password for Salient", text, None, [person.email])


class SetPasswordView(PasswordResetConfirmView):
    """Django's page: it keeps the link's token in the session, and the token works once."""

    form_class = OwnPasswordForm
    template_name = "set_password.html"
    success_url = reverse_lazy("login")
