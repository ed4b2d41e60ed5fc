CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF slug, name, status, subscription_tier
    ON accounts
    FOR EACH ROW EXECUTE FUNCTION app_record_change(
        'slug',
        'id,account_id,created_at,updated_at',
        ''
    );
CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF email, password, is_active, is_staff,
    is_superuser, is_auditor, first_name, last_name ON users
    FOR EACH ROW EXECUTE FUNCTION app_record_change(
        'email',
        'last_login,date_joined,id,account_id,created_at,updated_at',
        'password'
    );
CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF role ON memberships
    FOR EACH ROW EXECUTE FUNCTION app_record_change(
        'user_id',
        'id,account_id,created_at,updated_at',
        ''
    );
CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF role, accepted_at, revoked_at,
    expires_at ON invitations
    FOR EACH ROW EXECUTE FUNCTION app_record_change(
        'email',
        'id,account_id,created_at,updated_at',
        'token_hash'
    );
CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF requests_per_minute,
    requests_per_minute_per_key, requests_per_minute_per_visitor, requests_per_minute_per_network,
    concurrent_turns, message_bytes, history_messages, output_tokens ON account_limits
    FOR EACH ROW EXECUTE FUNCTION app_record_change(
        'account_id',
        'running,id,account_id,created_at,updated_at',
        ''
    );
CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF agent_instance_id, period, "limit",
    alert_percents ON budgets
    FOR EACH ROW EXECUTE FUNCTION app_record_change(
        'period',
        'spent,reserved,period_start,alerted_percent,id,account_id,created_at,updated_at',
        ''
    );
CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF expires_at, ended_at, reason ON
    support_accesses
    FOR EACH ROW EXECUTE FUNCTION app_record_change(
        'staff',
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
CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF name ON auth_group
    FOR EACH ROW EXECUTE FUNCTION app_record_change(
        'name',
        'id,account_id,created_at,updated_at',
        ''
    );
CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF group_id, permission_id ON
    auth_group_permissions
    FOR EACH ROW EXECUTE FUNCTION app_record_change(
        'group_id',
        'id,account_id,created_at,updated_at',
        ''
    );
CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF user_id, group_id ON users_groups
    FOR EACH ROW EXECUTE FUNCTION app_record_change(
        'user_id',
        'id,account_id,created_at,updated_at',
        ''
    );
CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF user_id, permission_id ON
    users_user_permissions
    FOR EACH ROW EXECUTE FUNCTION app_record_change(
        'user_id',
        'id,account_id,created_at,updated_at',
        ''
    );
