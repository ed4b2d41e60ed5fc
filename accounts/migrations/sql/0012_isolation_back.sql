DROP TRIGGER guarded ON accounts;
ALTER TABLE former_slugs DISABLE ROW LEVEL SECURITY;
DROP POLICY tenant ON former_slugs;
DROP POLICY platform ON former_slugs;
