-- An archive, and how far it goes.
CREATE TABLE archive (
	id         INTEGER PRIMARY KEY,
	jid        TEXT    NOT NULL UNIQUE,
	first      INTEGER NOT NULL DEFAULT 1, -- position of the oldest message
	last       INTEGER NOT NULL DEFAULT 0, -- position of the newest; it never decreases
	high       INTEGER NOT NULL DEFAULT 0, -- the latest stamp of those that are there
	tip        INTEGER NOT NULL DEFAULT 0, -- the stamp of the newest
	groupchats INTEGER NOT NULL DEFAULT 0  -- how many of them are of type groupchat
) STRICT;

-- Who is written to, and what is read. It is there as long as a message refers to it.
CREATE TABLE contact (
	id       INTEGER PRIMARY KEY,
	archive  INTEGER NOT NULL,
	jid      TEXT    NOT NULL,
	read_key INTEGER NOT NULL DEFAULT 0, -- key of the last message that was read
	unread   INTEGER NOT NULL DEFAULT 0, -- how many unread ones are behind it
	newest   INTEGER NOT NULL DEFAULT 0, -- key of the newest of them
	UNIQUE (archive, jid)
) STRICT;

CREATE INDEX contact_unread ON contact (archive, newest) WHERE unread > 0;

CREATE TABLE message (
	key          INTEGER PRIMARY KEY, -- archive << 36 | position
	archive      INTEGER NOT NULL,
	uid          BLOB    NOT NULL, -- 16 random bytes
	stamp        INTEGER NOT NULL, -- microseconds since 1970
	contact      INTEGER NOT NULL, -- the other party, without the resource
	resource     TEXT    NOT NULL, -- that of the other party
	conversation INTEGER NOT NULL, -- a contact too
	stanza       TEXT    NOT NULL, -- id attribute
	groupchat    INTEGER NOT NULL, -- 0 or 1
	unread       INTEGER NOT NULL, -- 0 or 1: whether it was to be read
	sorted       INTEGER NOT NULL, -- 1 if none before has a later stamp, plus 2 if none behind has an earlier one
	xml          BLOB              -- NULL if it is empty
) STRICT;

-- Every index ends with the key, which has the order of the archive.
CREATE UNIQUE INDEX message_uid ON message (uid);
CREATE INDEX message_contact ON message (contact);
CREATE INDEX message_resource ON message (contact, resource) WHERE resource <> '';
CREATE INDEX message_stanza ON message (conversation, stanza);
CREATE INDEX message_unread ON message (conversation) WHERE unread = 1;
CREATE INDEX message_stamp ON message (archive, sorted, stamp);
CREATE INDEX message_unsorted ON message (archive) WHERE sorted <> 3;

CREATE TABLE preference (
	jid     TEXT PRIMARY KEY, -- of the archive
	initial TEXT NOT NULL,    -- the default
	always  TEXT NOT NULL,    -- a JSON array of addresses
	never   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
