DROP TRIGGER recorded ON profiles;
