from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    """Look whether the rows from before have a known source of their cost; nobody waits for it."""

    dependencies = [("sessions_app", "0024_message_text_start")]

    operations = [ValidateConstraint("llmrequest", "ck_llm_requests_cost_source")]
