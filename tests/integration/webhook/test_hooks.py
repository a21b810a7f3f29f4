"""The adapter that asks addresses which organisations name: what it asks, and what it never does."""

import ipaddress
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailtide.adapters.hooks import WebHooks, is_public
from mailtide.errors import InputError, MailtideError, TransientError
from tests.integration.webhook.conftest import Receiver
from tests.support.tls import make_authority

LOCAL = WebHooks("unused", loopback=True, deadline_s=1.0)
DEPLOYED = WebHooks("unused", deadline_s=1.0)


def test_what_is_sent_arrives_as_it_was_signed(receiver: Receiver) -> None:
    status = LOCAL.post(
        f"{receiver.url}/in?a=%2F&b", b'{"a":1}', {"webhook-id": "run_1", "Content-Type": "application/json"}
    )
    ((path, body, headers),) = receiver.seen
    assert (status, path, body) == (204, "/in?a=%2F&b", b'{"a":1}')
    assert headers["webhook-id"] == "run_1"
    assert headers["Host"] == receiver.url.removeprefix("http://")


def test_names_of_this_machine_are_asked_only_in_the_local_cloud(receiver: Receiver) -> None:
    url = receiver.url.replace("127.0.0.1", "localhost")
    assert LOCAL.post(url, b"", {}) == 204
    with pytest.raises(InputError, match="https"):
        DEPLOYED.post(url, b"", {})
    assert len(receiver.seen) == 1


def test_redirects_are_answers_and_not_followed(receiver: Receiver) -> None:
    receiver.status, receiver.location = 307, f"{receiver.url}/elsewhere"
    assert LOCAL.post(f"{receiver.url}/in", b"", {}) == 307
    assert [path for path, _, _ in receiver.seen] == ["/in"]


def test_silence_ends_with_the_deadline(receiver: Receiver) -> None:
    receiver.silent_s = 30
    with pytest.raises(TransientError, match=r"within 0\.2 seconds"):
        WebHooks("unused", loopback=True, deadline_s=0.2).post(receiver.url, b"", {})


def test_no_proxy_of_the_environment_is_asked(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert LOCAL.post(receiver.url, b"", {}) == 204


def test_nobody_there_is_worth_another_try() -> None:
    with pytest.raises(TransientError) as refused:
        LOCAL.post("http://127.0.0.1:9/secret-path", b"", {})
    assert "secret-path" not in str(refused.value)


PRIVATE = [
    "127.0.0.1", "localhost", "[::1]", "0", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1",
    "[::ffff:127.0.0.1]", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "[fe80::1]", "[64:ff9b::a9fe:a9fe]",
    "[2002:7f00:1::]", "224.0.0.1", "255.255.255.255", "2130706433", "0x7f000001", "127.1", "0177.0.0.1",
]  # fmt: skip


@pytest.mark.parametrize("host", PRIVATE)
def test_addresses_that_are_not_public_are_refused(host: str) -> None:
    with pytest.raises((InputError, TransientError), match=r"public address|could not be resolved|no web address"):
        DEPLOYED.post(f"https://{host}/latest/meta-data", b"", {})


@pytest.mark.parametrize("host", ["10.1.2.3", "169.254.169.254", "[fd00:ec2::254]"])
def test_the_local_cloud_asks_no_other_private_address(host: str) -> None:
    for scheme in ("http", "https"):
        with pytest.raises(InputError, match="public address"):
            LOCAL.post(f"{scheme}://{host}/", b"", {})


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.org/", "ftp://hooks.example.org/", "hooks.example.org", "", "https://", "https:///path",
        "https://user:word@hooks.example.org/", "https://hooks.example.org/#part", "https://hooks.example.org:99999/",
        "javascript:alert(1)", "https://[::1", "\n",
    ],
)  # fmt: skip
def test_urls_that_are_none_are_one_clear_sentence(url: str) -> None:
    with pytest.raises(InputError, match=r"^The webhook's URL [^\n]*\.$"):
        DEPLOYED.checked(url)


def test_a_public_address_and_what_only_looks_like_one() -> None:
    assert is_public(ipaddress.ip_address("8.8.8.8"))
    assert is_public(ipaddress.ip_address("2606:4700:4700::1111"))
    assert not is_public(ipaddress.ip_address("64:ff9b::7f00:1"))


@given(st.ip_addresses(v=4))
def test_no_disguise_makes_an_address_public(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    for disguised in (0xFFFF << 32 | number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80):
        if is_public(ipaddress.IPv6Address(disguised)):
            assert is_public(address)


def test_tls_is_checked_against_the_name_though_the_connection_goes_to_an_address(tmp_path: Path) -> None:
    authority = make_authority(tmp_path)
    seen: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(self.headers["Host"])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
            """Not worth a line."""

    for name, works in (("localhost", True), ("other.example.org", False)):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        server.socket = authority.server_context(name).wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"https://localhost:{server.server_address[1]}/"
        trusting = WebHooks("unused", loopback=True, tls=authority.client_context(), deadline_s=2.0)
        if works:
            assert trusting.post(url, b"", {}) == 200
            assert seen == [url.removeprefix("https://").removesuffix("/")]
            with pytest.raises(TransientError):
                LOCAL.post(url, b"", {})
        else:
            with pytest.raises(MailtideError):
                trusting.post(url, b"", {})
        server.shutdown()
        server.server_close()
