module github.com/xmppext/xmppext/internal/interop/clients/goxmpp

go 1.25.0

require (
	github.com/google/uuid v1.6.0
	github.com/xmppo/go-xmpp v0.3.4
)

require golang.org/x/net v0.53.0 // indirect
