"""What an instance ran with over time: publications, and changes of its files on disk."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from uuid import UUID

from django.db.models import Exists, OuterRef, Q, QuerySet

from agents.config.versions.diff import Change, content_changes
from agents.models import AgentInstance, ConfigPublication, ConfigVersion

MOST_ENTRIES = 100


@dataclass(slots=True)
class Entry:
    """One change of what is in force; without a publication the files changed."""

    when: datetime
    version: ConfigVersion
    publication: ConfigPublication | None = None
    # The entry before it, and what differs from it.
    before: Entry | None = None
    again: bool = False
    is_newest: bool = False

    @property
    def changes(self) -> list[Change]:
        if self.before is None:
            return []
        return content_changes(self.before.version.content, self.version.content)

    @property
    def kind(self) -> str:
        if self.publication is None:
            if self.before is None:
                return "first files"
            return "files changed back" if self.again else "files changed"
        return "published" if self.publication.restores is None else "rolled back"

    @property
    def state(self) -> str:
        """The class of its badge."""
        return {"published": "ok", "rolled back": "warn"}.get(self.kind, "info")


def history(instance: AgentInstance, *, most: int = MOST_ENTRIES) -> list[Entry]:
    """List the newest changes, the latest first; three queries, however many there are."""
    found = [*_publications(instance, most + 1), *_file_changes(instance, most + 1)]
    found.sort(key=lambda entry: entry.when, reverse=True)
    if (back := _changed_back(instance, found)) is not None:
        found.insert(0, back)
    for entry, before in pairwise(found):
        entry.before = before
    numbered = next((entry for entry in found if entry.publication), None)
    if numbered is not None:
        numbered.is_newest = True
    return found[:most]


def _publications(instance: AgentInstance, most: int) -> list[Entry]:
    rows = (
        ConfigPublication.objects.filter(agent_instance_id=instance.pk)
        .select_related("config_version")
        .order_by("-number")[:most]
    )
    return [Entry(row.created_at, row.config_version, row) for row in rows]


def _file_changes(instance: AgentInstance, most: int) -> list[Entry]:
    published = ConfigPublication.objects.filter(
        # A roll-back may meet a version that files made before; its own has the same moment as it.
        Q(restores=None) | Q(created_at=OuterRef("created_at")),
        account_id=OuterRef("account_id"),
        config_version_id=OuterRef("pk"),
    )
    rows = (
        ConfigVersion.objects.served(instance)
        .exclude(Exists(published))
        .order_by("-created_at")[:most]
    )
    return [Entry(row.created_at, row) for row in rows]


def _changed_back(instance: AgentInstance, found: list[Entry]) -> Entry | None:
    """Return the entry of an older version that serves again without a publication."""
    serving: ConfigVersion | None = ConfigVersion.objects.last_served(instance)
    if serving is None or serving.last_served_at is None or not found:
        return None
    newest = found[0]
    if newest.version.pk == serving.pk or serving.last_served_at <= newest.when:
        return None
    if newest.version.last_served_at is None:
        # It was published just now; others still serve what they know, for seconds.
        return None
    return Entry(serving.last_served_at, serving, again=True)


def versions(instance: AgentInstance, *wanted: UUID) -> list[ConfigVersion]:
    """Return these versions of the instance; raises ConfigVersion.DoesNotExist."""
    found = ConfigVersion.objects.filter(agent_instance_id=instance.pk).in_bulk(wanted)
    if missing := set(wanted) - set(found):
        raise ConfigVersion.DoesNotExist(str(missing))
    return [found[pk] for pk in wanted]


def comparable(entries: Sequence[Entry]) -> list[Entry]:
    """Return an entry for each version among these, the newest of those with the same one."""
    found: dict[UUID, Entry] = {}
    for entry in entries:
        found.setdefault(entry.version.pk, entry)
    return list(found.values())


def newest_publications(version_ids: Collection[UUID]) -> dict[UUID, ConfigPublication]:
    """Return the last publication of each version, by the versions' ids; one query."""
    rows = ConfigPublication.objects.filter(config_version_id__in=version_ids).order_by("number")
    return {row.config_version_id: row for row in rows}


def publications_of(instance: AgentInstance) -> QuerySet[ConfigPublication]:
    return ConfigPublication.objects.filter(agent_instance_id=instance.pk)


def publications_with(version: ConfigVersion) -> QuerySet[ConfigPublication]:
    """Return the publications that put the version in force, the latest first."""
    return ConfigPublication.objects.filter(config_version_id=version.pk).order_by("-number")


def publication(instance: AgentInstance, number: int) -> ConfigPublication | None:
    rows = ConfigPublication.objects.select_related("config_version")
    return rows.filter(agent_instance_id=instance.pk, number=number).first()


def publication_before(instance: AgentInstance, number: int) -> ConfigPublication | None:
    """Return the last publication before this number."""
    rows = ConfigPublication.objects.filter(agent_instance_id=instance.pk, number__lt=number)
    return rows.order_by("-number").first()
