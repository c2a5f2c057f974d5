-- An archive, and how far it goes. Its row is locked by whoever writes to the
-- archive, until that is committed.
CREATE TABLE archive (
	id         bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	digest     bytea   NOT NULL UNIQUE, -- SHA-256 of jid, which may be too long for an index
	jid        text    NOT NULL,
	first      bigint  NOT NULL DEFAULT 1, -- position of the oldest message
	last       bigint  NOT NULL DEFAULT 0, -- position of the newest; it never decreases
	high       bigint  NOT NULL DEFAULT 0, -- the latest stamp of those that are there
	tip        bigint  NOT NULL DEFAULT 0, -- the stamp of the newest
	groupchats bigint  NOT NULL DEFAULT 0  -- how many of them are of type groupchat
) WITH (fillfactor = 50);

-- Who is written to, and what is read. It is there as long as a message refers to it.
CREATE TABLE contact (
	id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	archive bigint NOT NULL,
	digest  bytea  NOT NULL, -- SHA-256 of jid
	jid     text   NOT NULL,
	read    bigint NOT NULL DEFAULT 0, -- position of the last message that was read
	unread  bigint NOT NULL DEFAULT 0, -- how many unread ones are behind it
	newest  bigint NOT NULL DEFAULT 0, -- position of the newest of them
	UNIQUE (archive, digest)
) WITH (fillfactor = 80);

CREATE INDEX contact_unread ON contact (archive, newest) WHERE unread > 0;

CREATE TABLE message (
	archive      bigint   NOT NULL,
	position     bigint   NOT NULL,
	stamp        bigint   NOT NULL, -- microseconds since 1970
	contact      bigint   NOT NULL, -- the other party, without the resource
	conversation bigint   NOT NULL, -- a contact too
	stanza_key   bigint   NOT NULL, -- the first 8 bytes of SHA-256 of stanza, 0 if that is empty
	uid          uuid     NOT NULL, -- 16 random bytes
	sorted       smallint NOT NULL, -- 1 if none before has a later stamp, plus 2 if none behind has an earlier one
	groupchat    boolean  NOT NULL,
	unread       boolean  NOT NULL, -- whether it was to be read
	resource     text     NOT NULL COLLATE "C", -- that of the other party
	stanza       bytea    NOT NULL, -- id attribute
	xml          bytea,             -- NULL if it is empty
	PRIMARY KEY (archive, position)
);

-- Every index that pages are read from ends with the position.
CREATE UNIQUE INDEX message_uid ON message (uid);
CREATE INDEX message_contact ON message (contact, position);
CREATE INDEX message_resource ON message (contact, resource, position) WHERE resource <> '';
CREATE INDEX message_direct ON message (archive, position) WHERE NOT groupchat;
CREATE INDEX message_stanza ON message (conversation, stanza_key, position);
CREATE INDEX message_unread ON message (conversation, position) WHERE unread;
CREATE INDEX message_stamp ON message (archive, sorted, stamp, position);
CREATE INDEX message_unsorted ON message (archive, position) WHERE sorted <> 3;

CREATE TABLE preference (
	digest  bytea  PRIMARY KEY, -- SHA-256 of jid
	jid     text   NOT NULL, -- of the archive
	initial text   NOT NULL, -- the default
	always  text[] NOT NULL,
	never   text[] NOT NULL
);
