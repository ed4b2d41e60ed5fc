from typing import Any

import django.utils.timezone
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models
from django.db.models import Q
from django.db.models.functions import Lower, Now

from accounts.models import default_alert_percents
from accounts.models.slugs import validate_slug
from accounts.tenancy.roles import make_roles
from salient.database.constraints import CompositeForeignKey
from salient.database.sql_files import SQLFile
from salient.ids import uuid7


def uuid_key() -> models.UUIDField:
    return models.UUIDField(default=uuid7, editable=False, primary_key=True, serialize=False)


def created() -> models.DateTimeField:
    return models.DateTimeField(db_default=Now(), editable=False)


def updated() -> models.DateTimeField:
    return models.DateTimeField(auto_now=True, db_default=Now())


def key(to: str, on_delete: Any, related_name: str, **options: Any) -> models.ForeignKey:
    """Without a constraint of its own: a CompositeForeignKey holds the account as well."""
    return models.ForeignKey(
        to, on_delete, related_name=related_name, db_constraint=False, db_index=False, **options
    )


def account_in_primary_key(table: str) -> migrations.RunSQL:
    """For Django the key stays `id`; in the database it is (id, account_id)."""
    change = (
        f"DROP CONSTRAINT {table}_pkey, ADD CONSTRAINT {table}_pkey PRIMARY KEY (id, account_id)"
    )
    return migrations.RunSQL(f"ALTER TABLE {table} {change}", migrations.RunSQL.noop)


def leave_room(table: str) -> migrations.RunSQL:
    """Let PostgreSQL write the new version of a row beside the old one: each turn writes these."""
    return migrations.RunSQL(f"ALTER TABLE {table} SET (fillfactor = 50)", migrations.RunSQL.noop)


def prepare(apps: Any, schema_editor: Any) -> None:
    """The way back leaves the roles: other databases of the server use them too."""
    make_roles(schema_editor.connection)


def finish_tables(apps: Any, schema_editor: Any) -> None:
    """Make now what Django leaves to the end: so the migration is recorded in its transaction."""
    while schema_editor.deferred_sql:
        schema_editor.execute(schema_editor.deferred_sql.pop(0))


def make_default_account(apps: Any, schema_editor: Any) -> None:
    """Make the owner of everything from before tenancy; before the triggers, as no one's change."""
    Account = apps.get_model("accounts", "Account")
    Account.objects.create(slug="default", name="Default Account")


class Migration(migrations.Migration):
    """Accounts, people, keys, limits and the audit log; the account `default` that owns old rows."""

    initial = True
    replaces = [
        ("accounts", "0001_initial"),
        ("accounts", "0002_default_account"),
        ("accounts", "0003_tables"),
        ("accounts", "0004_isolation"),
        ("accounts", "0005_limits"),
        ("accounts", "0006_audit"),
        ("accounts", "0007_audit_triggers"),
        ("accounts", "0008_hot_rows"),
        ("accounts", "0009_audit_rights"),
        ("accounts", "0010_limits_together"),
        ("accounts", "0011_audit_order"),
        ("accounts", "0012_key_offers"),
        ("accounts", "0013_email_forms"),
        ("accounts", "0014_attempt_rates"),
        ("accounts", "0015_budget_amounts"),
        ("accounts", "0016_function_texts"),
    ]
    dependencies = [("auth", "0012_alter_user_first_name_max_length")]

    operations = [
        migrations.RunPython(prepare, migrations.RunPython.noop),
        migrations.CreateModel(
            name="Account",
            fields=[
                ("id", uuid_key()),
                (
                    "slug",
                    models.CharField(
                        help_text="Stands in every URL.", max_length=63, validators=[validate_slug]
                    ),
                ),
                ("name", models.CharField(max_length=255)),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("active", "Active"),
                            ("suspended", "Suspended"),
                            ("deleted", "Deleted"),
                        ],
                        db_default="active",
                        default="active",
                        max_length=9,
                    ),
                ),
                (
                    "subscription_tier",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("free", "Free"),
                            ("standard", "Standard"),
                            ("premium", "Premium"),
                            ("enterprise", "Enterprise"),
                        ],
                        max_length=10,
                        null=True,
                    ),
                ),
                ("created_at", created()),
                ("updated_at", updated()),
            ],
            options={
                "db_table": "accounts",
                "ordering": ["slug"],
                "constraints": [
                    models.UniqueConstraint(name="uq_accounts_slug", fields=("slug",)),
                    models.UniqueConstraint(name="uq_accounts_id_slug", fields=("id", "slug")),
                    models.CheckConstraint(
                        name="ck_accounts_slug",
                        condition=Q(slug__regex="^[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?$"),
                    ),
                    models.CheckConstraint(
                        name="ck_accounts_status",
                        condition=Q(status__in=["active", "suspended", "deleted"]),
                    ),
                    models.CheckConstraint(
                        name="ck_accounts_subscription_tier",
                        condition=Q(subscription_tier=None)
                        | Q(subscription_tier__in=["free", "standard", "premium", "enterprise"]),
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="User",
            fields=[
                ("password", models.CharField(max_length=128, verbose_name="password")),
                (
                    "last_login",
                    models.DateTimeField(blank=True, null=True, verbose_name="last login"),
                ),
                (
                    "is_superuser",
                    models.BooleanField(
                        default=False,
                        help_text="Designates that this user has all permissions without explicitly assigning them.",
                        verbose_name="superuser status",
                    ),
                ),
                (
                    "first_name",
                    models.CharField(blank=True, max_length=150, verbose_name="first name"),
                ),
                (
                    "last_name",
                    models.CharField(blank=True, max_length=150, verbose_name="last name"),
                ),
                (
                    "is_staff",
                    models.BooleanField(
                        default=False,
                        help_text="Designates whether the user can log into this admin site.",
                        verbose_name="staff status",
                    ),
                ),
                (
                    "is_active",
                    models.BooleanField(
                        default=True,
                        help_text="Designates whether this user should be treated as active. Unselect this instead of deleting accounts.",
                        verbose_name="active",
                    ),
                ),
                (
                    "date_joined",
                    models.DateTimeField(
                        default=django.utils.timezone.now, verbose_name="date joined"
                    ),
                ),
                ("id", uuid_key()),
                ("email", models.EmailField(max_length=254, verbose_name="e-mail address")),
                (
                    "is_auditor",
                    models.BooleanField(
                        default=False,
                        help_text="Sees everything in the admin and changes nothing.",
                        verbose_name="auditor",
                    ),
                ),
                (
                    "groups",
                    models.ManyToManyField(
                        blank=True,
                        help_text="The groups this user belongs to. A user will get all permissions granted to each of their groups.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.group",
                        verbose_name="groups",
                    ),
                ),
                (
                    "user_permissions",
                    models.ManyToManyField(
                        blank=True,
                        help_text="Specific permissions for this user.",
                        related_name="user_set",
                        related_query_name="user",
                        to="auth.permission",
                        verbose_name="user permissions",
                    ),
                ),
            ],
            options={
                "db_table": "users",
                "constraints": [
                    models.UniqueConstraint(name="uq_users_email", fields=("email",)),
                    models.CheckConstraint(
                        name="ck_users_auditor",
                        condition=~Q(is_auditor=True, is_superuser=True),
                        violation_error_message="An auditor changes nothing, so cannot be a superuser.",
                    ),
                ],
            },
        ),
        migrations.AddConstraint(
            "user",
            models.UniqueConstraint(
                Lower("email"),
                name="uq_users_email_lower",
                violation_error_message="There is a user with this e-mail address.",
            ),
        ),
        migrations.CreateModel(
            name="Membership",
            fields=[
                ("account", key("accounts.account", models.DB_CASCADE, "memberships")),
                ("user", key(settings.AUTH_USER_MODEL, models.DO_NOTHING, "memberships")),
                ("id", uuid_key()),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("owner", "Owner"),
                            ("admin", "Admin"),
                            ("member", "Member"),
                            ("viewer", "Viewer"),
                        ],
                        max_length=6,
                    ),
                ),
                ("created_at", created()),
                ("updated_at", updated()),
            ],
            options={
                "db_table": "memberships",
                "ordering": ["created_at"],
                "constraints": [
                    models.UniqueConstraint(
                        name="uq_memberships_account_user", fields=("account", "user")
                    ),
                    CompositeForeignKey(
                        name="fk_memberships_account_id",
                        fields=("account",),
                        to="accounts.Account",
                        to_fields=("id",),
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                    ),
                    CompositeForeignKey(
                        name="fk_memberships_user_id",
                        fields=("user",),
                        to="accounts.User",
                        to_fields=("id",),
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                    ),
                    models.CheckConstraint(
                        name="ck_memberships_role",
                        condition=Q(role__in=["owner", "admin", "member", "viewer"]),
                    ),
                ],
            },
        ),
        migrations.AddIndex(
            "membership", models.Index(name="ix_memberships_user", fields=["user"])
        ),
        migrations.CreateModel(
            name="Invitation",
            fields=[
                ("account", key("accounts.account", models.DB_CASCADE, "invitations")),
                ("id", uuid_key()),
                ("email", models.EmailField(max_length=254)),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("owner", "Owner"),
                            ("admin", "Admin"),
                            ("member", "Member"),
                            ("viewer", "Viewer"),
                        ],
                        max_length=6,
                    ),
                ),
                ("invited_by", models.EmailField(blank=True, default="", max_length=254)),
                ("token_hash", models.CharField(editable=False, max_length=64)),
                ("created_at", created()),
                ("expires_at", models.DateTimeField()),
                ("accepted_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "db_table": "invitations",
                "ordering": ["-created_at"],
                "constraints": [
                    models.UniqueConstraint(
                        name="uq_invitations_token_hash", fields=("token_hash",)
                    ),
                    CompositeForeignKey(
                        name="fk_invitations_account_id",
                        fields=("account",),
                        to="accounts.Account",
                        to_fields=("id",),
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                    ),
                    models.CheckConstraint(
                        name="ck_invitations_role",
                        condition=Q(role__in=["owner", "admin", "member", "viewer"]),
                    ),
                ],
            },
        ),
        migrations.AddConstraint(
            "invitation",
            models.UniqueConstraint(
                models.F("account"),
                Lower("email"),
                name="uq_invitations_open",
                condition=Q(accepted_at=None, revoked_at=None),
            ),
        ),
        migrations.CreateModel(
            name="ApiKey",
            fields=[
                ("id", uuid_key()),
                ("name", models.CharField(max_length=100)),
                ("key_id", models.CharField(editable=False, max_length=12)),
                ("secret_hash", models.CharField(editable=False, max_length=64)),
                (
                    "scopes",
                    ArrayField(
                        base_field=models.CharField(
                            choices=[
                                ("chat", "talk to agents"),
                                ("history:read", "read conversations"),
                                ("history:delete", "delete conversations"),
                                ("agents:read", "list agents"),
                                ("usage:read", "read usage and limits"),
                                ("members:read", "list members"),
                                ("members:write", "invite, change and remove members"),
                                ("visitors:write", "start visitors and name end users"),
                                ("connections:read", "list model connections"),
                                ("connections:write", "make, change and delete model connections"),
                                ("audit:read", "read who changed what"),
                            ],
                            max_length=32,
                        )
                    ),
                ),
                ("created_at", created()),
                ("expires_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
                ("last_used_at", models.DateTimeField(blank=True, editable=False, null=True)),
                ("account", key("accounts.account", models.DB_CASCADE, "api_keys")),
                ("rotated_at", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "rotated_from",
                    models.CharField(blank=True, db_default="", editable=False, max_length=12),
                ),
                (
                    "instance_ids",
                    ArrayField(
                        base_field=models.UUIDField(),
                        blank=True,
                        default=list,
                        help_text="Empty: every agent instance.",
                    ),
                ),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("secret", "secret: for servers"),
                            ("publishable", "publishable: for web pages, starts visitors only"),
                        ],
                        default="secret",
                        max_length=11,
                    ),
                ),
                (
                    "mode",
                    models.CharField(
                        choices=[("live", "Live"), ("test", "test: always answered by the script")],
                        default="live",
                        max_length=4,
                    ),
                ),
                (
                    "networks",
                    ArrayField(
                        base_field=models.CharField(max_length=43),
                        blank=True,
                        default=list,
                        help_text="Empty: from anywhere.",
                    ),
                ),
                (
                    "origins",
                    ArrayField(
                        base_field=models.CharField(max_length=255),
                        blank=True,
                        default=list,
                        help_text="Where a publishable key may be used: https://shop.example",
                    ),
                ),
                ("support_access_id", models.UUIDField(blank=True, editable=False, null=True)),
                (
                    "taker",
                    models.EmailField(blank=True, db_default="", editable=False, max_length=254),
                ),
                (
                    "offer_hash",
                    models.CharField(blank=True, db_default="", editable=False, max_length=64),
                ),
                ("offer_expires_at", models.DateTimeField(blank=True, editable=False, null=True)),
            ],
            options={
                "verbose_name": "API key",
                "db_table": "api_keys",
                "ordering": ["-created_at"],
                "constraints": [
                    models.UniqueConstraint(name="uq_api_keys_key_id", fields=("key_id",)),
                    CompositeForeignKey(
                        name="fk_api_keys_account_id",
                        fields=("account",),
                        to="accounts.Account",
                        to_fields=("id",),
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                    ),
                    models.CheckConstraint(
                        name="ck_api_keys_scopes",
                        condition=Q(
                            scopes__contained_by=[
                                "chat",
                                "history:read",
                                "history:delete",
                                "agents:read",
                                "usage:read",
                                "members:read",
                                "members:write",
                                "visitors:write",
                                "connections:read",
                                "connections:write",
                                "audit:read",
                            ]
                        ),
                    ),
                    models.CheckConstraint(
                        name="ck_api_keys_kind",
                        condition=Q(kind="secret", origins=[])
                        | Q(
                            instance_ids__len=1,
                            kind="publishable",
                            origins__len__gte=1,
                            scopes=["visitors:write"],
                        ),
                    ),
                    models.CheckConstraint(
                        name="ck_api_keys_mode", condition=Q(mode__in=["live", "test"])
                    ),
                    models.CheckConstraint(
                        name="ck_api_keys_support_access",
                        condition=Q(support_access_id=None) | Q(expires_at__isnull=False),
                    ),
                ],
            },
        ),
        migrations.AddIndex(
            "apikey",
            models.Index(name="ix_api_keys_account_created", fields=["account", "created_at"]),
        ),
        migrations.CreateModel(
            name="AccountLimits",
            fields=[
                (
                    "account",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=models.DB_CASCADE,
                        primary_key=True,
                        related_name="limits",
                        serialize=False,
                        to="accounts.account",
                    ),
                ),
                ("requests_per_minute", models.IntegerField(blank=True, null=True)),
                ("requests_per_minute_per_key", models.IntegerField(blank=True, null=True)),
                ("requests_per_minute_per_visitor", models.IntegerField(blank=True, null=True)),
                ("requests_per_minute_per_network", models.IntegerField(blank=True, null=True)),
                ("concurrent_turns", models.IntegerField(blank=True, null=True)),
                ("message_bytes", models.IntegerField(blank=True, null=True)),
                ("history_messages", models.IntegerField(blank=True, null=True)),
                ("output_tokens", models.IntegerField(blank=True, null=True)),
                ("running", models.IntegerField(db_default=0, editable=False)),
            ],
            options={
                "verbose_name_plural": "account limits",
                "db_table": "account_limits",
                "constraints": [
                    CompositeForeignKey(
                        name="fk_account_limits_account_id",
                        fields=("account",),
                        to="accounts.Account",
                        to_fields=("id",),
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                    ),
                    models.CheckConstraint(
                        name="ck_account_limits_running", condition=Q(running__gte=0)
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Budget",
            fields=[
                ("account", key("accounts.account", models.DB_CASCADE, "budgets")),
                ("id", uuid_key()),
                (
                    "agent_instance_id",
                    models.UUIDField(
                        blank=True, help_text="Empty: the budget of the whole account.", null=True
                    ),
                ),
                (
                    "period",
                    models.CharField(choices=[("day", "Day"), ("month", "Month")], max_length=5),
                ),
                (
                    "limit",
                    models.DecimalField(
                        decimal_places=8, max_digits=14, verbose_name="limit (USD)"
                    ),
                ),
                ("period_start", models.DateTimeField(editable=False)),
                (
                    "spent",
                    models.DecimalField(
                        db_default=0, decimal_places=8, editable=False, max_digits=20
                    ),
                ),
                (
                    "reserved",
                    models.DecimalField(
                        db_default=0, decimal_places=8, editable=False, max_digits=20
                    ),
                ),
                (
                    "alert_percents",
                    ArrayField(
                        base_field=models.IntegerField(), blank=True, default=default_alert_percents
                    ),
                ),
                ("alerted_percent", models.IntegerField(db_default=0, editable=False)),
                ("updated_at", updated()),
            ],
            options={
                "db_table": "budgets",
                "ordering": ["period"],
                "constraints": [
                    CompositeForeignKey(
                        name="fk_budgets_account_id",
                        fields=("account",),
                        to="accounts.Account",
                        to_fields=("id",),
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                    ),
                    models.CheckConstraint(
                        name="ck_budgets_period", condition=Q(period__in=["day", "month"])
                    ),
                    models.CheckConstraint(
                        name="ck_budgets_amounts",
                        condition=Q(limit__gte=0, reserved__gte=0, spent__gte=0),
                    ),
                ],
            },
        ),
        migrations.AddConstraint(
            "budget",
            models.UniqueConstraint(
                name="uq_budgets_account_instance_period",
                fields=("account", "agent_instance_id", "period"),
                nulls_distinct=False,
            ),
        ),
        account_in_primary_key("budgets"),
        migrations.CreateModel(
            name="RateState",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "account_id",
                        "subject",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                ("account", key("accounts.account", models.DB_CASCADE, "+")),
                ("subject", models.CharField(max_length=100)),
                ("arrival", models.DateTimeField()),
            ],
            options={
                "db_table": "rate_states",
                "constraints": [
                    CompositeForeignKey(
                        name="fk_rate_states_account_id",
                        fields=("account",),
                        to="accounts.Account",
                        to_fields=("id",),
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="AttemptRate",
            fields=[
                ("subject", models.CharField(max_length=100, primary_key=True, serialize=False)),
                ("arrival", models.DateTimeField()),
            ],
            options={"db_table": "attempt_rates"},
        ),
        migrations.CreateModel(
            name="SupportAccess",
            fields=[
                ("id", uuid_key()),
                ("staff", models.CharField(editable=False, max_length=255)),
                ("reason", models.TextField()),
                ("created_at", created()),
                ("expires_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("account", key("accounts.account", models.DB_CASCADE, "support_accesses")),
                ("user", key(settings.AUTH_USER_MODEL, models.DO_NOTHING, "+")),
            ],
            options={
                "verbose_name_plural": "support accesses",
                "db_table": "support_accesses",
                "ordering": ["-created_at"],
                "constraints": [
                    CompositeForeignKey(
                        name="fk_support_accesses_account_id",
                        fields=("account",),
                        to="accounts.Account",
                        to_fields=("id",),
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                    ),
                    CompositeForeignKey(
                        name="fk_support_accesses_user_id",
                        fields=("user",),
                        to="accounts.User",
                        to_fields=("id",),
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                    ),
                    models.CheckConstraint(
                        name="ck_support_accesses_reason", condition=Q(reason__regex="\\S")
                    ),
                ],
            },
        ),
        migrations.AddIndex(
            "supportaccess",
            models.Index(
                name="ix_support_accesses_account", fields=["account", "user", "-expires_at"]
            ),
        ),
        migrations.AddIndex(
            "supportaccess", models.Index(name="ix_support_accesses_user", fields=["user"])
        ),
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                ("id", uuid_key()),
                ("created_at", created()),
                (
                    "actor_kind",
                    models.CharField(
                        choices=[
                            ("staff", "Staff"),
                            ("member", "Member"),
                            ("key", "API key"),
                            ("visitor", "Visitor"),
                            ("command", "Command"),
                            ("system", "system: nobody was named"),
                        ],
                        db_default="system",
                        editable=False,
                        max_length=7,
                    ),
                ),
                ("actor_id", models.CharField(db_default="", editable=False, max_length=100)),
                ("actor", models.CharField(db_default="", editable=False, max_length=255)),
                (
                    "action",
                    models.CharField(
                        choices=[
                            ("created", "Created"),
                            ("changed", "Changed"),
                            ("deleted", "Deleted"),
                            ("noted", "Noted"),
                        ],
                        editable=False,
                        max_length=7,
                    ),
                ),
                ("object_type", models.CharField(editable=False, max_length=63)),
                ("object_id", models.CharField(editable=False, max_length=100)),
                ("object", models.CharField(db_default="", editable=False, max_length=255)),
                ("changes", models.JSONField(default=dict, editable=False)),
                ("reason", models.TextField(db_default="", editable=False)),
                ("account", key("accounts.account", models.DB_CASCADE, "+", null=True)),
            ],
            options={
                "verbose_name": "audit entry",
                "verbose_name_plural": "audit log",
                "db_table": "audit_log",
                "ordering": ["-created_at", "-id"],
                "constraints": [
                    CompositeForeignKey(
                        name="fk_audit_log_account_id",
                        fields=("account",),
                        to="accounts.Account",
                        to_fields=("id",),
                        on_delete="CASCADE",
                        on_update="NO ACTION",
                    ),
                    models.CheckConstraint(
                        name="ck_audit_log_actor_kind",
                        condition=Q(
                            actor_kind__in=[
                                "staff",
                                "member",
                                "key",
                                "visitor",
                                "command",
                                "system",
                            ]
                        ),
                    ),
                    models.CheckConstraint(
                        name="ck_audit_log_action",
                        condition=Q(action__in=["created", "changed", "deleted", "noted"]),
                    ),
                ],
            },
        ),
        migrations.AddIndex(
            "auditentry",
            models.Index(
                name="ix_audit_log_account_time", fields=["account", "-created_at", "-id"]
            ),
        ),
        migrations.AddIndex(
            "auditentry", models.Index(name="ix_audit_log_time", fields=["-created_at", "-id"])
        ),
        migrations.AddIndex(
            "auditentry",
            models.Index(
                name="ix_audit_log_object", fields=["object_type", "object_id", "-created_at"]
            ),
        ),
        migrations.RunPython(finish_tables, migrations.RunPython.noop),
        migrations.RunSQL("DROP INDEX attempt_rates_subject_1689dd05_like", migrations.RunSQL.noop),
        leave_room("account_limits"),
        leave_room("budgets"),
        leave_room("rate_states"),
        migrations.RunPython(make_default_account, migrations.RunPython.noop),
        SQLFile("accounts", "0001_app_current_account", back="DROP FUNCTION app_current_account()"),
        SQLFile("accounts", "0001_app_find_account", back="DROP FUNCTION app_find_account(text)"),
        SQLFile("accounts", "0001_app_find_api_key", back="DROP FUNCTION app_find_api_key(text)"),
        SQLFile(
            "accounts",
            "0001_app_count_budget",
            back="DROP FUNCTION app_count_budget(uuid, uuid, timestamptz)",
        ),
        SQLFile(
            "accounts",
            "0001_app_take_limits",
            back="DROP FUNCTION app_take_limits(uuid, uuid, jsonb, integer, integer, integer, numeric, timestamptz)",
        ),
        SQLFile(
            "accounts",
            "0001_app_release_limits",
            back="DROP FUNCTION app_release_limits(uuid, uuid, integer, numeric, numeric, timestamptz)",
        ),
        SQLFile("accounts", "0001_app_record_change", back="DROP FUNCTION app_record_change()"),
        SQLFile("accounts", "0001_isolation", before="0001_isolation_back"),
        SQLFile("accounts", "0001_triggers", before="0001_triggers_back"),
    ]
