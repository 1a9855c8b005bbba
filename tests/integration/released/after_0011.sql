INSERT INTO report_file (kind, period_start, language, format, file_name, content)
VALUES ('quarterly_outages', '2026-01-01', 'pt', 'csv', '2026-1.csv', '\x613b62');

INSERT INTO vehicle (id_tag_key, name) VALUES ('LOST', NULL);

INSERT INTO tariff (name, consumer_group, modality, site, valid_from, valid_to, author)
VALUES ('B3', 'B', 'convencional', 'Campus', '2025-01-01', '2025-12-31', 'someone');
