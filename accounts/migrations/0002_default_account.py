from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def make(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    Account = apps.get_model("accounts", "Account")
    Account.objects.get_or_create(slug="default", defaults={"name": "Default Account"})


def remove(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    apps.get_model("accounts", "Account").objects.filter(slug="default").delete()


class Migration(migrations.Migration):
    """The account that owns everything from before tenancy."""

    dependencies = [("accounts", "0001_initial")]
    operations = [migrations.RunPython(make, remove)]
