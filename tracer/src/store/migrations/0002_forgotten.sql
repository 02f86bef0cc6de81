-- Contents whose bytes were purged: the row stays, with zeros in place of the bytes, so that the same
-- content is never kept again. `seq` is the change that records the purge. With this step also come
-- the op `forget` and the content state `forgotten`.
CREATE TABLE forgotten (
    content INTEGER PRIMARY KEY REFERENCES contents,
    seq     INTEGER NOT NULL REFERENCES changes
) STRICT;
