-- Returns the account of the open tenant context; every tenant policy compares with it.
--
-- The context sets app.account_id for its transaction. Without one the function raises, so that a
-- forgotten context fails instead of returning no rows.
-- Its body is an expression, whose names are found when it is made: PostgreSQL writes it into each
-- policy's check instead of calling a function, thirty times a turn.
-- Locks: none. Raises: 42501 (insufficient_privilege) where no account is set, by app_no_account.
CREATE OR REPLACE FUNCTION app_current_account() RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
RETURN CASE pg_catalog.current_setting('app.account_id', true) <> ''
    WHEN true THEN pg_catalog.current_setting('app.account_id', true)::uuid
    ELSE app_no_account()
END;
