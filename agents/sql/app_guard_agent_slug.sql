-- Trigger function of agent_instances: refuses a slug that another agent of the account still needs.
--
-- That is one whose old URLs lead to the other agent (former_agent_slugs), or under which the other
-- agent's configuration files lie (agent_instances.config_folder). It runs after the row is
-- written, as app_guard_slug does.
--
-- It runs as the tables' owner; every condition holds the account.
-- Locks: none. Raises: 23505 (unique_violation) with the constraint uq_former_agent_slugs.
CREATE OR REPLACE FUNCTION app_guard_agent_slug() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    is_taken boolean;
BEGIN
    EXECUTE format(
        'SELECT EXISTS (SELECT FROM %1$I.former_agent_slugs WHERE account_id = $1 '
        'AND instance_slug = $2 AND agent_instance_id <> $3 AND expires_at > clock_timestamp()) '
        'OR EXISTS (SELECT FROM %1$I.agent_instances WHERE account_id = $1 AND id <> $3 '
        'AND split_part(config_folder, ''/'', 2) = $2 AND instance_slug <> $2)', TG_TABLE_SCHEMA)
        INTO is_taken USING NEW.account_id, NEW.instance_slug, NEW.id;
    IF is_taken THEN
        RAISE unique_violation USING CONSTRAINT = 'uq_former_agent_slugs',
            MESSAGE = format('the slug “%s” still leads to another agent', NEW.instance_slug);
    END IF;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION app_guard_agent_slug() FROM PUBLIC;
