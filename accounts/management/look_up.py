"""Finds what the command line names; an error suggests what was probably meant."""

from accounts.keys import services
from accounts.models import Account, ApiKey
from accounts.tenancy.accounts import list_accounts, read_account
from accounts.tenancy.context import tenant_context
from accounts.tenancy.lookups import find_api_key
from salient.management.base import Misused, Refused, did_you_mean

KEY_ID_LENGTH = 12


def find_account(slug: str) -> Account:
    """Return the account, whatever its status; raises Refused."""
    account = read_account(slug)
    if account is None:
        known = [each.slug for each in list_accounts()]
        raise Refused(f"There is no account “{slug}”.{did_you_mean(slug, known)}")
    return account


def find_key(key_id: str) -> ApiKey:
    """Return the key, whatever its state, with its account; raises Misused or Refused."""
    if len(key_id) > KEY_ID_LENGTH:
        # Shells keep a history of command lines, which must not contain a whole key.
        raise Misused("Give the 12 characters of the key's id only, never the whole key.")
    found = find_api_key(key_id)
    if found is None:
        raise Refused(f"There is no API key with the id “{key_id}”.")
    with tenant_context(found.account_id):
        key = services.find_key(found.pk, found.account_id)
    if key is None:
        raise Refused(f"The API key “{key_id}” has just been deleted.")
    return key
