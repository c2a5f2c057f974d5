# Copyright 2026 The xmppext Contributors.
# Use of this source code is governed by the BSD 2-clause
# license that can be found in the LICENSE file.

"""Visits a chat room with slixmpp, as ../rooms_test.go describes.

Run it with -I or -P, as slixmpp.py.
"""

import asyncio
import json
import logging
import sys
from pathlib import Path

from slixmpp import JID, ClientXMPP
from slixmpp.plugins.xep_0410 import PingStatus


async def visit(want):
    result = {"occupants": [], "subject": "", "heard": [], "nick": "", "pinged": False, "left": False, "error": ""}
    loop = asyncio.get_running_loop()
    started, answered, whispered, left = (loop.create_future() for _ in range(4))
    room = JID(want["room"])

    xmpp = ClientXMPP(want["jid"], want["password"])
    xmpp.enable_direct_tls = False
    xmpp.ca_certs = Path(want["ca"])
    for plugin in "xep_0030", "xep_0045", "xep_0199", "xep_0410":
        xmpp.register_plugin(plugin)
    muc = xmpp.plugin["xep_0045"]

    def done(future, value=None):
        if not future.done():
            future.set_result(value)

    def on_message(msg):
        if msg["body"]:
            result["heard"].append("%s: %s" % (msg["mucnick"], msg["body"]))
        if msg["mucnick"] == want["peer"] and msg["body"] == "welcome " + want["nick"]:
            done(answered)

    xmpp.add_event_handler("session_start", lambda _: done(started))
    xmpp.add_event_handler("failed_all_auth", lambda _: started.done() or started.set_exception(ConnectionError("no login")))
    xmpp.add_event_handler("groupchat_message", on_message)
    xmpp.add_event_handler("message", lambda msg: msg["type"] == "chat" and done(whispered, msg["body"]))
    xmpp.add_event_handler("muc::%s::self-presence" % room, lambda p: p["type"] == "unavailable" and done(left))

    host, port = want["addr"].rsplit(":", 1)
    xmpp.connect(host, int(port))
    try:
        async with asyncio.timeout(20):
            await started
            _, subject, occupants, _ = await muc.join_muc_wait(room, want["nick"], timeout=10)
            result["occupants"] = sorted({p["muc"]["nick"] for p in occupants} | {want["nick"]})
            result["subject"] = subject["subject"]
            xmpp.send_message(mto=room, mbody="hello from " + want["nick"], mtype="groupchat")
            await answered
            xmpp.send_message(mto=JID("%s/%s" % (room, want["peer"])), mbody="psst", mtype="chat")
            result["heard"].append("psst: " + await whispered)
            status = await xmpp.plugin["xep_0410"].send_self_ping(JID("%s/%s" % (room, want["nick"])), timeout=10)
            result["pinged"] = status == PingStatus.JOINED
            result["nick"] = await muc.set_self_nick(room, want["newNick"], timeout=10)
            muc.leave_muc(room, want["newNick"])
            await left
            result["left"] = True
    except Exception as err:
        result["error"] = "%s: %s" % (type(err).__name__, err)
    await xmpp.disconnect()
    print(json.dumps(result), flush=True)


# What goes wrong goes to the standard error.
logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
asyncio.run(visit(json.load(sys.stdin)))
