CREATE POLICY tenant ON accounts TO salient_tenant
    USING (id = app_current_account()) WITH CHECK (id = app_current_account());
CREATE POLICY platform ON accounts TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE accounts ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON api_keys TO salient_tenant
    USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON api_keys TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON memberships TO salient_tenant
    USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON memberships TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE memberships ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON invitations TO salient_tenant
    USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON invitations TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE invitations ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON account_limits TO salient_tenant
    USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON account_limits TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE account_limits ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON budgets TO salient_tenant
    USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON budgets TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE budgets ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON rate_states TO salient_tenant
    USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON rate_states TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE rate_states ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON audit_log TO salient_tenant
    USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON audit_log TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON support_accesses TO salient_tenant
    USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON support_accesses TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE support_accesses ENABLE ROW LEVEL SECURITY;
CREATE POLICY people ON users USING (true) WITH CHECK (true);
CREATE POLICY tenant ON users AS RESTRICTIVE TO salient_tenant
    USING (id IN (SELECT memberships.user_id FROM memberships));
ALTER TABLE users ENABLE ROW LEVEL SECURITY;
