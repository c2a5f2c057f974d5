// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

package interop

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// ejabberdStarted is what [ejabberdScript] prints.
const ejabberdStarted = "interop: the host and its ports are up"

// ejabberdEval is what Erlang evaluates at its start.
const ejabberdEval = `[Script] = init:get_plain_arguments(), ok = file:eval(Script).`

// ejabberdScript starts ejabberd in Erlang, registers the accounts and says when
// everything is up.
//
// It stops the server when its standard input ends, because a test that is
// killed cleans nothing up. Once ejabberd has stopped, it does not wait for
// Erlang, which takes a second more. The log has all XML, because it shows only
// after failures.
var ejabberdScript = template.Must(template.New("").Funcs(template.FuncMap{
	"erl": erlBinary,
}).Parse(`spawn(fun() ->
	Stdin = open_port({fd, 0, 0}, [in, eof]),
	receive {Stdin, eof} -> halt(1) end
end).
ok = application:load(mnesia).
ok = application:set_env(mnesia, dir, unicode:characters_to_list({{erl .Data}})).
ok = application:load(ejabberd).
ok = application:set_env(ejabberd, config, unicode:characters_to_list({{erl .Config}})).
ok = application:set_env(ejabberd, log_path, unicode:characters_to_list({{erl .Log}})).
{ok, _} = application:ensure_all_started(ejabberd).
ok = xmpp:set_config([{debug, true}]).
spawn(fun() ->
	Monitor = monitor(process, ejabberd_sup),
	receive
		{'DOWN', Monitor, _, _, shutdown} -> halt(0);
		{'DOWN', Monitor, _, _, _} -> halt(1)
	end
end).
{{- range $user, $password := .Users}}
ok = ejabberd_auth:try_register({{erl $user}}, {{erl $.Domain}}, {{erl $password}}).
{{- end}}
io:format("` + ejabberdStarted + `, version ~s~n", [ejabberd_option:version()]).
`))

// ejabberdConfig is ejabberd's configuration.
//
// Passwords are stored in the clear, because with hashed ones ejabberd offers
// SCRAM with a single hash function.
var ejabberdConfig = template.Must(template.New("").Funcs(template.FuncMap{
	"yaml":   yamlString,
	"port":   port,
	"indent": func(s string) string { return strings.ReplaceAll("\n"+s, "\n", "\n    ") },
}).Parse(`hosts: [{{yaml .Config.Domain}}]
loglevel: info
log_rotate_count: 0

listen:
  - module: ejabberd_c2s
    ip: "127.0.0.1"
    port: {{port .STARTTLS}}
    starttls_required: true
  - module: ejabberd_c2s
    ip: "127.0.0.1"
    port: {{port .DirectTLS}}
    tls: true
s2s_access: none

certfiles: [{{yaml .Cert}}, {{yaml .Key}}]
ca_file: {{yaml .Roots}}
acme: {auto: false}

auth_method: mnesia
auth_password_format: plain
disable_sasl_mechanisms: [DIGEST-MD5, X-OAUTH2]
shaper_rules: {max_user_sessions: 1000000}

modules:
  mod_disco: {}
  mod_ping: {}
  mod_roster: {}
{{- range .Config.Modules}}
  {{yaml (print "mod_" .)}}: {}
{{- end}}

{{.Config.Settings}}

{{- with .Config.Sections}}
host_config:
  {{yaml $.Config.Domain}}: {{indent .}}
{{- end}}
`))

// writeEjabberd writes the script.
func writeEjabberd(dir string, cfg Config) error {
	var text strings.Builder
	err := ejabberdScript.Execute(&text, map[string]any{
		"Data":   filepath.Join(dir, "data"),
		"Config": filepath.Join(dir, "ejabberd.yml"),
		"Log":    filepath.Join(dir, "ejabberd.log"),
		"Domain": cfg.Domain,
		"Users":  cfg.Users,
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "start.erl"), []byte(text.String()), 0o600)
}

// writeEjabberdConfig writes the configuration and returns the arguments for
// Erlang. Nothing is left of an earlier start.
func writeEjabberdConfig(dir string, cfg Config, starttls, direct string) ([]string, error) {
	var text strings.Builder
	err := ejabberdConfig.Execute(&text, map[string]any{
		"Config":    cfg,
		"Cert":      filepath.Join(dir, certFile),
		"Key":       filepath.Join(dir, keyFile),
		"Roots":     filepath.Join(dir, rootsFile),
		"STARTTLS":  starttls,
		"DirectTLS": direct,
	})
	if err != nil {
		return nil, err
	}
	if err := os.RemoveAll(filepath.Join(dir, "data")); err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(dir, "ejabberd.yml"), []byte(text.String()), 0o600); err != nil {
		return nil, err
	}
	return []string{"-noinput", "-eval", ejabberdEval, "-extra", filepath.Join(dir, "start.erl")}, nil
}

// erlBinary returns s as a literal in Erlang.
func erlBinary(s string) string {
	var lit strings.Builder
	lit.WriteString("<<")
	for i, c := range []byte(s) {
		if i > 0 {
			lit.WriteByte(',')
		}
		fmt.Fprint(&lit, c)
	}
	lit.WriteString(">>")
	return lit.String()
}

// yamlString returns s as a literal in YAML, which has those of JSON.
func yamlString(s string) (string, error) {
	lit, err := json.Marshal(s)
	return string(lit), err
}
