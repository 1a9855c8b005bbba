-- DOJOT is told of a status that returns at the instant it already had, as the connector is.

DROP TRIGGER dojot ON status_notification;
CREATE TRIGGER dojot AFTER INSERT OR UPDATE OF received_at ON status_notification
FOR EACH ROW EXECUTE FUNCTION dojot_tell_status();
