-- Returns the account of the open tenant context; every tenant policy compares with it.
--
-- The context sets app.account_id for its transaction. Without one the function raises, so that a
-- forgotten context fails instead of returning no rows.
-- Locks: none. Raises: 42501 (insufficient_privilege) where no account is set.
CREATE OR REPLACE FUNCTION app_current_account() RETURNS uuid
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    account text := pg_catalog.current_setting('app.account_id', true);
BEGIN
    IF account IS NULL OR account = '' THEN
        RAISE insufficient_privilege USING MESSAGE = 'no account is set: open a tenant context';
    END IF;
    RETURN account::uuid;
END $$;
