# Copyright 2026 The xmppext Contributors.
# Use of this source code is governed by the BSD 2-clause
# license that can be found in the LICENSE file.

"""Logs in with slixmpp, as a driver that ../driver.go describes.

Run it with -I or -P: by its name, it would be taken for what it imports.
"""

import asyncio
import json
import logging
import sys
from pathlib import Path
from xml.etree import ElementTree

from slixmpp import JID, ClientXMPP
from slixmpp.exceptions import IqError


async def ask(xmpp, query):
    mam = xmpp.plugin["xep_0313"]
    what = {
        "with_jid": JID(query["with"]) if query["with"] else None,
        "reverse": query["last"],
        "rsm": {"max": query["max"]},
    }
    if query["all"]:
        results = [result async for result in mam.iterate(**what)]
    else:
        pages = mam.retrieve(iterator=True, **what)
        if query["flip"]:  # it knows the name only for reading
            pages.query["mam"].xml.append(ElementTree.Element("{urn:xmpp:mam:2}flip-page"))
        results = (await pages.next())["mam_fin"]["results"]
    results = [result["mam_result"] for result in results]
    return [{"id": result["id"], "body": result["forwarded"]["stanza"]["body"]} for result in results]


async def login(want):
    result = {"jid": "", "mechanism": "", "sasl2": False, "fast": False, "condition": "", "error": ""}
    loop = asyncio.get_running_loop()
    started = loop.create_future()
    failures = []  # it tries one mechanism after the other

    def fail(error):
        if not started.done():
            started.set_exception(error if isinstance(error, Exception) else ConnectionError(str(error)))

    xmpp = ClientXMPP(want["jid"], want["password"], sasl_mech=want.get("mechanism") or None)
    xmpp.enable_direct_tls = want.get("directTLS", False)
    xmpp.enable_starttls = not xmpp.enable_direct_tls
    xmpp.ca_certs = Path(want["ca"])
    xmpp.register_plugin("xep_0313")

    def mechanism():
        chosen = xmpp.plugin["feature_mechanisms"].mech
        return chosen.name if chosen else ""

    def on_failure(stanza):
        result["condition"] = result["condition"] or stanza["condition"]
        failures.append("%s: %s" % (mechanism(), stanza["condition"]))

    xmpp.add_event_handler("session_start", lambda _: started.done() or started.set_result(None))
    xmpp.add_event_handler("failed_auth", on_failure)
    xmpp.add_event_handler("no_auth", lambda _: fail("no mechanism to use"))
    xmpp.add_event_handler("failed_all_auth", lambda _: failures and fail(", ".join(failures)))
    xmpp.add_event_handler("ssl_invalid_chain", fail)
    xmpp.add_event_handler("connection_failed", fail)
    xmpp.add_event_handler("disconnected", lambda reason: fail(", ".join(failures) or reason or "disconnected"))

    host, port = want["addr"].rsplit(":", 1)
    xmpp.connect(host.strip("[]"), int(port))
    try:
        await started
        result["jid"] = xmpp.boundjid.full
        ping = xmpp.make_iq_get(ito=xmpp.boundjid.domain)
        ping.append(ElementTree.Element("{urn:xmpp:ping}ping"))
        try:
            await ping.send(timeout=10)
        except IqError:
            pass  # that is an answer too
        for query in want.get("queries") or []:
            result.setdefault("archive", []).append(await ask(xmpp, query))
    except Exception as err:
        result["error"] = "%s: %s" % (type(err).__name__, err)
    result["mechanism"] = mechanism()
    await xmpp.disconnect()
    print(json.dumps(result), flush=True)
    return not result["error"]


async def main():
    want = json.load(sys.stdin)
    for _ in range(want.get("times") or 1):
        if not await login(want):
            return 1
    return 0


# What is sent and received, and what goes wrong.
logging.basicConfig(level=logging.DEBUG, format="%(message)s")
logging.getLogger().handlers[0].addFilter(
    lambda record: record.levelno > logging.DEBUG or record.msg.startswith(("SEND: ", "RECV: ")))
sys.exit(asyncio.run(main()))
