from django.db import migrations, models

NAMES = (
    "heavy_calls_per_minute",
    "new_secrets_per_minute",
    "reads_per_minute",
    "sends_per_minute",
    "visitor_tokens_per_minute",
    "writes_per_minute",
)


class Migration(migrations.Migration):
    """Let an account have its own rate for each kind of calls that are no turns."""

    dependencies = [("accounts", "0006_webhooks_isolation")]

    operations = [
        migrations.AddField("accountlimits", name, models.IntegerField(blank=True, null=True))
        for name in NAMES
    ]
