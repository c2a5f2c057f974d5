-- What a room remembers. The primary key is all there is of a row but its value, and is
-- compared byte by byte, so that the entries of a room are beside each other.
CREATE TABLE entry (
	room  TEXT NOT NULL, -- bare JID
	key   TEXT NOT NULL,
	value BLOB NOT NULL,
	PRIMARY KEY (room, key)
) STRICT, WITHOUT ROWID;
