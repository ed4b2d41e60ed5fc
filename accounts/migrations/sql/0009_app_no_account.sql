-- Refuses a statement outside of every tenant context; app_current_account calls it.
--
-- Locks: none. Raises: 42501 (insufficient_privilege), always.
CREATE OR REPLACE FUNCTION app_no_account() RETURNS uuid
LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
BEGIN
    RAISE insufficient_privilege USING MESSAGE = 'no account is set: open a tenant context';
END $$;
