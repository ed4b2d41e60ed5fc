from django.db import migrations, models


def widen(table: str, model: str, *, before: int, after: int) -> migrations.RunSQL:
    """Let a model's name be longer; on the way back a longer one is cut.

    A longer varchar changes the catalogue alone: no row is read, no index is built anew.
    """
    alter = f"ALTER TABLE {table} ALTER COLUMN model TYPE varchar"
    return migrations.RunSQL(
        f"{alter}({after})",
        f"{alter}({before}) USING left(model, {before})",
        [migrations.AlterField(model, "model", models.CharField(max_length=after))],
    )


class Migration(migrations.Migration):
    """Names of models have up to 255 characters: ARNs and paths are longer than 100."""

    dependencies = [("sessions_app", "0025_validate_cost_source")]

    operations = [
        widen("llm_requests", "llmrequest", before=100, after=255),
        # "provider:model"
        widen("usage_days", "usageday", before=151, after=306),
        widen("usage_totals", "usagetotal", before=151, after=306),
    ]
