-- Said anew after 0490: occupancy is of the time in operation.
COMMENT ON COLUMN report.availability.occupancy_percent IS '100 x plugged_s / operational_s';
