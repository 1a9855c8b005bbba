-- Who is new need not be announced: a replica asks the table about an identity it does not know.
DROP TRIGGER announce ON charge_point;
CREATE TRIGGER announce AFTER UPDATE OF registration, password_hash, new_password_hash, security_profile, time_zone
ON charge_point FOR EACH ROW EXECUTE FUNCTION announce_charge_point();
