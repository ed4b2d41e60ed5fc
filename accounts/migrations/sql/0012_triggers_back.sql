DROP TRIGGER recorded ON api_keys;
CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF "name", "scopes", "instance_ids", "origins", "networks", "expires_at", "revoked_at", "rotated_at", "secret_hash" ON api_keys FOR EACH ROW EXECUTE FUNCTION app_record_change('name', 'last_used_at,id,account_id,created_at,updated_at', 'secret_hash');
