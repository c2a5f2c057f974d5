# Copyright 2026 The xmppext Contributors.
# Use of this source code is governed by the BSD 2-clause
# license that can be found in the LICENSE file.

"""Visits a chat room with a client for the console, as ../rooms_test.go describes.

The argument is the client, profanity or mcabber. It runs in a terminal, where what a
person would type is typed, and what a person would read is read.
"""

import asyncio
import codecs
import json
import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

LINES, COLUMNS = 60, 160

# What programs are told of the screen: that the cursor can be moved, that what is behind it
# can be cleared in the line and on the screen, and that there are colours, which is not true.
TERMINFO = rf"""console|a screen,
  lines#{LINES}, cols#{COLUMNS}, cr=\r, cup=\E[%i%p1%d;%p2%dH, el=\E[K, ed=\E[J, clear=\E[H\E[J,
  colors#8, pairs#64, setaf=\E[3%p1%dm, setab=\E[4%p1%dm, op=\E[m,
"""


class Screen:
    """What a program has written, as it looks."""

    # A sequence that is complete, or a character.
    PART = re.compile(r"\x1b(?:\[(?P<where>[\d;?]*)(?P<what>[@-~])|\][^\x07]*\x07|[^\[\]])|(?P<char>[^\x1b])")

    def __init__(self):
        self.rows = [[" "] * COLUMNS for _ in range(LINES)]
        self.y = self.x = 0
        self.rest = ""

    def __str__(self):
        return "\n".join("".join(row).rstrip() for row in self.rows)

    def write(self, text):
        self.rest += text
        while part := self.PART.match(self.rest):
            self.rest = self.rest[part.end():]
            if part["char"]:
                self.put(part["char"])
            elif part["what"] == "H":
                where = [int(n or 1) for n in (part["where"] or "1;1").split(";")]
                self.y, self.x = min(where[0], LINES) - 1, min(where[1], COLUMNS) - 1
            elif part["what"] in ("J", "K"):
                self.rows[self.y][self.x:] = [" "] * (COLUMNS - self.x)
                if part["what"] == "J":
                    self.rows[self.y + 1:] = [[" "] * COLUMNS for _ in range(self.y + 1, LINES)]

    def put(self, char):
        if char == "\r":
            self.x = 0
        elif char == "\n":
            self.y = min(self.y + 1, LINES - 1)
        elif char == "\b":
            self.x = max(self.x - 1, 0)
        elif char.isprintable():
            self.rows[self.y][self.x] = char
            self.x = min(self.x + 1, COLUMNS - 1)


class Terminal:
    """A terminal with a program in it. The program ends when we do."""

    def __init__(self, home, *program):
        self.home, self.screen = home, Screen()
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.changed, self.ended = asyncio.Event(), asyncio.Event()
        subprocess.run(["tic", "-o", home / "terminfo", "-"], input=TERMINFO.encode(), check=True)
        env = {"PATH": os.environ["PATH"], "HOME": home, "LC_ALL": "C.UTF-8",
               "TERM": "console", "TERMINFO": home / "terminfo"}
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            termios.tcsetwinsize(0, (LINES, COLUMNS))
            # mcabber does not mind if its terminal ends.
            os.execvpe("setpriv", ["setpriv", "--pdeathsig", "KILL", *program], env)
        asyncio.get_running_loop().add_reader(self.fd, self.read)

    def read(self):
        try:
            data = os.read(self.fd, 1 << 16)
        except OSError:  # nobody has the other end anymore
            asyncio.get_running_loop().remove_reader(self.fd)
            self.ended.set()
        else:
            self.screen.write(self.decoder.decode(data))
        self.changed.set()

    def type(self, text):
        os.write(self.fd, text.encode() + b"\r")

    def all(self, pattern):
        """Returns all that matches on the screen."""
        return re.findall(pattern, str(self.screen), re.MULTILINE)

    async def shows(self, pattern):
        """Waits until there is a match on the screen, and returns the first."""
        while not (found := self.all(pattern)):
            if self.ended.is_set():
                raise EOFError("it has ended")
            self.changed.clear()
            await self.changed.wait()
        return found[0]

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


class Log:
    """A log. What is written to it from now on is a complaint unless it matches."""

    def __init__(self, path, harmless):
        self.path, self.harmless = path, harmless
        self.known = len(self.lines())

    def lines(self):
        return self.path.read_text(errors="replace").splitlines()

    def complaints(self):
        return [line for line in self.lines()[self.known:] if not re.fullmatch(self.harmless, line)]


def profanity(home, want):
    """Configures profanity and returns how to run it."""
    host, port = want["addr"].rsplit(":", 1)
    config, data, roots = home / ".config/profanity", home / ".local/share/profanity", home / "roots"
    for folder in config, data, roots:
        folder.mkdir(parents=True)
    (roots / "ca.pem").write_bytes(Path(want["ca"]).read_bytes())
    subprocess.run(["openssl", "rehash", roots], check=True)
    (config / "profrc").write_text(f"""[connection]
tls.certpath={roots}
carbons=false
[ui]
occupants=false
""")
    (data / "accounts").write_text(f"""[visitor]
enabled=true
jid={want["jid"]}
password={want["password"]}
server={host}
port={port}
tls.policy=force
""")
    return "profanity", "-l", "WARN", "-f", home / "log", "-a", "visitor"


async def visit_with_profanity(t, want, result):
    """Visits the room and returns what profanity complains of."""
    room, nick, peer = want["room"], want["nick"], want["peer"]
    await t.shows("logged in successfully")
    t.type("/disco info")
    await t.shows("Service discovery info for")  # now its server has answered everything
    # It asks rooms for lists of affiliations, which are not for everybody. The rest is about
    # its own capabilities, which change while it asks for them, and about its files.
    log = Log(t.home / "log", r"\S+ prof: ERR: IQ error received, id: \S+, error: forbidden|"
              r"\S+ prof: WRN: Gener.*|\S+ prof: WRN: Given .*|\S+ stderr: ERR: (|.* g_key_file_set_string: .*)")

    t.type(f"/join {room} nick {nick}")
    await t.shows(f"! -> You have joined the room as {nick}, role: participant")
    result["subject"] = await t.shows(r"has set the room subject: (.*)$")
    t.type("/who")
    result["occupants"] = sorted((await t.shows(r"! \d+ occupants: (.*)$")).split(", "))
    t.type(f"hello from {nick}")
    await t.shows(f" - {peer}: welcome {nick}$")
    result["heard"] = t.all(r"^\S+ - (\S+: .*)$")
    t.type(f"/msg {peer} psst")
    result["heard"].append("psst: " + await t.shows(f" - {peer}: (psst .*)$"))
    t.type(f"/win {room}")
    t.type(f"/nick {want['newNick']}")
    t.type("/occupants show")  # where its new nickname appears
    result["nick"] = await t.shows(rf"  Participants$(?:.|\n)*  ({want['newNick']})$")
    errors = t.all(r" ! (Error .*)$")  # what the room has refused; it is not in the log
    t.type("/close")
    await t.shows("Closed window")
    result["left"] = True

    t.type("/disconnect")  # some versions take five seconds to quit
    await t.shows("logged out successfully")
    return log.complaints() + errors


def mcabber(home, want):
    """Configures mcabber and returns how to run it."""
    host, port = want["addr"].rsplit(":", 1)
    rc = home / "rc"
    rc.touch(mode=0o600)
    rc.write_text(f"""set jid = {want["jid"]}
set password = {want["password"]}
set server = {host}
set port = {port}
set tls = 1
set ssl_ca = {want["ca"]}
set tracelog_level = 1
set tracelog_file = {home / "log"}
set lang = en
""")
    return "mcabber", "-f", rc


async def visit_with_mcabber(t, want, result):
    """Visits the room and returns what mcabber complains of."""
    room, nick, peer = want["room"], want["nick"], want["peer"]
    await t.shows("Your status has been set")
    await t.shows("Server does not support roster notes")  # now its server has answered everything
    log = Log(t.home / "log", r"\[.*?\] (Sent a join request|You have joined|Sent ping request|You have left|"
              r"Your status|Disconnected).*")

    t.type(f"/room join {room} {nick}")
    await t.shows(f"You have joined {room} as \"{nick}\"")
    t.type(f"/roster search {room}")
    t.type("")  # opens what was found
    result["subject"] = await t.shows(r" \*\*\* \S+ has set the topic to: (.*)$")
    t.type("/room names")
    await t.shows(r" \*\*\* Total: ")
    result["occupants"] = sorted(t.all(r" \*\*\* \[.\] (\S+)$"))
    t.type(f"hello from {nick}")
    await t.shows(f" <== <{peer}> welcome {nick}$")
    result["heard"] = [": ".join(one) for one in t.all(r" <== <(\S+)> (.*)$")]
    t.type(f"/room privmsg {peer} psst")
    result["heard"].append("psst: " + await t.shows(f" <== PRIV#<{peer}> (.*)$"))
    t.type(f"/request ping {room}/{nick}")
    await t.shows(rf" \*\*\* Pong from <{room}/{nick}>")
    result["pinged"] = True
    t.type(f"/room nick {want['newNick']}")
    result["nick"] = await t.shows(rf" \*\*\* {nick} is now known as (\S+)$")
    t.type("/room leave")
    await t.shows(rf" \*\*\* You have left {room}$")
    result["left"] = True

    t.type("/quit")
    await t.ended.wait()
    return log.complaints()


async def main(program, visit):
    want = json.load(sys.stdin)
    result = {"occupants": [], "subject": "", "heard": [], "nick": "", "pinged": False, "left": False, "error": ""}
    with tempfile.TemporaryDirectory(dir=Path(want["ca"]).parent) as home:
        home = Path(home)
        terminal = Terminal(home, *program(home, want))
        try:
            async with asyncio.timeout(40):
                for complaint in await visit(terminal, want, result):
                    print(complaint, file=sys.stderr)
        except Exception as err:
            result["error"] = f"{type(err).__name__}: {err}"
            print(str(terminal.screen).strip(), file=sys.stderr)
        terminal.kill()
    print(json.dumps(result), flush=True)


asyncio.run(main(*{
    "profanity": (profanity, visit_with_profanity),
    "mcabber": (mcabber, visit_with_mcabber),
}[sys.argv[1]]))
