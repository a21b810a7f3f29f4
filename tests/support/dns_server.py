"""A DNS server of the tests' own on port 0 of loopback, by UDP and TCP: answers what it was told, right or wrong."""

import asyncio
import struct
from collections import Counter
from collections.abc import Callable

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.support.mail_servers import LOOPBACK, LoopThread

type Wire = Callable[[dns.message.Message, bool], bytes | None]
"""Question and whether it came by TCP -> the answer as bytes; None for silence."""

TTL_S = 60


class DnsServer:
    """Zones by name and kind; what is not there is NXDOMAIN, and a name with other records has no answer."""

    def __init__(self, loop: LoopThread) -> None:
        self._loop = loop
        self._records: dict[tuple[str, str], list[str]] = {}
        self._special: dict[str, Wire] = {}
        self.asked: Counter[tuple[str, str]] = Counter()
        """Name and "udp" or "tcp"."""

        async def start() -> tuple[asyncio.DatagramTransport, asyncio.Server]:
            server = await asyncio.start_server(self._serve, LOOPBACK, 0)
            port = server.sockets[0].getsockname()[1]
            udp, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Udp(self), local_addr=(LOOPBACK, port)
            )
            return udp, server

        for attempt in range(20):
            try:
                self._udp, self._tcp = loop.call(start())
                break
            except OSError:
                # Another process has this port by UDP: the next one then.
                assert attempt < 19
        self.port = int(self._tcp.sockets[0].getsockname()[1])

    @property
    def address(self) -> tuple[str, int]:
        return LOOPBACK, self.port

    def close(self) -> None:
        async def stop() -> None:
            self._udp.close()
            self._tcp.close()

        self._loop.call(stop())

    def put(self, name: str, kind: str, *records: str) -> None:
        """Records in the text of zone files; none take the name's records of this kind away."""
        self._records[name.lower(), kind] = list(records)

    def text(self, name: str, *records: str) -> None:
        """TXT records, each cut into strings of at most 255 characters."""
        self.put(name, "TXT", *(" ".join(f'"{_escaped(part)}"' for part in _parts(one)) for one in records))

    def answer(self, name: str, wire: Wire) -> None:
        """What a name answers to any question, as bytes."""
        self._special[name.lower()] = wire

    def fail(self, name: str, code: dns.rcode.Rcode = dns.rcode.SERVFAIL) -> None:
        """A name that answers with an error."""

        def refuse(question: dns.message.Message, _is_tcp: bool) -> bytes:
            answer = dns.message.make_response(question)
            answer.set_rcode(code)
            return answer.to_wire()

        self.answer(name, refuse)

    def reply(self, body: bytes, *, is_tcp: bool) -> bytes | None:
        question = dns.message.from_wire(body)
        name = question.question[0].name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.question[0].rdtype)
        self.asked[name, "tcp" if is_tcp else "udp"] += 1
        special = self._special.get(name)
        if special is not None:
            return special(question, is_tcp)
        answer = dns.message.make_response(question)
        answer.flags |= dns.flags.RA
        self._fill(answer, name, kind)
        wire = answer.to_wire(max_size=65_535)
        if not is_tcp and len(wire) > max(512, question.payload):
            short = dns.message.make_response(question)
            short.flags |= dns.flags.TC
            return short.to_wire()
        return wire

    def _fill(self, answer: dns.message.Message, name: str, kind: str) -> None:
        for _ in range(10):
            alias = self._records.get((name, "CNAME"))
            if not alias:
                break
            answer.answer.append(dns.rrset.from_text(f"{name}.", TTL_S, "IN", "CNAME", alias[0]))
            name = alias[0].rstrip(".").lower()
        records = self._records.get((name, kind))
        if records:
            answer.answer.append(dns.rrset.from_text_list(f"{name}.", TTL_S, "IN", kind, records))
        elif not any(one == name or one.endswith(f".{name}") for one, _ in self._records):
            answer.set_rcode(dns.rcode.NXDOMAIN)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            (size,) = struct.unpack("!H", await reader.readexactly(2))
            reply = self.reply(await reader.readexactly(size), is_tcp=True)
            if reply is not None:
                writer.write(struct.pack("!H", len(reply)) + reply)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: DnsServer) -> None:
        self._server = server

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.DatagramTransport)
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        reply = self._server.reply(data, is_tcp=False)
        if reply is not None:
            self._transport.sendto(reply, addr)


def _parts(text: str) -> list[str]:
    return [text[start : start + 255] for start in range(0, len(text), 255)] or [""]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
