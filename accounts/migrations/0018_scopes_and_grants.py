import django.contrib.postgres.fields
from django.db import migrations, models


# What the older schema does not know, no key may hold on the way back.
TAKE_NEW_SCOPES_AWAY = """
    UPDATE api_keys SET scopes = ARRAY(
        SELECT scope FROM unnest(scopes) WITH ORDINALITY AS each (scope, place)
        WHERE scope <> ALL (ARRAY[
            'agents:write', 'config:read', 'limits:read', 'limits:write', 'keys:read', 'keys:write',
            'webhooks:read', 'webhooks:write'
        ]) ORDER BY place
    )
"""


class Migration(migrations.Migration):
    """Name the rights to manage an account, who made a key, and what staff allow an account."""

    dependencies = [
        ("accounts", "0017_account_in_keys"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="apikey",
            name="ck_api_keys_scopes",
        ),
        migrations.AddField(
            model_name="accountlimits",
            name="granted",
            field=models.JSONField(
                db_default=models.Value({}, models.JSONField()), default=dict, editable=False
            ),
        ),
        migrations.AddField(
            model_name="apikey",
            name="issued_by",
            field=models.CharField(blank=True, db_default="", editable=False, max_length=12),
        ),
        migrations.AddField(
            model_name="budget",
            name="granted",
            field=models.DecimalField(
                blank=True, decimal_places=8, editable=False, max_digits=14, null=True
            ),
        ),
        migrations.AlterField(
            model_name="apikey",
            name="scopes",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(
                    choices=[
                        ("chat", "talk to agents"),
                        ("history:read", "read conversations"),
                        ("history:delete", "delete conversations"),
                        ("agents:read", "list agents"),
                        ("agents:write", "make, change and configure agents"),
                        ("config:read", "read how agents are configured, prompts included"),
                        ("usage:read", "read usage"),
                        ("limits:read", "read limits and budgets"),
                        ("limits:write", "change limits and budgets"),
                        ("keys:read", "list API keys"),
                        ("keys:write", "make, rotate and revoke API keys"),
                        ("members:read", "list members"),
                        ("members:write", "invite, change and remove members"),
                        ("visitors:write", "start visitors and name end users"),
                        ("connections:read", "list model connections"),
                        ("connections:write", "make, change and delete model connections"),
                        ("audit:read", "read who changed what"),
                        ("webhooks:read", "list webhooks and what was sent"),
                        ("webhooks:write", "make, change and delete webhooks"),
                    ],
                    max_length=32,
                )
            ),
        ),
        migrations.AddConstraint(
            model_name="apikey",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "scopes__contained_by",
                        [
                            "chat",
                            "history:read",
                            "history:delete",
                            "agents:read",
                            "agents:write",
                            "config:read",
                            "usage:read",
                            "limits:read",
                            "limits:write",
                            "keys:read",
                            "keys:write",
                            "members:read",
                            "members:write",
                            "visitors:write",
                            "connections:read",
                            "connections:write",
                            "audit:read",
                            "webhooks:read",
                            "webhooks:write",
                        ],
                    )
                ),
                name="ck_api_keys_scopes",
            ),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("granted", None), ("limit__lte", models.F("granted")), _connector="OR"
                ),
                name="ck_budgets_granted",
            ),
        ),
        migrations.RunSQL(migrations.RunSQL.noop, TAKE_NEW_SCOPES_AWAY),
    ]
