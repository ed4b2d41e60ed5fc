import accounts.models
import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.functions.text
import salient.database.constraints
import salient.ids
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("agents", "0001_initial"),
        ("accounts", "0002_default_account"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="apikey",
            name="ck_api_keys_scopes",
        ),
        # The way back: the scopes of then know no others.
        migrations.RunSQL(
            migrations.RunSQL.noop,
            "UPDATE api_keys SET scopes = ARRAY(SELECT scope FROM unnest(scopes) AS scope "
            "WHERE scope IN ('chat', 'history:read', 'agents:read'))",
        ),
        migrations.CreateModel(
            name="AccountLimits",
            fields=[
                (
                    "account",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.DB_CASCADE,
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
            },
        ),
        migrations.CreateModel(
            name="Budget",
            fields=[
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DB_CASCADE,
                        related_name="budgets",
                        to="accounts.account",
                    ),
                ),
                (
                    "id",
                    models.UUIDField(
                        default=salient.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
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
                        db_default=0, decimal_places=8, editable=False, max_digits=14
                    ),
                ),
                (
                    "reserved",
                    models.DecimalField(
                        db_default=0, decimal_places=8, editable=False, max_digits=14
                    ),
                ),
                (
                    "alert_percents",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.IntegerField(),
                        blank=True,
                        default=accounts.models.default_alert_percents,
                    ),
                ),
                ("alerted_percent", models.IntegerField(db_default=0, editable=False)),
                (
                    "updated_at",
                    models.DateTimeField(
                        auto_now=True, db_default=django.db.models.functions.datetime.Now()
                    ),
                ),
            ],
            options={
                "db_table": "budgets",
                "ordering": ["period"],
            },
        ),
        migrations.CreateModel(
            name="Invitation",
            fields=[
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DB_CASCADE,
                        related_name="invitations",
                        to="accounts.account",
                    ),
                ),
                (
                    "id",
                    models.UUIDField(
                        default=salient.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
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
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                ("expires_at", models.DateTimeField()),
                ("accepted_at", models.DateTimeField(blank=True, null=True)),
                ("revoked_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "db_table": "invitations",
                "ordering": ["-created_at"],
            },
        ),
        migrations.CreateModel(
            name="Membership",
            fields=[
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DB_CASCADE,
                        related_name="memberships",
                        to="accounts.account",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="memberships",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "id",
                    models.UUIDField(
                        default=salient.ids.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
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
                (
                    "created_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                (
                    "updated_at",
                    models.DateTimeField(
                        auto_now=True, db_default=django.db.models.functions.datetime.Now()
                    ),
                ),
            ],
            options={
                "db_table": "memberships",
                "ordering": ["created_at"],
            },
        ),
        migrations.CreateModel(
            name="RateState",
            fields=[
                (
                    "account",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DB_CASCADE,
                        related_name="+",
                        to="accounts.account",
                    ),
                ),
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
                ("subject", models.CharField(max_length=100)),
                ("arrival", models.DateTimeField()),
            ],
            options={
                "db_table": "rate_states",
            },
        ),
        migrations.AddField(
            model_name="apikey",
            name="rotated_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="apikey",
            name="rotated_from",
            field=models.CharField(blank=True, db_default="", editable=False, max_length=12),
        ),
        migrations.AddField(
            model_name="apikey",
            name="instance_ids",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.UUIDField(),
                blank=True,
                default=list,
                help_text="Empty: every agent instance.",
            ),
        ),
        migrations.AddField(
            model_name="apikey",
            name="kind",
            field=models.CharField(
                choices=[
                    ("secret", "secret: for servers"),
                    ("publishable", "publishable: for web pages, starts visitors only"),
                ],
                default="secret",
                max_length=11,
            ),
        ),
        migrations.AddField(
            model_name="apikey",
            name="mode",
            field=models.CharField(
                choices=[("live", "Live"), ("test", "test: always answered by the script")],
                default="live",
                max_length=4,
            ),
        ),
        migrations.AddField(
            model_name="apikey",
            name="networks",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=43),
                blank=True,
                default=list,
                help_text="Empty: from anywhere.",
            ),
        ),
        migrations.AddField(
            model_name="apikey",
            name="origins",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=255),
                blank=True,
                default=list,
                help_text="Where a publishable key may be used: https://shop.example",
            ),
        ),
        migrations.AddField(
            model_name="user",
            name="is_auditor",
            field=models.BooleanField(
                default=False,
                help_text="Sees everything in the admin and changes nothing.",
                verbose_name="auditor",
            ),
        ),
        migrations.AddConstraint(
            model_name="user",
            constraint=models.CheckConstraint(
                condition=models.Q(("is_auditor", True), ("is_superuser", True), _negated=True),
                name="ck_users_auditor",
                violation_error_message="An auditor changes nothing, so cannot be a superuser.",
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
                        ("usage:read", "read usage and limits"),
                        ("members:read", "list members"),
                        ("members:write", "invite, change and remove members"),
                        ("visitors:write", "start visitors and name end users"),
                        ("connections:read", "list model connections"),
                        (
                            "connections:write",
                            "make, change and delete model connections",
                        ),
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
                            "usage:read",
                            "members:read",
                            "members:write",
                            "visitors:write",
                            "connections:read",
                            "connections:write",
                        ],
                    )
                ),
                name="ck_api_keys_scopes",
            ),
        ),
        migrations.AddConstraint(
            model_name="apikey",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("kind", "secret"), ("origins", [])),
                    models.Q(
                        ("instance_ids__len", 1),
                        ("kind", "publishable"),
                        ("origins__len__gte", 1),
                        ("scopes", ["visitors:write"]),
                    ),
                    _connector="OR",
                ),
                name="ck_api_keys_kind",
            ),
        ),
        migrations.AddConstraint(
            model_name="apikey",
            constraint=models.CheckConstraint(
                condition=models.Q(("mode__in", ["live", "test"])), name="ck_api_keys_mode"
            ),
        ),
        migrations.AddConstraint(
            model_name="accountlimits",
            constraint=salient.database.constraints.CompositeForeignKey(
                fields=("account",),
                name="fk_account_limits_account_id",
                on_delete="CASCADE",
                to="accounts.Account",
                to_fields=("id",),
            ),
        ),
        migrations.AddConstraint(
            model_name="accountlimits",
            constraint=models.CheckConstraint(
                condition=models.Q(("running__gte", 0)), name="ck_account_limits_running"
            ),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.UniqueConstraint(
                fields=("account", "agent_instance_id", "period"),
                name="uq_budgets_account_instance_period",
                nulls_distinct=False,
            ),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=salient.database.constraints.CompositeForeignKey(
                fields=("account",),
                name="fk_budgets_account_id",
                on_delete="CASCADE",
                to="accounts.Account",
                to_fields=("id",),
            ),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=salient.database.constraints.CompositeForeignKey(
                fields=("account", "agent_instance_id"),
                name="fk_budgets_agent_instance_id",
                on_delete="CASCADE",
                to="agents.AgentInstance",
                to_fields=("account", "id"),
            ),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.CheckConstraint(
                condition=models.Q(("period__in", ["day", "month"])), name="ck_budgets_period"
            ),
        ),
        migrations.AddConstraint(
            model_name="budget",
            constraint=models.CheckConstraint(
                condition=models.Q(("limit__gte", 0), ("reserved__gte", 0), ("spent__gte", 0)),
                name="ck_budgets_amounts",
            ),
        ),
        migrations.AddConstraint(
            model_name="invitation",
            constraint=models.UniqueConstraint(
                fields=("token_hash",), name="uq_invitations_token_hash"
            ),
        ),
        migrations.AddConstraint(
            model_name="invitation",
            constraint=models.UniqueConstraint(
                models.F("account"),
                django.db.models.functions.text.Lower("email"),
                condition=models.Q(("accepted_at", None), ("revoked_at", None)),
                name="uq_invitations_open",
            ),
        ),
        migrations.AddConstraint(
            model_name="invitation",
            constraint=salient.database.constraints.CompositeForeignKey(
                fields=("account",),
                name="fk_invitations_account_id",
                on_delete="CASCADE",
                to="accounts.Account",
                to_fields=("id",),
            ),
        ),
        migrations.AddConstraint(
            model_name="invitation",
            constraint=models.CheckConstraint(
                condition=models.Q(("role__in", ["owner", "admin", "member", "viewer"])),
                name="ck_invitations_role",
            ),
        ),
        migrations.AddIndex(
            model_name="membership",
            index=models.Index(fields=["user"], name="ix_memberships_user"),
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.UniqueConstraint(
                fields=("account", "user"), name="uq_memberships_account_user"
            ),
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=salient.database.constraints.CompositeForeignKey(
                fields=("account",),
                name="fk_memberships_account_id",
                on_delete="CASCADE",
                to="accounts.Account",
                to_fields=("id",),
            ),
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=salient.database.constraints.CompositeForeignKey(
                fields=("user",),
                name="fk_memberships_user_id",
                on_delete="CASCADE",
                to="accounts.User",
                to_fields=("id",),
            ),
        ),
        migrations.AddConstraint(
            model_name="membership",
            constraint=models.CheckConstraint(
                condition=models.Q(("role__in", ["owner", "admin", "member", "viewer"])),
                name="ck_memberships_role",
            ),
        ),
        migrations.AddIndex(
            model_name="ratestate",
            index=models.Index(fields=["arrival"], name="ix_rate_states_arrival"),
        ),
        migrations.AddConstraint(
            model_name="ratestate",
            constraint=salient.database.constraints.CompositeForeignKey(
                fields=("account",),
                name="fk_rate_states_account_id",
                on_delete="CASCADE",
                to="accounts.Account",
                to_fields=("id",),
            ),
        ),
    ]
