"""The parts of the page that onboards a customer: each is a form, and makes one thing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.text import slugify

from accounts.keys import offers
from accounts.members.email_addresses import is_same
from accounts.models import Account, BudgetPeriod, User
from accounts.models.slugs import validate_slug
from agents.admin.forms import MultilineField
from agents.instances.templates import TEMPLATES

FROM_NAME = "Part of every URL. Empty: made of the name."


class Part(forms.Form):
    """One part; it is left for later while its first field, the `lead`, is empty."""

    name: ClassVar[str]
    title: ClassVar[str]
    lead: ClassVar[str]
    # The right that it needs.
    right: ClassVar[str]
    # The field that has a value before anybody has filled it in.
    preset: ClassVar[str] = ""

    def __init__(
        self, values: dict[str, str] | None, *, account: Account | None, user: User
    ) -> None:
        self.account, self.user = account, user
        values = values or {}
        is_wanted = bool(values.get(f"{self.name}-{self.lead}", "").strip())
        own = {key.partition("-")[2]: each for key, each in self.own(values).items() if each}
        super().__init__(values if is_wanted else None, prefix=self.name, initial=own)

    @classmethod
    def own(cls, values: Mapping[str, str]) -> dict[str, str]:
        """Return those of the values that are this part's."""
        return {name: str(each) for name, each in values.items() if name.startswith(f"{cls.name}-")}

    @classmethod
    def is_empty(cls, values: Mapping[str, str]) -> bool:
        """Return whether nobody has filled anything in."""
        preset = f"{cls.name}-{cls.preset}"
        return not any(text.strip() for name, text in values.items() if name != preset)

    @property
    def is_wanted(self) -> bool:
        return self.is_bound


class SlugPart(Part):
    """A part with a name for people and one for addresses.

    `name` is the part's own, so the field of that name is made by hand.
    """

    name_label: ClassVar[str]
    name_help: ClassVar[str] = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["name"] = forms.CharField(
            label=self.name_label, max_length=255, help_text=self.name_help
        )
        self.fields["slug"] = forms.CharField(
            label="Short name", required=False, max_length=63, help_text=FROM_NAME
        )
        self.order_fields(self.field_order)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        if "slug" not in self.errors:
            data["slug"] = data.get("slug") or slugify(data.get("name", ""))[:63].strip("-_")
            try:
                validate_slug(data["slug"])
            except ValidationError as error:
                self.add_error("slug", error)
        return data


class AccountPart(SlugPart):
    name, title, lead, right = "account", "Account", "name", "accounts.add_account"
    name_label = "Customer"


class AgentPart(SlugPart):
    name, title, lead, right = "agent", "Agent", "name", "agents.add_agentinstance"
    preset = "template"
    name_label, name_help = "Name", "As chat pages show it."

    template = forms.ChoiceField(
        label="Template",
        choices=[(each.key, f"{each.name}: {each.use}") for each in TEMPLATES.values()],
        initial=next(iter(TEMPLATES)),
        widget=forms.RadioSelect,
    )
    model = forms.CharField(
        required=False,
        max_length=200,
        help_text="provider:model, such as openai:gpt-5-mini. Empty: the installation's model.",
    )
    system_prompt = MultilineField(
        rows=6, required=False, label="Prompt", help_text="Empty: the template's, shown below."
    )

    field_order = ("name", "slug", "template", "system_prompt", "model")


class OwnerPart(Part):
    name, title, lead, right = "owner", "Owner", "email", "accounts.add_invitation"

    email = forms.EmailField(
        label="E-mail",
        max_length=254,
        help_text="The person gets an e-mail with a link, valid for seven days; nobody else sees "
        "it.",
    )


class KeyPart(Part):
    name, title, lead, right = "key", "API key", "label", "accounts.add_apikey"

    label = forms.CharField(
        label="Name",
        max_length=100,
        help_text="What uses it, such as “web shop”. It may talk to agents, and read their "
        "conversations.",
    )
    person = forms.ChoiceField(
        label="Hand it over to",
        required=False,
        help_text="The person gets an e-mail with a link and takes the key; nobody else sees it.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.takers = dict(offers.takers(self.account.pk)) if self.account else {}
        people = [(email, f"{email} ({role})") for email, role in self.takers.items()]
        field: Any = self.fields["person"]
        field.choices = [("", "the owner above"), *people]

    def taker(self, owner: str) -> str:
        """Return who gets the key; adds an error and returns "" where nobody can."""
        chosen: str = self.cleaned_data["person"] or owner
        if not chosen:
            self.add_error("person", "Nobody of this account can take it yet: invite an owner.")
        elif is_same(chosen, self.user.email):
            self.add_error("person", "You cannot hand a key to yourself.")
            return ""
        return chosen


class BudgetPart(Part):
    name, title, lead, right = "budget", "Budget", "limit", "accounts.add_budget"
    preset = "period"

    limit = forms.DecimalField(
        label="US dollars",
        min_value=0,
        max_digits=14,
        decimal_places=8,
        help_text="What the whole account may spend. The owners get an e-mail at 80% and 100%.",
    )
    period = forms.ChoiceField(choices=BudgetPeriod, initial=BudgetPeriod.MONTH, required=False)


PARTS: tuple[type[Part], ...] = (AccountPart, AgentPart, OwnerPart, KeyPart, BudgetPart)
