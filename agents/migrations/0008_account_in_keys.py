from django.db import migrations, models

from salient.database.key_changes import (
    BriefSQLFile,
    ChangeForeignKeys,
    ReplaceUnique,
    WidenPrimaryKey,
)


class Migration(migrations.Migration):
    """Put the account into every key of a table whose rows belong to accounts.

    So the tables can be distributed by account. Policies compare without a sub-select, primary keys
    are (id, account_id), and only keys that hold a slug follow an update. Made while servers go on.
    """

    atomic = False
    dependencies = [("agents", "0007_drafts"), ("accounts", "0017_account_in_keys")]

    operations = [
        BriefSQLFile("agents", "0008_policies", before="0008_policies_back"),
        ReplaceUnique(
            "configversion",
            models.UniqueConstraint(
                fields=["agent_instance", "digest", "account"],
                name="uq_config_versions_instance_digest",
            ),
        ),
        ReplaceUnique(
            "configdraft",
            models.UniqueConstraint(
                fields=["agent_instance", "account"], name="uq_config_drafts_instance"
            ),
        ),
        ReplaceUnique(
            "configpublication",
            models.UniqueConstraint(
                fields=["agent_instance", "number", "account"], name="uq_config_publications_number"
            ),
        ),
        WidenPrimaryKey("agentinstance", unique="uq_agent_instances_account_id"),
        WidenPrimaryKey("configversion"),
        WidenPrimaryKey("providerconnection"),
        WidenPrimaryKey("configdraft"),
        WidenPrimaryKey("configpublication"),
        ChangeForeignKeys(
            "agentinstance", ["fk_agent_instances_account_id"], on_update="NO ACTION"
        ),
        ChangeForeignKeys(
            "configversion", ["fk_config_versions_agent_instance_id"], on_update="NO ACTION"
        ),
        ChangeForeignKeys(
            "providerconnection", ["fk_provider_connections_account_id"], on_update="NO ACTION"
        ),
        ChangeForeignKeys(
            "configdraft",
            ["fk_config_drafts_agent_instance_id", "fk_config_drafts_author_id"],
            on_update="NO ACTION",
        ),
        ChangeForeignKeys(
            "configpublication",
            [
                "fk_config_publications_agent_instance_id",
                "fk_config_publications_config_version_id",
                "fk_config_publications_author_id",
            ],
            on_update="NO ACTION",
        ),
    ]
