-- Run once, when the database's volume is new: Prefect keeps its own tables apart from ours.
CREATE DATABASE prefect;
