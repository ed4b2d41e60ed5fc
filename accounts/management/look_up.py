"""Finds what a person named on the command line, or says what was probably meant."""

from accounts.models import Account
from salient.commands import Refused, did_you_mean


def find_account(slug: str) -> Account:
    """Return the account, whatever its status; raises Refused."""
    account = Account.objects.filter(slug=slug).first()
    if account is None:
        known = Account.objects.values_list("slug", flat=True)
        raise Refused(f"There is no account “{slug}”.{did_you_mean(slug, known)}")
    return account
