"""`dhanfast secrets`: what is kept encrypted, never shown again.

Exit codes: 0 done, 1 refused, 2 usage.
"""

from pathlib import Path

import click

from dhanfast.app.edge import edge, print_json
from dhanfast.app.secret_input import hidden, json_option, new_passphrase, secret_store
from dhanfast.errors import UsageError

FILE = click.Path(dir_okay=False, path_type=Path)


@click.group()
def secrets() -> None:
    """Keep PIN, TOTP secret, keys and token encrypted.

    The key is in the system's keyring, or made from a passphrase: typed, or in the file (mode 0600)
    that DHANFAST_PASSPHRASE_FILE names. Nothing prints a secret.

    Example: dhanfast secrets set dhan.pin
    """


@secrets.command("set")
@click.argument("name")
@edge
def set_command(name: str) -> None:
    """Keep a secret: typed without being shown, or a line of standard input.

    Names with a meaning: dhan.client-id, dhan.pin, dhan.totp-secret, dhan.app-id, dhan.app-secret.
    """
    from dhanfast.security.store import checked_name

    checked_name(name)
    value = checked_value(name, hidden(f"{name}: "))
    secret_store().put(name, value)
    click.echo(f"kept {name}")


@secrets.command("list")
@json_option
@edge
def list_command(as_json: bool) -> None:
    """Show the names of what is kept; no passphrase is needed."""
    store = secret_store()
    names = store.names()
    if as_json:
        print_json({"file": str(store.path), "names": names})
        return
    click.echo("\n".join(names) if names else f"nothing is kept in {store.path}")


@secrets.command("remove")
@click.argument("names", nargs=-1, required=True)
@edge
def remove_command(names: tuple[str, ...]) -> None:
    """Forget secrets."""
    gone = secret_store().remove(*names)
    for name in gone:
        click.echo(f"removed {name}")
    missing = sorted(set(names) - set(gone))
    if missing:
        raise UsageError(f"nothing is kept under {', '.join(missing)}")


@secrets.command("rotate")
@click.option("--to", type=click.Choice(["passphrase", "keyring"]), default="passphrase",
              show_default=True, help="Where the new key comes from.")  # fmt: skip
@click.option("--new-passphrase-file", type=FILE, metavar="FILE",
              help="File of mode 0600 with the new passphrase; else it is typed.")  # fmt: skip
@edge
def rotate_command(to: str, new_passphrase_file: Path | None) -> None:
    """Encrypt everything under a new key, all or nothing.

    Afterwards DHANFAST_PASSPHRASE_FILE must hold the new passphrase.
    """
    import secrets as randomness

    from dhanfast.security.keys import Key, KeyringKey, PassphraseKey

    store = secret_store()
    if not store.exists:
        raise UsageError("there is no store yet; `dhanfast secrets set NAME` makes one")
    if to == "keyring" and not KeyringKey.usable():
        raise UsageError("this machine has no keyring that keeps secrets well; use a passphrase")
    key: Key
    if to == "keyring":
        key = KeyringKey(f"store-{randomness.token_hex(4)}")
    else:
        key = PassphraseKey(new_passphrase(new_passphrase_file))
    click.echo(f"{store.rotate(key)} secrets are now under the new {to}")


@secrets.command("export")
@click.argument("file", type=FILE)
@click.option("--new-passphrase-file", type=FILE, metavar="FILE",
              help="File of mode 0600 with the copy's passphrase; else it is typed.")  # fmt: skip
@edge
def export_command(file: Path, new_passphrase_file: Path | None) -> None:
    """Write an encrypted copy under a passphrase of its own, for a backup or another machine."""
    from dhanfast.security.keys import PassphraseKey

    store = secret_store()
    if not store.exists:
        raise UsageError("there is no store yet; nothing to export")
    count = store.export_to(file, PassphraseKey(new_passphrase(new_passphrase_file)))
    click.echo(f"{count} secrets written to {file}, encrypted")


@secrets.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--passphrase-file", type=FILE, metavar="FILE",
              help="File of mode 0600 with the copy's passphrase; else it is typed.")  # fmt: skip
@edge
def import_command(file: Path, passphrase_file: Path | None) -> None:
    """Take over the secrets of an exported copy; those of the same names are replaced."""
    from dhanfast.security.keys import PassphraseKey
    from dhanfast.security.store import read_passphrase

    text = (
        read_passphrase(passphrase_file) if passphrase_file else hidden("Passphrase of the copy: ")
    )
    names = secret_store().import_from(file, lambda _: PassphraseKey(text))
    click.echo("took over " + ", ".join(names) if names else "the copy is empty")


def checked_value(name: str, value: str) -> str:
    """A secret in the form its name asks for.

    Raises:
        UsageError: another form. The message does not repeat the value, but for the client id.
    """
    from dhanfast.brokers.dhan import stored_tokens as kept
    from dhanfast.brokers.dhan.auth import checked_client_id, checked_pin
    from dhanfast.security.totp import checked_secret

    if name == kept.TOKEN:
        raise UsageError("a token is kept by `dhanfast auth login --method token`")
    if name == kept.CLIENT_ID:
        return checked_client_id(value)
    if name == kept.PIN:
        return checked_pin(value)
    return checked_secret(value) if name == kept.TOTP_SECRET else value
