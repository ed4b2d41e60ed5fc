"""E-mail addresses of people: one form in which they are stored, looked up and compared."""

from __future__ import annotations

import re
from typing import Any

import idna
from django import forms
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import models
from django.db.models import QuerySet
from django.db.models.functions import Collate, Lower

LONGEST, LONGEST_LOCAL = 254, 64
# RFC 5322's dot-atom, ASCII only: Django's own pattern takes a dotless i for an i, and the Kelvin
# sign for a k.
_LOCAL = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*")


def normal_email(text: str) -> str:
    """Return the address in lower case, its domain as the DNS has it; raises ValueError.

    The domain is read as browsers read one (UTS 46): “BÜCHER.example” is xn--bcher-kva.example, and
    “straße.example” is not strasse.example.
    """
    text = text.strip()
    if len(text) > LONGEST:
        raise ValueError(f"an e-mail address has at most {LONGEST} characters")
    if not text.isprintable():
        raise ValueError("this e-mail address holds an invisible character")
    local, at, domain = text.rpartition("@")
    if not at or not local or not domain:
        raise ValueError("this is no e-mail address")
    if not local.isascii():
        raise ValueError("before the @ of an e-mail address, use plain letters (a to z)")
    local = local.lower()
    if not _LOCAL.fullmatch(local) or len(local) > LONGEST_LOCAL:
        raise ValueError("this is no e-mail address")
    found = f"{local}@{_real_domain(domain)}"
    if len(found) > LONGEST:
        raise ValueError(f"an e-mail address has at most {LONGEST} characters")
    try:
        validate_email(found)
    except ValidationError as error:
        raise ValueError("this is no e-mail address") from error
    return found


def _real_domain(text: str) -> str:
    try:
        return idna.encode(text, uts46=True, std3_rules=True).decode("ascii")
    except ValueError as error:
        raise ValueError("there can be no such domain in an e-mail address") from error


def look_up_form(text: str | None) -> str | None:
    """Return the address in its one form; None for what is no address."""
    try:
        return normal_email(text or "")
    except ValueError:
        return None


def is_same(one: str, other: str) -> bool:
    """Return whether both are the same address."""
    found = look_up_form(one)
    return found is not None and found == look_up_form(other)


def with_address[M: models.Model](rows: QuerySet[M], path: str, text: str | None) -> QuerySet[M]:
    """Narrow to the rows whose column at `path` is this address, however it is typed.

    The first condition has an index, and also finds rows from before addresses had one form.
    PostgreSQL's lower() turns the Kelvin sign into “k”; the second condition compares under "C",
    where lower() changes only ASCII letters.
    """
    address = look_up_form(text)
    if address is None:
        return rows.none()
    folded: Any = rows.alias(_folded=Lower(path), _plain=Lower(Collate(path, "C")))
    found: QuerySet[M] = folded.filter(_folded=address, _plain=address)
    return found


def beginning_with[M: models.Model](rows: QuerySet[M], path: str, text: str) -> QuerySet[M]:
    """Narrow to the rows whose column at `path` begins with the text, in the order of addresses.

    An index of `by_letters` has both the rows and their order.
    """
    ordered: Any = rows.alias(_letters=by_letters(path))
    found: QuerySet[M] = ordered.filter(_letters__startswith=text.lower()).order_by("_letters")
    return found


def by_letters(path: str) -> Collate:
    """Return the folded column in the order "C", where texts that begin alike lie side by side."""
    return Collate(Lower(path), "C")


def _checked(value: str) -> str:
    try:
        return normal_email(value)
    except ValueError as error:
        raise ValidationError(f"{str(error).capitalize()}.") from error


class AddressFormField(forms.EmailField):
    """Reads an address into its one form."""

    default_validators = []

    def clean(self, value: Any) -> Any:
        found = super().clean(value)
        return _checked(found) if found else found


class AddressField(models.EmailField[str, str]):
    """A column whose values are in the one form; for migrations it is Django's own."""

    default_validators = []

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.EmailField", args, kwargs

    def clean(self, value: Any, model_instance: models.Model | None) -> Any:
        return super().clean(_checked(value) if value else value, model_instance)

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:  # noqa: FBT001
        """Store the one form; an old value that is no address stays as it is."""
        value = super().pre_save(model_instance, add)
        found = look_up_form(value) or value
        setattr(model_instance, self.attname, found)
        return found

    def formfield(self, **kwargs: Any) -> Any:
        return super().formfield(**{"form_class": AddressFormField, **kwargs})
