"""Login calls, the callback page, and a token source that renews: each by one owner, once."""

import asyncio
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from dhanfast.brokers.dhan.auth import (
    AppKey,
    AuthCalls,
    PartnerKey,
    checked_client_id,
    checked_pin,
    token_of,
)
from dhanfast.brokers.dhan.consent_page import ConsentPage, consent_page
from dhanfast.brokers.dhan.errors import BrokerError
from dhanfast.brokers.dhan.hosts import Hosts
from dhanfast.brokers.dhan.stored_tokens import (
    CLIENT_ID,
    PIN,
    TOKEN,
    TOTP_SECRET,
    RenewSettings,
    StoredTokens,
    v1_token,
)
from dhanfast.brokers.dhan.web import NoReply, WebReply, WebRequest
from dhanfast.clock import ManualClock, SystemClock
from dhanfast.errors import BadData, ConfigError, NotAuthenticated, UsageError
from dhanfast.security.keys import PassphraseKey
from dhanfast.security.owner import Owned, TokenOwner
from dhanfast.security.store import SecretStore
from dhanfast.security.tokens import Token
from dhanfast.security.totp import code_at

from .stage import CLIENT, NOON_NS, Answer, ScriptedWeb, answering, fixture, json_reply, jwt

pytest.importorskip("cryptography", reason="needs the extra [live]")

KEY = AppKey("APPID", "APPSECRET")
SECRET = "GEZDGNBVGY3TQOJQ"
HOUR = 3_600


def calls_over(*answers: Answer) -> tuple[AuthCalls, ScriptedWeb]:
    web = answering(*answers)
    return AuthCalls(Hosts(), web), web


def told(value: str) -> WebReply:
    """The broker's answer with a token."""
    return json_reply({**fixture("rest/access_token"), "accessToken": value})


def done(what: Any) -> Any:
    async def act() -> Any:
        return await what

    return asyncio.run(act())


def test_a_token_is_read_from_the_answer() -> None:
    token = token_of(fixture("rest/access_token"))
    assert token.client_id == CLIENT and token.reveal() == "HEADER.PAYLOAD.SIGNATURE"
    assert token.expires_ns == 1_784_776_500 * 10**9  # 2026-07-23 08:45 IST, as written
    claimed = token_of({"accessToken": jwt(exp_s=5.0), "expiryTime": "2026-07-23T08:45:00.000"})
    assert claimed.expires_ns == 5 * 10**9 and claimed.kind == "SELF"
    with pytest.raises(BadData, match="accessToken is missing"):
        token_of({"status": "success"})


def test_consume_falls_back_to_post_only_where_get_is_not_taken() -> None:
    calls, web = calls_over(WebReply(status=405, body=b""), told(jwt()))
    assert done(calls.consume("T", KEY)).client_id == CLIENT
    assert [request.method for request in web.asked] == ["GET", "POST"]
    calls, web = calls_over(json_reply({"errorCode": "DH-905", "errorMessage": "x"}, 400))
    with pytest.raises(BrokerError):
        done(calls.consume("T", KEY))
    assert len(web.asked) == 1


FAILURES = [
    json_reply({"errorCode": "DH-906", "errorMessage": "bad"}, 400),
    WebReply(status=502, body=b"<html>"),
    NoReply("timed out"),
    json_reply({"status": "error", "message": "Invalid Pin"}),
]


@pytest.mark.parametrize("answer", FAILURES)
def test_a_login_is_asked_once_and_tells_no_secret(answer: Answer) -> None:
    calls, web = calls_over(answer)
    with pytest.raises(BrokerError) as caught:
        done(calls.mint(CLIENT, "987654", "135790"))
    assert len(web.asked) == 1
    for text in (str(caught.value), repr(caught.value), repr(web.asked), repr(KEY)):
        assert not [s for s in ("987654", "135790", "APPSECRET") if s in text]


def test_a_partner_has_calls_of_its_own() -> None:
    partner = PartnerKey("P1", "partner-secret")
    calls, web = calls_over(json_reply({"consentId": "C"}), told(jwt()))
    assert done(calls.partner_consent(partner)) == "C"
    assert calls.partner_login_page("C") == "https://auth.dhan.co/consent-login?consentId=C"
    assert done(calls.partner_consume("T", partner)).client_id == CLIENT
    assert [(r.method, urlsplit(r.url).path) for r in web.asked] == [
        ("POST", "/partner/generate-consent"), ("GET", "/partner/consume-consent"),
    ]  # fmt: skip
    assert all(r.headers == {"partner_id": "P1", "partner_secret": "partner-secret"}
               for r in web.asked)  # fmt: skip
    assert "partner-secret" not in repr(partner)


@pytest.mark.parametrize("bad", ["", "12345", "abcd", "1234567", "12 4"])
def test_pins_and_client_ids_are_checked(bad: str) -> None:
    if bad != "12345":
        with pytest.raises(UsageError) as caught:
            checked_pin(bad)
        assert not bad or bad not in str(caught.value)
    with pytest.raises(UsageError):
        checked_client_id(bad[:3])
    with pytest.raises(UsageError):
        AppKey("a b", "c")


# The callback page


def answered(page: ConsentPage, target: str, *headers: str) -> tuple[int, str]:
    """What the page answers to a head; status and the whole text."""
    text = page.answer("\r\n".join([f"GET {target} HTTP/1.1", *headers, "", ""])).decode()
    return int(text.split(" ")[1]), text


def test_the_page_takes_a_token_id_of_its_own_login_alone() -> None:
    async def act() -> None:
        async with consent_page("https://auth.dhan.co/login?consentAppId=C") as page:
            parts = urlsplit(page.start_url)
            host = f"Host: {parts.netloc}"
            state = parse_qs(parts.query)["state"][0]
            status, text = answered(page, f"/start?state={state}", host)
            assert status == 302 and "Location: https://auth.dhan.co/login?consentAppId=C" in text
            assert "HttpOnly" in text and "SameSite=Lax" in text
            cookie = f"Cookie: a=b; dhanfast_state={state}"
            refused = [
                answered(page, "/callback?tokenId=EVIL", host)[0],
                answered(page, "/callback?tokenId=EVIL", host, "Cookie: dhanfast_state=guess")[0],
                answered(page, "/callback?tokenId=EVIL&state=guess", host)[0],
                answered(page, "/callback?tokenId=EVIL", "Host: evil.example", cookie)[0],
                answered(page, "/callback", host, cookie)[0],
                answered(page, "/start?state=guess", host)[0],
                answered(page, "/", host)[0],
                int(page.answer(b"POST /callback HTTP/1.1\r\n\r\n".decode()).split(b" ")[1]),
                int(page.answer("nonsense").split(b" ")[1]),
            ]
            assert refused == [403, 403, 403, 403, 400, 404, 404, 405, 405]
            assert answered(page, "/callback?tokenId=GOOD", host, cookie)[0] == 200
            assert answered(page, "/callback?tokenId=LATE", host, cookie)[0] == 200
            assert await page.token_id(SystemClock(), 5) == "GOOD"

    asyncio.run(act())


def test_a_login_that_does_not_come_back_ends_in_time() -> None:
    async def act() -> None:
        clock = ManualClock()
        async with consent_page("https://x/") as page:
            with pytest.raises(NotAuthenticated, match=r"not finished within 300 s.*/callback"):
                await page.token_id(clock, 300)
        assert clock.now_ns() == 300 * 10**9

    asyncio.run(act())


def test_a_browser_over_a_real_connection_and_a_port_that_is_taken() -> None:
    async def act() -> None:
        async with consent_page("https://auth.dhan.co/x") as page:
            parts = urlsplit(page.start_url)
            assert parts.port is not None
            with pytest.raises(UsageError, match="cannot be used"):
                async with consent_page("https://x/", port=parts.port):
                    pass
            for junk in (b"", b"x" * 70_000, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"):
                reader, writer = await asyncio.open_connection("127.0.0.1", parts.port)
                writer.write(junk)
                writer.write_eof()
                await reader.read()
                writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", parts.port)
            writer.write(f"GET {parts.path}?{parts.query} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n"
                         .encode())  # fmt: skip
            assert b"302 Found" in await reader.read()
            writer.close()

    asyncio.run(act())


# The token source


class Home:
    """A user's machine: a store, a clock, a broker."""

    def __init__(self, folder: Path, *answers: Answer, **secrets: str) -> None:
        self.folder = folder
        self.clock = ManualClock(NOON_NS)
        self.web = answering(*answers)
        key = PassphraseKey("correct horse")
        self.store = SecretStore(folder / "s", lambda _: key)
        for name, value in secrets.items():
            self.store.put(f"dhan.{name.replace('_', '-')}", value)
        self.made: list[StoredTokens] = []

    def source(self, **options: Any) -> StoredTokens:
        options.setdefault("owner", TokenOwner(self.folder / "owner", "test", self.clock))
        options.setdefault("store", self.store)
        tokens = StoredTokens(AuthCalls(Hosts(), self.web), self.clock, **options)
        self.made.append(tokens)
        return tokens

    def keep(self, token: Token) -> None:
        self.source().keep(token)

    def kept(self) -> str:
        return str(json.loads(self.store.get(TOKEN) or "{}").get("value"))

    @property
    def paths(self) -> list[str]:
        return [urlsplit(request.url).path for request in self.web.asked]


def ending_in(hours: float, kind: str = "SELF", n: int = 0) -> Token:
    return Token.of_jwt(jwt(exp_s=NOON_NS / 1e9 + hours * HOUR, kind=kind, n=n))


NEXT = jwt(exp_s=NOON_NS / 1e9 + 24 * HOUR, n=1)
MINTED = jwt(exp_s=NOON_NS / 1e9 + 24 * HOUR, kind="APP", n=2)
WRONG = json_reply({"errorCode": "DH-906", "errorMessage": "Invalid TOTP"}, 400)
NO_RENEWAL = json_reply({"errorCode": "DH-905", "errorMessage": "Renewal not allowed"}, 400)


def test_a_token_is_looked_for_in_order(tmp_path: Path) -> None:
    home = Home(tmp_path)
    old = tmp_path / ".dhan_token.json"
    environ = {"DHAN_CLIENT_ID": CLIENT, "DHAN_ACCESS_TOKEN": jwt(n=5)}
    source = home.source(environ=environ, token_file=old)
    found = source.found()
    assert found is not None and found.source == "environment"
    old.write_text(json.dumps({"client_id": CLIENT, "access_token": jwt(n=6), "app_id": "x"}))
    found = source.found()
    assert found is not None and (found.source, found.place) == ("file", str(old))
    source.keep(Token.of_jwt(jwt(n=7)))
    found = source.found()
    assert found is not None and found.source == "store" and found.token.reveal() == jwt(n=7)
    for value in ("", "YOUR_ACCESS_TOKEN"):
        empty = home.source(store=None, environ={"DHAN_ACCESS_TOKEN": value})
        assert empty.found() is None
        with pytest.raises(NotAuthenticated, match="there is no token") as caught:
            done(empty.token())
        assert caught.value.exit_code == 4


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({"client_id": CLIENT, "access_token": "plain"}, "plain"),
        ({"client_id": CLIENT, "access_token": {"accessToken": "inner"}}, "inner"),
        ({"client_id": CLIENT, "access_token": {"data": {"accessToken": "deep"}}}, "deep"),
        ({"client_id": "YOUR_CLIENT_ID", "access_token": jwt(n=3)}, jwt(n=3)),
        ({"client_id": CLIENT, "access_token": "YOUR_ACCESS_TOKEN"}, None),
        ({"client_id": CLIENT}, None),
    ],
)
def test_token_files_of_version_1(tmp_path: Path, said: object, wanted: str | None) -> None:
    path = tmp_path / "t.json"
    path.write_text(json.dumps(said))
    token = v1_token(path)
    assert (token and token.reveal()) == wanted
    for junk in ("[]", "{", ""):
        path.write_text(junk)
        with pytest.raises(BadData, match="no token file"):
            v1_token(path)


def test_a_token_with_time_left_is_given_as_it_is(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.keep(ending_in(1))
    assert done(home.source().token()) == ending_in(1) and home.web.asked == []


def test_a_token_about_to_end_is_renewed_and_kept_first(tmp_path: Path) -> None:
    home = Home(tmp_path, told(NEXT))
    home.keep(ending_in(0.4))
    source = home.source()
    assert done(source.token()).reveal() == NEXT == home.kept()
    assert home.paths == ["/v2/RenewToken"] and home.web.asked[0].method == "GET"
    assert done(source.token()).reveal() == NEXT and len(home.web.asked) == 1


def test_an_app_token_is_replaced_with_pin_and_totp(tmp_path: Path) -> None:
    home = Home(tmp_path, told(MINTED), pin="123456", totp_secret=SECRET)
    home.keep(ending_in(0.4, "APP"))
    assert done(home.source().token()).reveal() == MINTED == home.kept()
    (request,) = home.web.asked
    query = parse_qs(urlsplit(request.url).query)
    assert request.method == "POST" and query["totp"] == [code_at(SECRET, home.clock.now_ns())]


def test_when_renewal_fails_the_old_token_is_used_to_its_end(tmp_path: Path) -> None:
    home = Home(tmp_path, NO_RENEWAL)
    home.keep(ending_in(0.4))
    source = home.source()
    assert done(source.token()) == ending_in(0.4)
    assert done(source.token()) == ending_in(0.4) and len(home.web.asked) == 1  # not hammered
    home.clock.advance(150)
    assert done(source.token()) == ending_in(0.4) and len(home.web.asked) == 2
    home.clock.advance(0.5 * HOUR)
    with pytest.raises(NotAuthenticated, match="has ended and was not renewed"):
        done(source.token())


def test_a_refused_pin_is_never_tried_again(tmp_path: Path) -> None:
    home = Home(tmp_path, WRONG, told(MINTED), pin="123456", totp_secret=SECRET)
    home.keep(ending_in(-1, "APP"))
    source = home.source()
    for _ in range(3):
        with pytest.raises(NotAuthenticated) as caught:
            done(source.token())
        assert "123456" not in str(caught.value)
        home.clock.advance(600)
    with pytest.raises(NotAuthenticated, match="not tried again"):
        done(source.mint())
    assert len(home.web.asked) == 1


def test_at_most_one_mint_in_two_minutes_by_all_processes(tmp_path: Path) -> None:
    home = Home(tmp_path, told(MINTED), pin="123456", totp_secret=SECRET, client_id=CLIENT)
    done(home.source().mint())
    home.made[-1]._owner.release()  # type: ignore[union-attr]
    home.clock.advance(20)
    done(home.source().mint())
    assert home.clock.now_ns() - NOON_NS >= 120 * 10**9 and len(home.web.asked) == 2


def test_a_refused_token_is_replaced_once(tmp_path: Path) -> None:
    home = Home(tmp_path, told(MINTED), pin="123456", totp_secret=SECRET)
    old = ending_in(5)
    home.keep(old)
    source = home.source()

    async def act() -> list[Token]:
        return await asyncio.gather(*(source.refused(old) for _ in range(5)))

    assert {token.reveal() for token in asyncio.run(act())} == {MINTED}
    assert home.paths == ["/app/generateAccessToken"]  # a dead token does not renew itself
    with pytest.raises(NotAuthenticated, match="another machine may make tokens"):
        done(source.refused(Token.of_jwt(MINTED)))
    assert len(home.web.asked) == 1


def test_a_token_that_another_process_renewed_is_taken(tmp_path: Path) -> None:
    home = Home(tmp_path, told(MINTED))
    old = ending_in(0.4)
    home.keep(old)
    reader = home.source(owner=None)
    assert done(reader.token()) == old  # it only reads: the owner renews
    home.keep(Token.of_jwt(NEXT))
    assert done(reader.token()).reveal() == NEXT
    assert done(home.source(owner=None).refused(old)).reveal() == NEXT
    assert home.web.asked == []


def test_who_does_not_own_the_token_does_not_renew(tmp_path: Path) -> None:
    home = Home(tmp_path, told(NEXT))
    home.keep(ending_in(0.4))
    with TokenOwner(tmp_path / "owner", "dhanfast trade", home.clock):
        assert done(home.source().token()) == ending_in(0.4)
        with pytest.raises(NotAuthenticated, match="owned by dhanfast trade"):
            done(home.source().refused(ending_in(0.4)))
    assert home.web.asked == []


def test_who_may_renew_owns_the_token_from_the_first_one_on(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.keep(ending_in(5))
    mine = TokenOwner(tmp_path / "owner", "dhanfast trade", home.clock)
    assert done(home.source(owner=mine).token()) == ending_in(5)
    with pytest.raises(Owned, match="dhanfast trade"):
        TokenOwner(tmp_path / "owner", "dhanfast auth login", home.clock).acquire()
    assert done(home.source().token()) == ending_in(5)  # a second one reads
    mine.release()


def test_a_new_token_that_could_not_be_kept_is_not_made(tmp_path: Path) -> None:
    home = Home(tmp_path, told(NEXT))
    environ = {"DHAN_ACCESS_TOKEN": ending_in(0.4).reveal()}
    source = home.source(store=None, environ=environ)
    assert done(source.token()) == ending_in(0.4) and home.web.asked == []
    with pytest.raises(NotAuthenticated, match="could not be kept"):
        done(source.refused(ending_in(0.4)))
    with pytest.raises(UsageError):
        source.keep(ending_in(1))


def test_without_pin_the_user_is_asked(tmp_path: Path) -> None:
    home = Home(tmp_path, client_id=CLIENT)
    home.keep(ending_in(-1))
    with pytest.raises(NotAuthenticated, match=f"secrets set {PIN}"):
        done(home.source().token())
    with pytest.raises(NotAuthenticated, match=f"secrets set {TOTP_SECRET}"):
        done(home.source().mint())
    home.store.remove(CLIENT_ID, TOKEN)
    with pytest.raises(NotAuthenticated, match=CLIENT_ID):
        done(home.source(owner=None).mint())


def test_a_renewal_of_unknown_fate_is_replaced_by_a_mint(tmp_path: Path) -> None:
    def answer(request: WebRequest) -> Answer:
        return NoReply("timed out") if "RenewToken" in request.url else told(MINTED)

    home = Home(tmp_path, told(""), pin="123456", totp_secret=SECRET)
    home.web.handler = answer
    home.keep(ending_in(0.4))
    assert done(home.source().token()).reveal() == MINTED
    assert home.paths == ["/v2/RenewToken", "/app/generateAccessToken"]


def test_no_secret_in_any_log_of_a_renewal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    secrets = {"pin": "987654", "totp_secret": SECRET}
    echo: Callable[[WebRequest], Answer] = lambda r: json_reply(  # noqa: E731
        {"errorCode": "DH-905", "errorMessage": f"bad request {r.url} {dict(r.headers)}"}, 400
    )
    home = Home(tmp_path, told(""), **secrets)
    home.web.handler = echo
    old = ending_in(0.4)
    home.keep(old)
    texts = []
    with caplog.at_level(logging.DEBUG):
        source = home.source()
        done(source.token())
        for call in (source.renew, source.mint, lambda: source.refused(old)):
            home.clock.advance(200)
            with pytest.raises((NotAuthenticated, BrokerError)) as caught:
                done(call())
            texts += [str(caught.value), repr(caught.value)]
    texts.append(caplog.text)
    assert caplog.text and len(home.web.asked) >= 2
    for secret in (*secrets.values(), old.reveal(), old.reveal()[:20]):
        assert not [text for text in texts if secret in text]


def test_settings_that_would_hammer_are_refused() -> None:
    for bad in ({"before_s": 1.0}, {"gap_s": 1.0}, {"before_s": 1e6}):
        with pytest.raises(ConfigError):
            RenewSettings(**bad)
