DROP TRIGGER recorded ON sessions;
