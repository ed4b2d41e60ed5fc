from django.db import migrations

from salient.database.key_changes import (
    BriefSQLFile,
    ChangeForeignKeys,
    WidenPrimaryKey,
)


class Migration(migrations.Migration):
    """Put the account into every key of a table whose rows belong to accounts.

    So the tables can be distributed by account. Policies compare without a sub-select, primary keys
    are (id, account_id), and only keys that hold a slug follow an update. Made while servers go on.
    """

    atomic = False
    dependencies = [("accounts", "0016_function_texts")]

    operations = [
        BriefSQLFile("accounts", "0017_policies", before="0017_policies_back"),
        WidenPrimaryKey("budget"),
        ChangeForeignKeys("accountlimits", ["fk_account_limits_account_id"], on_update="NO ACTION"),
        ChangeForeignKeys("apikey", ["fk_api_keys_account_id"], on_update="NO ACTION"),
        ChangeForeignKeys("auditentry", ["fk_audit_log_account_id"], on_update="NO ACTION"),
        ChangeForeignKeys(
            "budget",
            ["fk_budgets_account_id", "fk_budgets_agent_instance_id"],
            on_update="NO ACTION",
        ),
        ChangeForeignKeys("invitation", ["fk_invitations_account_id"], on_update="NO ACTION"),
        ChangeForeignKeys(
            "membership",
            ["fk_memberships_account_id", "fk_memberships_user_id"],
            on_update="NO ACTION",
        ),
        ChangeForeignKeys("ratestate", ["fk_rate_states_account_id"], on_update="NO ACTION"),
        ChangeForeignKeys(
            "supportaccess",
            ["fk_support_accesses_account_id", "fk_support_accesses_user_id"],
            on_update="NO ACTION",
        ),
    ]
