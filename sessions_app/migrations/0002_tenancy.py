from django.conf import settings
from django.db import migrations, models


def key(to: str) -> models.ForeignKey:
    return models.ForeignKey(
        to, models.DO_NOTHING, null=True, related_name="+", db_constraint=False, db_index=False
    )


def add(model: str, **fields: models.Field) -> list[migrations.AddField]:
    return [migrations.AddField(model, name, field) for name, field in fields.items()]


def slug() -> models.CharField:
    return models.CharField(max_length=63, null=True)


class Migration(migrations.Migration):
    """Room for tenancy, still empty: columns that may be null."""

    dependencies = [
        ("sessions_app", "0001_initial"),
        ("agents", "0002_default_instance"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        *add(
            "session",
            account=key("accounts.account"),
            account_slug=slug(),
            agent_instance=key("agents.agentinstance"),
            agent_instance_slug=slug(),
            user=key(settings.AUTH_USER_MODEL),
            updated_at=models.DateTimeField(null=True),
        ),
        *add(
            "llmrequest",
            account=key("accounts.account"),
            account_slug=slug(),
            agent_instance=key("agents.agentinstance"),
            agent_instance_slug=slug(),
            agent_type=models.CharField(max_length=50, null=True),
            completion_status=models.CharField(max_length=9, null=True),
            config_version=key("agents.configversion"),
            error_code=models.CharField(max_length=50, blank=True, db_default=""),
            requests=models.IntegerField("model calls", db_default=0),
            cached_tokens=models.IntegerField(null=True, blank=True),
            tokens_estimated=models.BooleanField(db_default=False),
            cost_source=models.CharField(max_length=12, db_default="unknown"),
            time_to_first_token_ms=models.IntegerField(null=True, blank=True),
            settled_at=models.DateTimeField(null=True, blank=True, editable=False),
        ),
        migrations.RenameField("llmrequest", "unit_cost_prompt", "prompt_cost"),
        migrations.RenameField("llmrequest", "unit_cost_completion", "completion_cost"),
        migrations.RenameField("llmrequest", "computed_cost", "total_cost"),
        *add(
            "message",
            account=key("accounts.account"),
            agent_instance=key("agents.agentinstance"),
            llm_request=key("sessions_app.llmrequest"),
            config_version=key("agents.configversion"),
        ),
        *add("profile", account=key("accounts.account")),
    ]
