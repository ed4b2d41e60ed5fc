CREATE POLICY tenant ON sessions TO salient_tenant
    USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON sessions TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE sessions ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON messages TO salient_tenant
    USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON messages TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE messages ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON llm_requests TO salient_tenant
    USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON llm_requests TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE llm_requests ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON profiles TO salient_tenant
    USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON profiles TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE profiles ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON usage_days TO salient_tenant
    USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON usage_days TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE usage_days ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON usage_totals TO salient_tenant
    USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON usage_totals TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE usage_totals ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON prompt_sections TO salient_tenant
    USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON prompt_sections TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE prompt_sections ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON message_feedback TO salient_tenant
    USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON message_feedback TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE message_feedback ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON saved_chats TO salient_tenant
    USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON saved_chats TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE saved_chats ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant ON saved_chat_runs TO salient_tenant
    USING (account_id = app_current_account()) WITH CHECK (account_id = app_current_account());
CREATE POLICY platform ON saved_chat_runs TO salient_platform USING (true) WITH CHECK (true);
ALTER TABLE saved_chat_runs ENABLE ROW LEVEL SECURITY;
