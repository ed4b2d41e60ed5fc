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
CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF number ON config_publications
    FOR EACH ROW EXECUTE FUNCTION app_record_change(
        'note',
        'text,author_id,author_name,config_version_id,id,account_id,created_at,updated_at',
        ''
    );
