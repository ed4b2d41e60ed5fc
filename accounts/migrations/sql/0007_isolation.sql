CREATE POLICY tenant ON audit_log TO salient_tenant USING (account_id = (SELECT app_current_account())) WITH CHECK (account_id = (SELECT app_current_account()));
CREATE POLICY platform ON audit_log TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON support_accesses TO salient_tenant USING (account_id = (SELECT app_current_account())) WITH CHECK (account_id = (SELECT app_current_account()));
CREATE POLICY platform ON support_accesses TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE support_accesses ENABLE ROW LEVEL SECURITY;
