// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package auth

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted stands for a secret wherever one might be shown.
const redacted = "[redacted]"

// Secret is a password or a token.
// It shows itself neither to package fmt nor to log/slog. Encoders such as
// encoding/json do see it, so that it can be kept; a slog.JSONHandler uses one for
// what is inside of other values.
type Secret string

// Format writes that there is a secret, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns that there is a secret.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }
