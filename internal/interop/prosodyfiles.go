// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// prosodyStarted is what [prosodyModule] logs.
const prosodyStarted = "all hosts and ports are up"

// prosodyModule is a module for Prosody that says when everything is up, and
// stops the server when its standard input ends, because a test that is killed
// cleans nothing up.
const prosodyModule = `module:set_global();

module:hook("server-started", function ()
	module:log("info", "` + prosodyStarted + `");
	require "prosody.net.server".watchfd(0, function () os.exit(1); end);
end, -1000);
`

// prosodyConfig is Prosody's configuration.
//
// Passwords are stored in the clear, because with hashed ones Prosody offers
// SCRAM with a single hash function. The log is detailed, because it shows only
// after failures.
var prosodyConfig = template.Must(template.New("").Funcs(template.FuncMap{
	"lua":  luaString,
	"port": port,
}).Parse(`run_as_root = true
data_path = {{lua .Data}}
plugin_paths = { {{lua .Plugins}} }
installer_plugin_path = {{lua .Plugins}}
certificates = {{lua .Certs}}
log = { { to = "stdout", levels = { min = "debug" }, timestamps = true } }

interfaces = { "127.0.0.1" }
c2s_ports = { {{port .STARTTLS}} }
c2s_direct_tls_ports = { {{port .DirectTLS}} }
legacy_ssl_ports = {}
s2s_ports = {}
http_ports = {}
https_ports = {}
c2s_close_timeout = 0.2

ssl = { certificate = {{lua .Cert}}, key = {{lua .Key}} }
c2s_require_encryption = true
allow_unencrypted_plain_auth = false
authentication = "internal_plain"
storage = "internal"

modules_enabled = {
	"interop", "tls", "saslauth", "roster", "disco", "ping";
{{- range .Config.Modules}}
	{{lua .}};
{{- end}}
}
modules_disabled = { "s2s", "s2s_auth_certs", "limits" }

{{.Config.Settings}}

VirtualHost {{lua .Config.Domain}}

{{.Config.Sections}}
`))

// writeProsody writes the module and the accounts.
func writeProsody(dir string, cfg Config) error {
	files := map[string]string{
		filepath.Join(dir, "plugins", "mod_interop.lua"): prosodyModule,
	}
	accounts := filepath.Join(dir, "data", storageName(cfg.Domain), "accounts")
	for user, password := range cfg.Users {
		name := filepath.Join(accounts, storageName(user)+".dat")
		files[name] = "return { [\"password\"] = " + luaString(password) + " };\n"
	}
	if err := os.MkdirAll(accounts, 0o700); err != nil {
		return err
	}
	for name, content := range files {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// writeProsodyConfig writes the configuration and returns the arguments for
// Prosody.
func writeProsodyConfig(dir string, cfg Config, starttls, direct string) ([]string, error) {
	var text strings.Builder
	err := prosodyConfig.Execute(&text, map[string]any{
		"Config":    cfg,
		"Data":      filepath.Join(dir, "data"),
		"Plugins":   filepath.Join(dir, "plugins"),
		"Certs":     dir,
		"Cert":      filepath.Join(dir, certFile),
		"Key":       filepath.Join(dir, keyFile),
		"STARTTLS":  starttls,
		"DirectTLS": direct,
	})
	if err != nil {
		return nil, err
	}
	name := filepath.Join(dir, "prosody.cfg.lua")
	return []string{"-F", "--config", name}, os.WriteFile(name, []byte(text.String()), 0o600)
}

// storageName returns s as Prosody spells it in the names of files.
func storageName(s string) string {
	var name strings.Builder
	for _, c := range []byte(s) {
		if alphanumeric(c) {
			name.WriteByte(c)
		} else {
			fmt.Fprintf(&name, "%%%02x", c)
		}
	}
	return name.String()
}

// luaString returns s as a literal in Lua, which does not know all that Go's
// have.
func luaString(s string) string {
	var lit strings.Builder
	lit.WriteByte('"')
	for _, c := range []byte(s) {
		if alphanumeric(c) || strings.IndexByte("-._/: ", c) >= 0 {
			lit.WriteByte(c)
		} else {
			fmt.Fprintf(&lit, `\%03d`, c)
		}
	}
	lit.WriteByte('"')
	return lit.String()
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
