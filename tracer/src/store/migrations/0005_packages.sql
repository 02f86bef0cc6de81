-- Of a change of a file the package that its path belonged to at that time. With this step also come packages of other
-- managers than dpkg, whose keys have a slash.
ALTER TABLE changes ADD COLUMN package TEXT;
