// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Logs in with xmpp.js step by step, so that somebody in between can tell the bytes
// of a login from those behind it.
//
// The first line of the standard input says who logs in where: {"jid", "password",
// "addr", "directTLS"}. Each of the others is a word in JSON:
//
//	"first"  log in with the password, as a new installation
//	"later"  log in with the token of the login before
//	"end"    end the session
//
// Each is answered by a line when it is done: {"jid", "mechanism", "error"}. Once a
// session is there it says nothing until it is to end.

import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

// The package is in NODE_PATH, where import does not look.
const entry = createRequire(import.meta.url).resolve("@xmpp/client");
const { client, jid, xml } = await import(pathToFileURL(entry));

let want, account, id, token, xmpp;

async function login() {
  const result = { jid: "", mechanism: "", error: "" };
  xmpp = client({
    service: (want.directTLS ? "xmpps://" : "xmpp://") + want.addr,
    domain: account.domain,
    username: account.local,
    password: want.password,
    userAgent: xml("user-agent", { id }, xml("software", {}, "xmpp.js")),
  });
  xmpp.reconnect.stop();
  xmpp.fast.fetchToken = async () => token;
  xmpp.fast.saveToken = async (t) => { token = t; };
  xmpp.fast.deleteToken = async () => { token = undefined; };

  // For direct TLS, it takes the host of the service for the name in the
  // certificate.
  xmpp.transports = xmpp.transports.map((Transport) => class extends Transport {
    socketParameters(service) {
      const parameters = super.socketParameters(service);
      return parameters && { ...parameters, servername: account.domain };
    }
  });
  xmpp.on("error", () => {}); // start throws it too
  xmpp.on("send", (el) => {
    if (el.is("authenticate", "urn:xmpp:sasl:2") || el.is("auth")) result.mechanism = el.attrs.mechanism;
  });
  try {
    await xmpp.start();
    result.jid = xmpp.jid.toString();
  } catch (err) {
    result.error = `${err.name}: ${err.message}`;
  }
  return result;
}

const steps = {
  first() {
    token = undefined;
    id = randomUUID();
    return login();
  },
  later: login,
  async end() {
    await xmpp.stop();
    return {};
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const step = JSON.parse(line);
  if (!want) {
    want = step;
    account = jid(want.jid);
    continue;
  }
  process.stdout.write(JSON.stringify(await steps[step]()) + "\n");
}
process.exit(0);
