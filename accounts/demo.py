"""Makes the demo's login and API key, and makes them again when they no longer work."""

from __future__ import annotations

import hmac
import json
import secrets
from pathlib import Path

from accounts.auth import key_text
from accounts.keys.services import issue_api_key
from accounts.members.members import find_person
from accounts.models import Account, ApiKey, User
from accounts.tenancy.context import platform_context
from salient.local.environment_file import replace

EMAIL = "admin@example.com"


def ensure_login(*, reset_password: bool = False) -> str | None:
    """Make the staff login; return its password when it is new, as only its hash is stored."""
    user = find_person(EMAIL)
    if user is not None and not reset_password:
        return None
    password = secrets.token_urlsafe(12)
    if user is None:
        User.objects.create_superuser(EMAIL, password)
    else:
        user.set_password(password)
        user.save(update_fields=["password"])
    return password


def login_exists() -> bool:
    return find_person(EMAIL) is not None


def ensure_key(account: Account, file: Path) -> str:
    """Return the API key of this checkout from `file`, which only its owner may read."""
    text = stored_key(account, file)
    if text is None:
        _, text = issue_api_key(account, name="demo")
        file.parent.mkdir(parents=True, exist_ok=True)
        replace(file, json.dumps({"api_key": text}) + "\n")
    return text


def stored_key(account: Account, file: Path) -> str | None:
    """Return the key in the file when it is still valid for the account."""
    try:
        text = json.loads(file.read_text())["api_key"]
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if not isinstance(text, str) or (key_id := key_text.key_id_of(text)) is None:
        return None
    with platform_context():
        key = ApiKey.objects.filter(key_id=key_id, account=account).first()
    if key is None or key.refusal():
        return None
    same = hmac.compare_digest(key_text.secret_hash(text), key.secret_hash)
    return text if same else None
