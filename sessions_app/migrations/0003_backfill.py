from typing import Any

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.models import Case, F, Value, When


def to_default(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    instance = (
        apps.get_model("agents", "AgentInstance")
        .objects.select_related("account")
        .get(account__slug="default", instance_slug="simple-chat")
    )
    owner = {"account_id": instance.account_id, "agent_instance_id": instance.pk}
    slugs = {"account_slug": "default", "agent_instance_slug": "simple-chat"}

    def give(model: str, **values: Any) -> None:
        rows = apps.get_model("sessions_app", model).objects.filter(account=None)
        rows.update(**values)

    give("Session", **owner, **slugs, updated_at=F("last_activity_at"))
    give(
        "LLMRequest",
        **owner,
        **slugs,
        agent_type="simple_chat",
        completion_status="complete",
        requests=1,
        cost_source=Case(When(total_cost=None, then=Value("unknown")), default=Value("reported")),
        settled_at=F("created_at"),
    )
    give("Message", **owner)
    give("Profile", account_id=instance.account_id)


class Migration(migrations.Migration):
    """Every row from before tenancy belongs to default / simple-chat.

    The way back needs no step: 0002's way back drops the columns.
    """

    dependencies = [("sessions_app", "0002_tenancy")]
    operations = [migrations.RunPython(to_default, migrations.RunPython.noop)]
