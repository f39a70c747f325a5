-- An invitation is shown and withdrawn by a name that is not its secret's hash. A link that went only to its address proves who
-- reads that mailbox; one handed over by somebody else proves nothing.
ALTER TABLE mail_link ADD COLUMN id TEXT;
ALTER TABLE mail_link ADD COLUMN mailed INTEGER NOT NULL DEFAULT 0; -- 1: sent to the address, and to nobody else
CREATE UNIQUE INDEX mail_link_id ON mail_link (id) WHERE id IS NOT NULL;
