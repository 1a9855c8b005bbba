INSERT INTO operation_log (who, what, subject, details) VALUES ('someone', 'exclusion added', 'CP-2', '{"number": 1}');
