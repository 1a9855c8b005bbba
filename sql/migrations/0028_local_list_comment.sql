COMMENT ON TABLE local_list_entry IS 'id_tags of the local list that a charge point was last sent';
