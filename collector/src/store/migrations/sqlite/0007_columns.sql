-- What was read out of JSON by functions that only this database has.
ALTER TABLE runs ADD COLUMN parent INTEGER;
UPDATE runs SET parent = json_extract(json, '$.parent');

-- Of whoever logged in, or else acted.
ALTER TABLE actors ADD COLUMN uid INTEGER;
UPDATE actors SET uid = coalesce(json_extract(json, '$.login_user.uid'), json_extract(json, '$.user.uid'));
