from django.db import migrations

from salient.database.constraints import CompositeForeignKey


class Migration(migrations.Migration):
    """Let a budget be an agent's: agents have accounts, so this key comes after both tables."""

    replaces = [("accounts", "0017_account_in_keys")]
    dependencies = [("accounts", "0001_accounts"), ("agents", "0001_agents")]

    operations = [
        migrations.AddConstraint(
            "budget",
            CompositeForeignKey(
                name="fk_budgets_agent_instance_id",
                fields=("account", "agent_instance_id"),
                to="agents.AgentInstance",
                to_fields=("account", "id"),
                on_delete="CASCADE",
                on_update="NO ACTION",
            ),
        )
    ]
