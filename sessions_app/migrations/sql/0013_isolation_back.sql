DROP TRIGGER recorded ON erasures;
ALTER TABLE erasures DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant ON erasures;
DROP POLICY platform ON erasures;
