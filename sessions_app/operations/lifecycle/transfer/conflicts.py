"""Lists all conflicts of an import before anything is written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

from django.db.models import Q
from django.db.models.functions import Lower, Now

from accounts.models import Account, FormerSlug, User
from accounts.models.slugs import is_slug
from accounts.tenancy.context import platform_context
from agents.config import config_dir
from salient.ids import parse_uuid
from sessions_app.operations.lifecycle.transfer import archive
from sessions_app.operations.lifecycle.transfer.archive import CONFIG, DATA, Reader
from sessions_app.operations.lifecycle.transfer.rows import batches, rows_here
from sessions_app.operations.lifecycle.transfer.tables import PEOPLE, PEOPLE_COLUMNS, tables

# A scan of all ids of a large account.
SCAN_SECONDS = 900
SHOWN = 5


@dataclass(slots=True)
class Plan:
    """What an import would do: for which account, with whom, and what stands in the way."""

    account_id: UUID
    slug: str
    conflicts: list[str] = field(default_factory=list)
    # People by their id in the archive: their id here, and those to be made.
    people: dict[str, str] = field(default_factory=dict)
    new_people: list[dict[str, str]] = field(default_factory=list)


def plan(read: Reader, *, slug: str, add_people: bool) -> Plan:
    """Compare the archive with this installation; outside of any context, it only reads."""
    facts = read.manifest["account"]
    account_id = parse_uuid(str(facts["id"]))
    if account_id is None:
        raise archive.ArchiveProblem("The manifest names no account.")
    found = Plan(account_id, slug or str(facts["slug"]))
    found.conflicts += _of_version(read)
    found.conflicts += _of_files(read, found.slug)
    if found.conflicts:
        # Rows of other tables cannot be compared.
        return found
    with platform_context(statement_seconds=SCAN_SECONDS):
        found.conflicts += _of_account(found)
        found.conflicts += _of_people(read, found, add_people=add_people)
        found.conflicts += _of_rows(read)
    return found


def _of_version(read: Reader) -> Iterator[str]:
    here, there = set(archive.migrations()), set(read.manifest["migrations"])
    version = read.manifest["version"]
    if newer := sorted(there - here):
        yield f"version: {version} has tables that are newer ({newer[0]}): update this one first."
    if older := sorted(here - there):
        yield f"version: {version} has older tables (without {older[0]}): update that one first."
    missing = [
        table.name
        for table in tables()
        if f"{DATA}{table.name}.jsonl" not in read.manifest["members"]
    ]
    if missing and not newer and not older:
        yield f"archive: without {', '.join(missing)}."


def _of_files(read: Reader, slug: str) -> Iterator[str]:
    if not is_slug(slug):
        yield f"slug: “{slug}” is none."
        return
    if (config_dir() / slug).exists():
        yield f"files: the folder {slug} is among the agents' configurations already."
    for name in read.names(CONFIG):
        agent, *rest = name.removeprefix(CONFIG).split("/")
        if not is_slug(agent) or not rest or any(part in {"", ".", ".."} for part in rest):
            yield f"files: {name} is no place for a configuration."


def _of_account(found: Plan) -> Iterator[str]:
    slug = found.slug
    if there := Account.objects.filter(pk=found.account_id).first():
        yield f"account: it is here already, as “{there.slug}”."
    if Account.objects.filter(Q(slug=slug) | Q(config_folder=slug)).exists():
        yield f"slug: “{slug}” is taken; choose another one by --slug."
    elif FormerSlug.objects.filter(slug=slug, expires_at__gt=Now()).exists():
        yield f"slug: “{slug}” still leads to another account; choose another one by --slug."


def _of_people(read: Reader, found: Plan, *, add_people: bool) -> list[str]:
    """Fill in who is who: people are known by their e-mail address."""
    missing: list[str] = []
    taken: list[str] = []
    for batch in batches(read.lines(f"{DATA}{PEOPLE}.jsonl")):
        people = [{name: json.loads(line)[name] for name in PEOPLE_COLUMNS} for line in batch]
        rows = User.objects.annotate(lower=Lower("email"))
        wanted = [person["email"].lower() for person in people]
        here = dict(rows.filter(lower__in=wanted).values_list("lower", "pk"))
        ids = User.objects.filter(pk__in=[person["id"] for person in people])
        used = {str(pk) for pk in ids.values_list("pk", flat=True)}
        for person in people:
            known = here.get(person["email"].lower())
            found.people[person["id"]] = str(known or person["id"])
            if known is not None:
                continue
            missing.append(person["email"])
            found.new_people.append(person)
            if person["id"] in used:
                taken.append(person["email"])
    conflicts = [f"people: the id of {each} is another person's here." for each in taken[:SHOWN]]
    if missing and not add_people:
        some = ", ".join(missing[:SHOWN]) + (", …" if len(missing) > SHOWN else "")
        conflicts.append(f"people: {len(missing)} are not here ({some}): --add-people makes them.")
    return conflicts


def _of_rows(read: Reader) -> Iterator[str]:
    for table in tables():
        count, example = rows_here(read, table)
        if count:
            yield f"{table.name}: {count} ids are here already, as {example}."
