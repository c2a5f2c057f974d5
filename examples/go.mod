module github.com/xmppext/xmppext/examples

go 1.25.0

require (
	github.com/xmppext/xmppext v0.0.0
	mellium.im/sasl v0.3.2
	mellium.im/xmpp v0.23.0
)

replace github.com/xmppext/xmppext => ../
