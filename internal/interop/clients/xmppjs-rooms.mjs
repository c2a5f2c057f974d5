// Copyright 2026 The xmppext Contributors.
// Use of this source code is governed by the BSD 2-clause
// license that can be found in the LICENSE file.

// Visits a chat room with xmpp.js, as ../rooms_test.go describes.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// The package is in NODE_PATH, where import does not look.
const entry = createRequire(import.meta.url).resolve("@xmpp/client");
const { client, jid, xml } = await import(pathToFileURL(entry));

const NS_MUC = "http://jabber.org/protocol/muc";
const seconds = 1000;

const want = JSON.parse(readFileSync(0, "utf8"));
const account = jid(want.jid);
const result = { occupants: [], subject: "", heard: [], nick: "", pinged: false, left: false, error: "" };

const xmpp = client({
  service: "xmpp://" + want.addr,
  domain: account.domain,
  username: account.local,
  password: want.password,
  timeout: 10 * seconds,
});
xmpp.reconnect.stop();
xmpp.on("error", () => {}); // start throws it too

// It is for programs to know what is in a stanza.
const waiting = new Set();
const until = (matches) => new Promise((resolve, reject) => {
  const timer = setTimeout(() => reject(new Error(`nothing for ${matches}`)), 10 * seconds);
  waiting.add((stanza) => {
    if (!matches(stanza)) return false;
    clearTimeout(timer);
    resolve(stanza);
    return true;
  });
});
xmpp.on("stanza", (stanza) => {
  const [room, nick] = (stanza.attrs.from ?? "").split("/");
  if (room === want.room && stanza.is("presence") && !stanza.attrs.type) result.occupants.push(nick);
  const body = stanza.getChildText("body");
  if (room === want.room && stanza.attrs.type === "groupchat" && body) result.heard.push(`${nick}: ${body}`);
  for (const one of waiting) if (one(stanza)) waiting.delete(one);
});

const at = (nick) => `${want.room}/${nick}`;
const codes = (stanza) => (stanza.getChild("x", NS_MUC + "#user")?.getChildren("status") ?? []).map((s) => s.attrs.code);
const self = (nick, type) => (s) => s.is("presence") && s.attrs.from === at(nick) && s.attrs.type === type && codes(s).includes("110");

try {
  await xmpp.start();
  const subject = until((s) => s.is("message") && s.getChild("subject") && !s.getChild("body"));
  const joined = until(self(want.nick, undefined));
  await xmpp.send(xml("presence", { to: at(want.nick) }, xml("x", NS_MUC)));
  await joined;
  result.subject = (await subject).getChildText("subject");
  result.occupants.sort();

  const answered = until((s) => s.attrs.from === at(want.peer) && s.getChildText("body") === "welcome " + want.nick);
  await xmpp.send(xml("message", { to: want.room, type: "groupchat" }, xml("body", {}, "hello from " + want.nick)));
  await answered;

  const whispered = until((s) => s.attrs.from === at(want.peer) && s.attrs.type === "chat");
  await xmpp.send(xml("message", { to: at(want.peer), type: "chat" }, xml("body", {}, "psst")));
  result.heard.push("psst: " + (await whispered).getChildText("body"));

  const ping = await xmpp.iqCaller.request(xml("iq", { type: "get", to: at(want.nick) }, xml("ping", "urn:xmpp:ping")), 10 * seconds);
  result.pinged = ping.attrs.type === "result";

  const occupants = [...result.occupants];
  const renamed = until(self(want.newNick, undefined));
  await xmpp.send(xml("presence", { to: at(want.newNick) }));
  result.nick = jid((await renamed).attrs.from).resource;
  result.occupants = occupants;

  const left = until(self(want.newNick, "unavailable"));
  await xmpp.send(xml("presence", { to: at(want.newNick), type: "unavailable" }));
  await left;
  result.left = true;
} catch (err) {
  result.error = `${err.name}: ${err.message}`;
}
await xmpp.stop().catch(() => {});
process.stdout.write(JSON.stringify(result) + "\n");
process.exit(0);
