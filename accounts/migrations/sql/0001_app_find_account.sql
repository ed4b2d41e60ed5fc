-- Finds one account by its slug, before any account is known.
--
-- Row-level security would hide it, so the function runs as its owner: its search_path is fixed,
-- it returns these columns of one row and nothing else, and only the logins of this database may
-- call it (accounts/tenancy/roles.py).
-- wanted: the slug. Returns no row or one: id, slug, name, status.
-- Locks: none. Raises: nothing of its own.
CREATE OR REPLACE FUNCTION app_find_account(wanted text)
RETURNS TABLE (id uuid, slug text, name text, status text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT id, slug, name, status FROM {schema}.accounts WHERE slug = $1 $$;
REVOKE ALL ON FUNCTION app_find_account(text) FROM PUBLIC;
