"""Brings the addresses of people, invitations and waiting keys into their one form.

What it does is frozen here; accounts/members/email_addresses.py is what holds today.
"""

import logging
import re
from collections import defaultdict

import idna
from django.db import migrations
from django.db.models import Q

logger = logging.getLogger(__name__)
LONGEST = 254
LOCAL = re.compile(r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*")


class AddressesCollide(Exception):
    """Two rows have one address: a person has to say which is right."""


def normal(text):
    """Return the address in lower case with its real domain; None where it has no such form."""
    local, _, domain = text.strip().rpartition("@")
    if not local.isascii() or not LOCAL.fullmatch(local.lower()):
        return None
    try:
        found = f"{local.lower()}@{idna.encode(domain, uts46=True, std3_rules=True).decode()}"
    except ValueError:
        return None
    return found if len(found) <= LONGEST else None


def colliding(rows, key_of):
    """Name the rows that would be one and the same."""
    found = defaultdict(list)
    for row in rows:
        if (address := normal(row.email)) is not None:
            found[key_of(row, address)].append(f"{row.pk} ({row.email})")
    return [", ".join(same) for same in found.values() if len(same) > 1]


def to_one_form(apps, schema_editor):
    """Look at everything first: nothing is changed where two rows have one address."""
    people = list(apps.get_model("accounts", "User")._base_manager.only("email"))
    offers = list(apps.get_model("accounts", "Invitation")._base_manager.only("email", "account"))
    keys = apps.get_model("accounts", "ApiKey")._base_manager.exclude(taker="").only("taker")
    open_offers = Q(accepted_at=None, revoked_at=None)
    waiting = apps.get_model("accounts", "Invitation")._base_manager.filter(open_offers)
    wrong = [
        *(f"users: {same}" for same in colliding(people, lambda row, address: address)),
        *(
            f"invitations: {same}"
            for same in colliding(waiting, lambda row, address: (row.account_id, address))
        ),
    ]
    if wrong:
        raise AddressesCollide(
            "These rows have one and the same e-mail address. Change or delete all but one of "
            "each, and migrate again; nothing was changed. " + "; ".join(wrong)
        )
    for row, name in [
        *((row, "email") for row in people),
        *((row, "email") for row in offers),
        *((row, "taker") for row in keys),
    ]:
        rewrite(row, name)


def rewrite(row, name):
    written = getattr(row, name)
    address = normal(written)
    if address is None:
        table = row._meta.db_table
        logger.warning(
            "%s: %s has an e-mail address that is none (%s): change it, for nobody is found by it.",
            table,
            row.pk,
            ascii(written),
        )
    elif address != written:
        type(row)._base_manager.filter(pk=row.pk).update(**{name: address})


class Migration(migrations.Migration):
    dependencies = [("accounts", "0012_key_offers")]

    # The way back leaves them: they are addresses as good as before.
    operations = [
        migrations.RunPython(to_one_form, migrations.RunPython.noop, elidable=True),
    ]
