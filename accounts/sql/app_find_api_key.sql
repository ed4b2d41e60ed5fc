-- Finds one API key by its public part, before any account is known.
--
-- Row-level security would hide it, so the function runs as its owner: its search_path is fixed,
-- it returns these columns of one row and nothing else, and only the logins of this database may
-- call it (accounts/tenancy/roles.py).
-- A suspended key is given as one that was revoked at the start of 1970, without the reason.
-- wanted: the key's key_id. Returns no row or one, whatever the state of the key and its account.
-- Locks: none. Raises: nothing of its own.
CREATE OR REPLACE FUNCTION app_find_api_key(wanted text)
RETURNS TABLE (
    id uuid, account_id uuid, account_slug text, account_status text,
    key_id text, secret_hash text, kind text, mode text,
    scopes text[], instance_ids uuid[], origins text[], networks text[],
    expires_at timestamptz, revoked_at timestamptz, rotated_at timestamptz, last_used_at timestamptz
)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
    SELECT k.id, k.account_id, a.slug, a.status, k.key_id, k.secret_hash,
        k.kind, k.mode, k.scopes, k.instance_ids, k.origins, k.networks, k.expires_at,
        coalesce(k.revoked_at, CASE WHEN k.suspended_reason <> '' THEN to_timestamp(0) END),
        k.rotated_at, k.last_used_at
    FROM {schema}.api_keys k JOIN {schema}.accounts a
        ON a.id = k.account_id
    WHERE k.key_id = $1
$$;
REVOKE ALL ON FUNCTION app_find_api_key(text) FROM PUBLIC;
