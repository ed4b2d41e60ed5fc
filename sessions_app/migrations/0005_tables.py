from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_tables"),
        ("agents", "0003_tables"),
        ("sessions_app", "0004_constraints"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="llmrequest",
            name="caller",
            field=models.CharField(db_default="", editable=False, max_length=100),
        ),
        migrations.AddField(
            model_name="llmrequest",
            name="idempotency_hash",
            field=models.CharField(db_default="", editable=False, max_length=64),
        ),
        migrations.AddField(
            model_name="llmrequest",
            name="idempotency_key",
            field=models.CharField(blank=True, editable=False, max_length=255, null=True),
        ),
        migrations.AddField(
            model_name="llmrequest",
            name="is_test",
            field=models.BooleanField(db_default=False, editable=False),
        ),
        migrations.AddField(
            model_name="llmrequest",
            name="reserved_cost",
            field=models.DecimalField(
                blank=True, decimal_places=8, editable=False, max_digits=12, null=True
            ),
        ),
        migrations.AddField(
            model_name="llmrequest",
            name="charged_cost",
            field=models.DecimalField(
                blank=True, decimal_places=8, editable=False, max_digits=12, null=True
            ),
        ),
        migrations.AddField(
            model_name="session",
            name="deleted_at",
            field=models.DateTimeField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="session",
            name="end_user",
            field=models.CharField(blank=True, editable=False, max_length=255, null=True),
        ),
        migrations.AddIndex(
            model_name="session",
            index=models.Index(
                condition=models.Q(("end_user__isnull", False)),
                fields=["agent_instance", "end_user", "-last_activity_at"],
                name="ix_sessions_end_user",
            ),
        ),
        # No server runs while this is applied: what still says so was abandoned.
        migrations.RunSQL(
            "UPDATE llm_requests SET completion_status = 'error', error_code = 'abandoned', "
            "settled_at = now() WHERE completion_status = 'running'",
            migrations.RunSQL.noop,
        ),
        migrations.AddConstraint(
            model_name="llmrequest",
            constraint=models.UniqueConstraint(
                condition=models.Q(("completion_status", "running")),
                fields=("session",),
                name="uq_llm_requests_running_in_session",
            ),
        ),
        migrations.AddConstraint(
            model_name="llmrequest",
            constraint=models.UniqueConstraint(
                condition=models.Q(("idempotency_key__isnull", False)),
                fields=("account", "caller", "idempotency_key"),
                name="uq_llm_requests_idempotency",
            ),
        ),
    ]
