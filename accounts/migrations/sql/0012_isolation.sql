CREATE POLICY tenant ON former_slugs TO salient_tenant USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON former_slugs TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE former_slugs ENABLE ROW LEVEL SECURITY;
CREATE TRIGGER guarded AFTER INSERT OR UPDATE OF slug ON accounts
    FOR EACH ROW EXECUTE FUNCTION app_guard_slug();
