CREATE OR REPLACE FUNCTION app_find_account(wanted text) RETURNS TABLE (id uuid, slug text, name text, status text) LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ SELECT id, slug, name, status FROM {schema}.accounts WHERE slug = $1 $$;
REVOKE ALL ON FUNCTION app_find_account(text) FROM PUBLIC;
