DROP TRIGGER recorded ON accounts;
DROP TRIGGER recorded ON api_keys;
CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF slug, name, status, subscription_tier
    ON accounts
    FOR EACH ROW EXECUTE FUNCTION app_record_change(
        'slug',
        'id,account_id,created_at,updated_at',
        ''
    );
CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF name, scopes, instance_ids, origins,
    networks, expires_at, revoked_at, rotated_at, secret_hash, taker, offer_expires_at,
    support_access_id ON api_keys
    FOR EACH ROW EXECUTE FUNCTION app_record_change(
        'name',
        'last_used_at,id,account_id,created_at,updated_at',
        'secret_hash,offer_hash'
    );
