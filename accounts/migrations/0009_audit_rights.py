from django.db import migrations

from accounts.tenancy import audit_triggers


class Migration(migrations.Migration):
    """Record also who gives groups and permissions to whom."""

    dependencies = [
        ("accounts", "0008_hot_rows"),
        ("auth", "0012_alter_user_first_name_max_length"),
    ]

    operations = [
        audit_triggers.recorded("auth_group", columns=["name"], label="name"),
        audit_triggers.recorded(
            "auth_group_permissions", columns=["group_id", "permission_id"], label="group_id"
        ),
        audit_triggers.recorded("users_groups", columns=["user_id", "group_id"], label="user_id"),
        audit_triggers.recorded(
            "users_user_permissions", columns=["user_id", "permission_id"], label="user_id"
        ),
    ]
