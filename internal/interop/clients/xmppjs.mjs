// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Logs in with xmpp.js, as a driver that ../driver.go describes.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// The package is in NODE_PATH, where import does not look.
const entry = createRequire(import.meta.url).resolve("@xmpp/client");
const { client, jid, xml } = await import(pathToFileURL(entry));

const NS_SASL2 = "urn:xmpp:sasl:2";
const NS_FAST = "urn:xmpp:fast:0";
const NS_MAM = "urn:xmpp:mam:2";
const NS_RSM = "http://jabber.org/protocol/rsm";

const want = JSON.parse(readFileSync(0, "utf8"));
const account = jid(want.jid);
const id = want.userAgentID || randomUUID();
const seconds = 1000;
let token;

// It has no archives of its own, but all that is needed for them.
async function ask(xmpp, query) {
  const queryid = randomUUID();
  const messages = [];
  const collect = (stanza) => {
    const result = stanza.getChild("result", NS_MAM);
    if (result?.attrs.queryid !== queryid) return;
    const message = result.getChild("forwarded", "urn:xmpp:forward:0").getChild("message", "jabber:client");
    messages.push({ id: result.attrs.id, body: message.getChildText("body") });
  };
  const field = (name, value) => xml("field", { var: name }, xml("value", {}, value));
  const page = async (...paging) => {
    const iq = await xmpp.iqCaller.request(xml("iq", { type: "set" },
      xml("query", { xmlns: NS_MAM, queryid },
        xml("x", { xmlns: "jabber:x:data", type: "submit" },
          field("FORM_TYPE", NS_MAM), query.with && field("with", query.with)),
        xml("set", NS_RSM, xml("max", {}, query.max), ...paging),
        query.flip && xml("flip-page"))), 10 * seconds);
    return iq.getChild("fin", NS_MAM);
  };
  xmpp.on("stanza", collect);
  let fin = await page(query.last && xml("before"));
  while (query.all && fin.attrs.complete !== "true") {
    fin = await page(xml("after", {}, fin.getChild("set", NS_RSM).getChildText("last")));
  }
  xmpp.off("stanza", collect);
  return messages;
}

async function login() {
  const result = { jid: "", mechanism: "", sasl2: false, fast: false, condition: "", error: "" };
  const userAgent = xml("user-agent", { id }, xml("software", {}, "xmpp.js"));
  const xmpp = client({
    service: (want.directTLS ? "xmpps://" : "xmpp://") + want.addr,
    domain: account.domain,
    resource: account.resource || undefined,
    username: account.local,
    password: want.password,
    timeout: 10 * seconds,
    userAgent,
    // With credentials that are no function, xmpp.js chooses.
    credentials: want.mechanism ? async (authenticate, _mechanisms, fast) => {
      const credentials = { username: account.local, password: want.password };
      credentials.token = await fast?.fetch();
      await authenticate(credentials, want.mechanism, userAgent);
    } : undefined,
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

  const write = xmpp.write.bind(xmpp);
  xmpp.write = (s) => {
    process.stderr.write(`C: ${s}\n`);
    return write(s);
  };
  const log = (el) => process.stderr.write(`S: ${el}\n`);
  xmpp.prependListener("open", log).prependListener("element", log);
  xmpp.on("error", () => {}); // start and request throw it too
  xmpp.on("send", (el) => {
    if (el.is("authenticate", NS_SASL2) || el.is("auth")) {
      result.mechanism = el.attrs.mechanism;
      result.sasl2 = el.is("authenticate");
      result.fast = Boolean(el.getChild("fast", NS_FAST));
    }
  });

  try {
    await xmpp.start();
    result.jid = xmpp.jid.toString();
    const ping = xml("iq", { type: "get", to: account.domain }, xml("ping", "urn:xmpp:ping"));
    await xmpp.iqCaller.request(ping, 10 * seconds).catch((err) => {
      if (err.name !== "StanzaError") throw err; // that is an answer too
    });
    for (const query of want.queries ?? []) (result.archive ??= []).push(await ask(xmpp, query));
  } catch (err) {
    if (err.name === "SASLError") result.condition = err.condition;
    result.error = `${err.name}: ${err.message}`;
  }
  await xmpp.stop().catch(() => {});
  process.stdout.write(JSON.stringify(result) + "\n");
  return !result.error;
}

let ok = true;
for (let i = 0; ok && i < (want.times || 1); i++) ok = await login();
process.exit(ok ? 0 : 1);
