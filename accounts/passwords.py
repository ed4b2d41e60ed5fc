"""Links by which a person sets a password of their own; they go to the person's address alone."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.auth.tokens import default_token_generator
from django.contrib.auth.views import PasswordResetConfirmView
from django.core.mail import send_mail
from django.http import HttpResponse
from django.template.loader import render_to_string
from django.urls import reverse, reverse_lazy
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_encode

from accounts.models import User
from accounts.tenancy import platform
from salient.actors import Actor, acting


def send_link(person: User, site: str) -> None:
    """Write to the person; `site` is this installation's address without a slash."""
    named = urlsafe_base64_encode(force_bytes(person.pk))
    token = default_token_generator.make_token(person)
    link = site + reverse("set-password", args=[named, token])
    days = settings.PASSWORD_RESET_TIMEOUT // (24 * 3600)
    text = render_to_string("password_link.txt", {"person": person, "link": link, "days": days})
    send_mail("Set your password for Salient", text, None, [person.email])


class SetPasswordView(PasswordResetConfirmView):
    """Django's page: the link's token goes into the session, and works until it was used."""

    template_name = "set_password.html"
    success_url = reverse_lazy("login")

    def form_valid(self, form: Any) -> HttpResponse:
        """Name the person in the audit log: nobody is logged in here."""
        person = form.user
        with acting(Actor("member", str(person.pk), person.email)), platform():
            return super().form_valid(form)
