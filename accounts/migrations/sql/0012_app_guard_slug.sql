-- Trigger function of accounts: refuses a slug that another account still needs.
--
-- That is one whose old URLs lead to the other account (former_slugs), or under which the other
-- account's configuration files lie (accounts.config_folder): files of one account never configure
-- another. It runs after the row is written, so that whoever gives the slug up at this moment has
-- committed, or is waited for at uq_accounts_slug.
--
-- It runs as the tables' owner, which sees every account.
-- Locks: none. Raises: 23505 (unique_violation) with the constraint uq_former_slugs.
CREATE OR REPLACE FUNCTION app_guard_slug() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    is_taken boolean;
BEGIN
    EXECUTE format(
        'SELECT EXISTS (SELECT FROM %1$I.former_slugs WHERE slug = $1 AND account_id <> $2 '
        'AND expires_at > clock_timestamp()) OR EXISTS (SELECT FROM %1$I.accounts '
        'WHERE config_folder = $1 AND id <> $2)', TG_TABLE_SCHEMA)
        INTO is_taken USING NEW.slug, NEW.id;
    IF is_taken THEN
        RAISE unique_violation USING CONSTRAINT = 'uq_former_slugs',
            MESSAGE = format('the slug “%s” still leads to another account', NEW.slug);
    END IF;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION app_guard_slug() FROM PUBLIC;
