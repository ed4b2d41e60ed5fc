CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF name, messages, expected, is_gate ON
    saved_chats
    FOR EACH ROW EXECUTE FUNCTION app_record_change(
        'name',
        'id,account_id,created_at,updated_at',
        'messages'
    );
CREATE TRIGGER recorded AFTER INSERT OR DELETE OR UPDATE OF customer_name, phone, email,
    address_street, address_city, address_state, address_zip, products_of_interest,
    services_of_interest, preferences ON profiles
    FOR EACH ROW EXECUTE FUNCTION app_record_change(
        'session_id',
        'id,account_id,created_at,updated_at',
        'customer_name,phone,email,address_street,address_city,address_state,address_zip,products_of_interest,services_of_interest,preferences'
    );
CREATE TRIGGER forget_on_insert AFTER INSERT ON usage_days
    FOR EACH ROW WHEN (NEW.day < (now() AT TIME ZONE 'UTC')::date - 1) EXECUTE FUNCTION app_forget_totals(
    );
CREATE TRIGGER forget_on_update AFTER UPDATE ON usage_days
    FOR EACH ROW WHEN (NEW.day < (now() AT TIME ZONE 'UTC')::date - 1) EXECUTE FUNCTION app_forget_totals(
    );
CREATE TRIGGER forget_on_delete AFTER DELETE ON usage_days
    FOR EACH ROW WHEN (OLD.day < (now() AT TIME ZONE 'UTC')::date - 1) EXECUTE FUNCTION app_forget_totals(
    );
