from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def make(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    account = apps.get_model("accounts", "Account").objects.get(slug="default")
    apps.get_model("agents", "AgentInstance").objects.get_or_create(
        account_id=account.pk,
        instance_slug="simple-chat",
        defaults={"agent_type": "simple_chat", "display_name": "Simple Chat"},
    )


def remove(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("agents", "AgentInstance").objects.filter(
        account__slug="default", instance_slug="simple-chat"
    ).delete()


class Migration(migrations.Migration):
    """The agent that every conversation from before tenancy was held with."""

    dependencies = [("agents", "0001_initial"), ("accounts", "0002_default_account")]
    operations = [migrations.RunPython(make, remove)]
