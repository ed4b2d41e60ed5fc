ALTER TABLE support_accesses DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant ON support_accesses;
DROP POLICY platform ON support_accesses;
ALTER TABLE audit_log DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant ON audit_log;
DROP POLICY platform ON audit_log;
