DROP TRIGGER recorded ON retentions;
DROP TRIGGER recorded ON legal_holds;
ALTER TABLE retentions DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant ON retentions;
DROP POLICY platform ON retentions;
ALTER TABLE legal_holds DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant ON legal_holds;
DROP POLICY platform ON legal_holds;
