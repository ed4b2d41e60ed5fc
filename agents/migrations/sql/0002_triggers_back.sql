DROP TRIGGER recorded ON agent_instances;
DROP TRIGGER recorded ON provider_connections;
CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF instance_slug, agent_type,
    display_name, status, allowed_origins ON agent_instances
    FOR EACH ROW EXECUTE FUNCTION app_record_change(
        'instance_slug',
        'last_used_at,override,id,account_id,created_at,updated_at',
        ''
    );
CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF name, base_url, secret, secret_host ON
    provider_connections
    FOR EACH ROW EXECUTE FUNCTION app_record_change(
        'name',
        'secret_hint,id,account_id,created_at,updated_at',
        'secret'
    );
