"""`dhanfast auth` and `dhanfast secrets` as typed: exit codes, files, and no secret shown."""

import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from dhanfast.app import cli_auth
from dhanfast.app.cli import run
from dhanfast.clock import SystemClock
from dhanfast.security import keys

from ..brokers.dhan.stage import CLIENT, fixture, jwt

pytest.importorskip("cryptography", reason="needs the extra [live]")
pytest.importorskip("aiohttp", reason="needs the extra [live]")

SECRET = "GEZDGNBVGY3TQOJQGEZDGNBV"
PHRASE = "correct horse battery"
PIN = "975310"
Say = Callable[..., tuple[int, str, str]]


def token(hours: float = 10, *, n: int = 0, kind: str = "SELF") -> str:
    """A token that ends so many hours from now."""
    return jwt(exp_s=SystemClock().now_ns() / 1e9 + hours * 3_600, kind=kind, n=n)


class Broker:
    """A few of Dhan's login calls on a port of this machine."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.dead: set[str] = set()
        self.made = token(24, n=41)
        self.refuses = False
        self.url = ""

    def answer(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, Any]:
        parts = urlsplit(path)
        if self.refuses:
            return 400, {"errorCode": "DH-906", "errorMessage": "Invalid Pin or TOTP"}
        if parts.path == "/v2/profile":
            if headers.get("access-token", "") in self.dead:
                return 401, {"errorCode": "DH-901", "errorMessage": "expired"}
            return 200, fixture("rest/profile")
        if parts.path == "/app/generate-consent":
            return 200, {"consentAppId": "CONSENT", "status": "success"}
        if parts.path == "/app/consumeApp-consent" and parse_qs(parts.query)["tokenId"] != ["TID"]:
            return 400, {"errorCode": "DH-905", "errorMessage": "bad tokenId"}
        return 200, {**fixture("rest/access_token"), "accessToken": self.made}


@pytest.fixture
def broker() -> Iterator[Broker]:
    own = Broker()

    class Handler(BaseHTTPRequestHandler):
        def act(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            own.asked.append((self.command, self.path, headers))
            status, said = own.answer(self.command, self.path, headers)
            body = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = act

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    own.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield own
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Say:
    """Runs a command with a home of its own and what is typed: (code, stdout, stderr)."""
    phrase = tmp_path / "phrase"
    phrase.write_text(PHRASE)
    phrase.chmod(0o600)
    monkeypatch.setenv("DHANFAST_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DHANFAST_PASSPHRASE_FILE", str(phrase))
    for name in ("DHAN_CLIENT_ID", "DHAN_ACCESS_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(keys, "_keyring", lambda: None)
    monkeypatch.chdir(tmp_path)

    def call(*words: object, typed: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        code = run([str(word) for word in words])
        printed = capfd.readouterr()
        return code, printed.out, printed.err

    return call


def test_without_a_token_status_says_how_to_get_one(say: Say) -> None:
    code, out, err = say("auth", "status")
    assert code == 4 and "dhanfast auth login" in err
    code, out, _ = say("auth", "status", "--json")
    assert code == 4 and json.loads(out)["authenticated"] is False


def test_a_pasted_token_is_kept_checked_and_never_shown(say: Say, broker: Broker) -> None:
    value = token()
    code, out, err = say("auth", "login", "--method", "token", "--exchange", broker.url,
                         typed=f"{value}\n")  # fmt: skip
    assert code == 0 and f"logged in as {CLIENT}" in out
    assert broker.asked[0][1] == "/v2/profile"
    everything = out + err
    for words in (("auth", "status"), ("auth", "status", "--json"), ("secrets", "list")):
        more = ("--exchange", broker.url) if words[0] == "auth" else ()
        code, out, err = say(*words, *more)
        assert code == 0
        everything += out + err
    assert value not in everything and value[:20] not in everything
    assert "Equity, Derivative" in everything and "until" in everything


def test_a_token_the_broker_refuses_is_not_kept(say: Say, broker: Broker) -> None:
    value = token()
    broker.dead.add(value)
    code, _, err = say("auth", "login", "--method", "token", "--exchange", broker.url,
                       typed=f"{value}\n")  # fmt: skip
    assert code == 4 and "the broker refuses the token" in err and value not in err
    assert say("auth", "status", "--offline")[0] == 4
    code, _, err = say("auth", "login", "--no-check", "--method", "token", typed=f"{token(-1)}\n")
    assert code == 4 and "has ended" in err
    assert say("auth", "login", "--method", "token", typed="\n")[0] == 2


def test_a_token_file_of_version_1_is_found_offered_and_encrypted(
    say: Say, broker: Broker, tmp_path: Path
) -> None:
    value, old = token(), tmp_path / ".dhan_token.json"
    old.write_text(json.dumps({"client_id": CLIENT, "access_token": value, "app_id": "x"}))
    code, out, _ = say("auth", "status", "--exchange", broker.url)
    assert code == 0 and "not encrypted" in out and "--delete-file" in out
    code, out, err = say("auth", "login", "--method", "token", "--file", old, "--delete-file",
                         "--exchange", broker.url)  # fmt: skip
    assert code == 0 and not old.exists() and "deleted" in err
    code, out, _ = say("auth", "status", "--json", "--exchange", broker.url)
    said = json.loads(out)
    assert (said["source"], said["client_id"], said["kind"]) == ("store", CLIENT, "SELF")
    assert said["data_plan"] == "Active" and 590 < said["minutes_left"] <= 600
    assert value not in out


def test_the_environment_of_version_1_is_understood(
    say: Say, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DHAN_CLIENT_ID", CLIENT)
    monkeypatch.setenv("DHAN_ACCESS_TOKEN", "not-a-jwt-but-a-token")
    code, out, _ = say("auth", "status", "--exchange", broker.url, "--json")
    assert code == 0 and json.loads(out)["source"] == "environment"
    broker.dead.add("not-a-jwt-but-a-token")
    code, out, err = say("auth", "status", "--exchange", broker.url)
    assert code == 4 and "DH-901" in out + err and "not-a-jwt" not in out + err


def test_pin_and_totp_once_typed_and_then_by_themselves(say: Say, broker: Broker) -> None:
    code, out, err = say("auth", "login", "--method", "totp", "--client-id", CLIENT, "--keep",
                         "--exchange", broker.url, typed=f"{PIN}\n{SECRET}\n")  # fmt: skip
    assert code == 0, err
    query = parse_qs(urlsplit(broker.asked[-1][1]).query)
    assert query["pin"] == [PIN] and re.fullmatch(r"\d{6}", query["totp"][0])
    code, names, _ = say("secrets", "list")
    assert {"dhan.pin", "dhan.totp-secret", "dhan.token"} <= set(names.split())
    everything = out + err + names
    assert not [s for s in (PIN, SECRET, broker.made) if s in everything]


def test_totp_and_renew_without_a_person(say: Say, broker: Broker) -> None:
    for name, value in (("client-id", CLIENT), ("pin", PIN), ("totp-secret", SECRET)):
        assert say("secrets", "set", f"dhan.{name}", typed=f"{value}\n")[0] == 0
    code, out, err = say("auth", "totp", "--exchange", broker.url, "--json")
    assert code == 0 and json.loads(out)["client_id"] == CLIENT, err
    broker.made = token(24, n=42)
    code, out, err = say("auth", "renew", "--exchange", broker.url)
    assert code == 0 and broker.asked[-1][1] == "/v2/RenewToken", err
    broker.refuses = True
    code, out, err = say("auth", "login", "--method", "totp", "--exchange", broker.url)
    assert code != 0 and "Invalid Pin or TOTP" in err and PIN not in err
    assert say("auth", "status", "--offline")[0] == 0  # the old one stands


def test_without_keys_totp_and_renew_say_what_to_do(say: Say) -> None:
    code, _, err = say("auth", "renew")
    assert code == 4 and "dhanfast auth login" in err
    code, _, err = say("auth", "totp")
    assert code == 4 and "secrets set dhan.client-id" in err


def test_consent_by_a_pasted_address(say: Say, broker: Broker) -> None:
    code, out, err = say(
        "auth", "login", "--method", "consent", "--client-id", CLIENT, "--app-id", "APP",
        "--paste", "--keep", "--exchange", broker.url,
        typed="app-secret-value\nhttps://my.site/back?tokenId=TID&x=1\n",
    )  # fmt: skip
    assert code == 0 and "consentAppId=CONSENT" in err, err
    assert broker.asked[0][2]["app_secret"] == "app-secret-value"
    assert "app-secret-value" not in out + err and broker.made not in out + err
    code, _, err = say("auth", "login", "--paste", "--exchange", broker.url,
                       typed="https://my.site/back?error=1\n")  # fmt: skip
    assert code == 2 and "has no tokenId" in err


def test_consent_by_the_page_of_this_machine(
    say: Say, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The browser is a thread that follows the addresses and keeps the cookie."""
    import http.client

    def browse(url: str) -> bool:
        def visit() -> None:
            parts = urlsplit(url)
            first = http.client.HTTPConnection(parts.netloc)
            first.request("GET", f"{parts.path}?{parts.query}")
            answer = first.getresponse()
            cookie = (answer.getheader("Set-Cookie") or "").partition(";")[0]
            assert "consentAppId=CONSENT" in (answer.getheader("Location") or "")
            second = http.client.HTTPConnection(parts.netloc)
            second.request("GET", "/callback?tokenId=TID", headers={"Cookie": cookie})
            pages.append(second.getresponse().read().decode())
            first.close()
            second.close()

        threading.Thread(target=visit).start()
        return True

    pages: list[str] = []
    monkeypatch.setattr("webbrowser.open", browse)
    say("secrets", "set", "dhan.app-secret", typed="app-secret-value\n")
    code, out, err = say("auth", "login", "--client-id", CLIENT, "--app-id", "APP", "--exchange",
                         broker.url, "--timeout", 20)  # fmt: skip
    assert code == 0, err
    assert "/start?state=" in err and "/callback" in err and f"logged in as {CLIENT}" in out


def test_logout_forgets(say: Say, broker: Broker, tmp_path: Path) -> None:
    say("auth", "login", "--method", "token", "--exchange", broker.url, typed=token() + "\n")
    say("secrets", "set", "dhan.pin", typed=f"{PIN}\n")
    (tmp_path / ".dhan_token.json").write_text("{}")
    code, out, err = say("auth", "logout")
    assert code == 0 and "forgotten: dhan.token" in out and "in the clear" in err
    (tmp_path / ".dhan_token.json").unlink()
    assert say("auth", "status", "--offline")[0] == 4
    assert "dhan.pin" in say("secrets", "list")[1]
    assert "dhan.pin" in say("auth", "logout", "--all")[1]
    assert say("auth", "logout")[1] == "no token was kept\n"


def test_a_running_owner_is_not_cut_off(say: Say, broker: Broker, tmp_path: Path) -> None:
    from dhanfast.security.owner import TokenOwner

    with TokenOwner(tmp_path / "home" / "secrets" / "owner.lock", "dhanfast trade", SystemClock()):
        code, _, err = say("auth", "login", "--method", "token", "--exchange", broker.url,
                           typed=token() + "\n")  # fmt: skip
        assert code == 1 and "owned by dhanfast trade (pid" in err and broker.asked == []
    assert say("auth", "status")[0] == 4


@pytest.mark.parametrize("url", ["https://api.dhan.co", "http://10.0.0.1:80", "http://127.0.0.1",
                                 "127.0.0.1:80", "http://127.0.0.1:99999"])  # fmt: skip
def test_an_exchange_is_on_this_machine(say: Say, url: str) -> None:
    code, _, err = say("auth", "status", "--exchange", url)
    assert code == 2 and "--exchange" in err


# secrets


@pytest.mark.parametrize(
    ("name", "value"),
    [("dhan.pin", "12ab"), ("dhan.totp-secret", "246802"), ("dhan.client-id", "ABC12345E"),
     ("Dhan.Pin", "1234"), ("dhan.token", "x")],
)  # fmt: skip
def test_bad_secrets_are_refused_and_not_repeated(say: Say, name: str, value: str) -> None:
    code, out, err = say("secrets", "set", name, typed=f"{value}\n")
    assert code == 2 and (name == "dhan.client-id" or value not in out + err or value == "x")
    assert "nothing is kept" in say("secrets", "list")[1]


def test_secrets_are_rotated_moved_and_removed(say: Say, tmp_path: Path) -> None:
    assert say("secrets", "rotate")[0] == 2 and say("secrets", "export", "x")[0] == 2
    say("secrets", "set", "dhan.pin", typed=f"{PIN}\n")
    assert say("secrets", "rotate", "--to", "keyring")[0] == 2
    assert say("secrets", "rotate", typed="new passphrase\nnew passfrase\n")[0] == 2
    code, out, _ = say("secrets", "rotate", typed="new passphrase\nnew passphrase\n")
    assert code == 0 and out == "1 secrets are now under the new passphrase\n"
    code, _, err = say("secrets", "set", "a", typed="b\n")
    assert code == 1 and "not the one this store was made with" in err
    (tmp_path / "phrase").write_text("new passphrase")
    code, out, _ = say("secrets", "export", "copy.dfs", typed="of the copy\nof the copy\n")
    assert code == 0 and PIN not in (tmp_path / "copy.dfs").read_text()
    assert say("secrets", "remove", "dhan.pin")[1] == "removed dhan.pin\n"
    assert say("secrets", "remove", "dhan.pin")[0] == 2
    assert say("secrets", "import", "copy.dfs", typed="wrong one\n")[0] == 1
    assert say("secrets", "import", "copy.dfs", typed="of the copy\n")[1] == "took over dhan.pin\n"
    code, out, _ = say("secrets", "list", "--json")
    assert json.loads(out)["names"] == ["dhan.pin"]


def test_a_machine_without_keyring_and_passphrase_is_told(
    say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DHANFAST_PASSPHRASE_FILE")
    code, _, err = say("secrets", "set", "dhan.pin", typed=f"{PIN}\n")
    assert code == 1 and "DHANFAST_PASSPHRASE_FILE" in err and PIN not in err


def test_a_token_id_is_taken_out_of_an_address() -> None:
    assert cli_auth.pasted_token_id("TID") == "TID"
    assert cli_auth.pasted_token_id("http://127.0.0.1:1/cb?a=1&tokenId=T%2BD") == "T+D"
