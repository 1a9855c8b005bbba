-- A status may return within the second that a charge point tells the time in: its row takes the time it came last, which
-- decides between the statuses of one instant.

GRANT UPDATE (received_at) ON status_notification TO eletroposto_ingest;
COMMENT ON COLUMN status_notification.received_at IS
'When it was received, by our clock; where it came again at the same instant after another status, the last time';
