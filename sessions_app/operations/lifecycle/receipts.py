"""Receipts of erasures: documents under a signature that only this installation can make.

The signature is an HMAC-SHA-256 over the document as canonical JSON, under a key that is derived
from SECRET_KEY; one that was made under an older key is verified by SECRET_KEY_FALLBACKS.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts.tenancy.context import platform_context
from sessions_app.models import AccountErasure, Erasure

_SALT = "sessions_app.receipt"

type Document = Mapping[str, Any]


def of_person(receipt: Erasure) -> Document:
    """Return what is signed of a person's erasure: by the hash, never by name."""
    return {
        "kind": "person",
        "id": str(receipt.pk),
        "account_id": str(receipt.account_id),
        "known_by": receipt.kind,
        "person_hash": receipt.person_hash,
        "reason": receipt.reason,
        "actor": receipt.actor,
        "rows": receipt.erased,
        "masked": receipt.masked,
        "kept": receipt.kept,
        "remaining": receipt.remaining,
        "finished_at": receipt.finished_at,
    }


def of_account(receipt: AccountErasure) -> Document:
    """Return what is signed of an account's erasure: its rows by table, and its files."""
    return {
        "kind": "account",
        "id": str(receipt.pk),
        "account_id": str(receipt.erased_id),
        "slug": receipt.slug,
        "reason": receipt.reason,
        "actor": receipt.actor,
        "rows": receipt.rows,
        "files": receipt.files,
        "remaining": receipt.remaining,
        "finished_at": receipt.finished_at,
    }


def sign(document: Document) -> str:
    """Return the signature: 64 hex digits."""
    return _signature(document, settings.SECRET_KEY)


def is_genuine(document: Document, signature: str) -> bool:
    """Whether this installation has signed exactly this document."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return any(constant_time_compare(_signature(document, key), signature) for key in keys)


def _signature(document: Document, key: str) -> str:
    text = json.dumps(document, cls=DjangoJSONEncoder, sort_keys=True, ensure_ascii=True)
    return salted_hmac(_SALT, text, secret=key, algorithm="sha256").hexdigest()


def find(receipt_id: UUID) -> tuple[Document, str] | None:
    """Return a receipt of this installation with its signature ("": not finished)."""
    with platform_context():
        person = Erasure.objects.filter(pk=receipt_id).first()
        if person is not None:
            return of_person(person), person.signature
    account = AccountErasure.objects.filter(pk=receipt_id).first()
    return None if account is None else (of_account(account), account.signature)
