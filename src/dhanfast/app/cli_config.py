"""`dhanfast config`: what is set, where it comes from, whether it is right, and its schema."""

import json
from typing import Any

import click

from dhanfast.app.config import DEFAULT, Config, each_field
from dhanfast.app.config_options import config_options
from dhanfast.app.edge import WIDTH, edge, print_json
from dhanfast.errors import ConfigError, StrategyError, UsageError


@click.group("config")
def config_group() -> None:
    """Show, check and describe the configuration.

    Example: dhanfast config show --sources
    """


@config_group.command("show")
@click.option("--sources", is_flag=True, help="Say where each value comes from.")
@click.option("--json", "as_json", is_flag=True, help="Print the settings as JSON.")
@edge
@config_options
def show_command(config: Config, sources: bool, as_json: bool) -> None:
    """Show every setting in force. There is no secret among them: secrets are only named.

    \b
    Examples:
      dhanfast config show
      dhanfast config show --sources --set risk.day_loss=2%
    """
    values = config.as_dict()
    if as_json:
        made: dict[str, Any] = {"files": list(config.files), "settings": values}
        if sources:
            made["sources"] = {key: config.source(key) for key, _ in each_field()}
        print_json(made | {"digest": config.digest()})
        return
    section = ""
    for key, _ in each_field():
        table, _, name = key.rpartition(".")
        if table == "strategy" and not config.tree.strategy:
            continue
        if table != section:
            section = table
            click.echo("\n[[strategy]]" if table == "strategy" else f"\n[{table}]")
        click.echo(_line(name, _value(values, key), config.source(key) if sources else ""))


@config_group.command("validate")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@edge
@config_options
def validate_command(config: Config, as_json: bool) -> None:
    """Check the configuration, and that its strategy can be made; exit code 3 when it is wrong.

    \b
    Example:
      dhanfast config validate
    """
    from dhanfast.strategies.plugins import LEGS

    named = ""
    if config.tree.strategy and config.strategy.use == LEGS:
        from dhanfast.app.live_legs import plan_of

        plan = plan_of(config)
        named = f"{config.strategy.name} ({len(plan.legs)} legs on {plan.underlying})"
    elif config.tree.strategy:
        named = f"{config.strategy.name} ({_made(config)})"
    if as_json:
        print_json({"valid": True, "files": list(config.files), "strategy": named or None,
                    "digest": config.digest()})  # fmt: skip
        return
    read = ", ".join(config.files) or "no file: all defaults"
    click.echo(f"valid: {read}")
    click.echo(f"strategy: {named or 'none; `dhanfast trade` needs one'}")


def _made(config: Config) -> str:
    """The strategy of a configuration, which must be there and take its parameters.

    Raises:
        ConfigError: it is not, or does not.
    """
    from dhanfast.strategies.plugins import find_strategy

    try:
        found = find_strategy(config.strategy_place(), config.strategy.params)
    except (UsageError, StrategyError) as error:
        wrong = "strategy.params" if config.strategy.params and "parameter" in str(error) else ""
        key = wrong or "strategy.use"
        raise ConfigError(f"{config.source(key)}: {key}: {error}") from None
    return f"{found.kind.__name__}, {found.door}"


@config_group.command("schema")
@edge
def schema_command() -> None:
    """Print the JSON Schema of the configuration file, for editors.

    \b
    Example:
      dhanfast config schema
    """
    from dhanfast.app.config_schema import schema

    click.echo(json.dumps(schema(), indent=1))


def _value(values: dict[str, Any], key: str) -> Any:
    """One value of the tree by its dotted key."""
    found: Any = values
    for name in key.split("."):
        found = found[name]
        found = found[0] if isinstance(found, tuple | list) and name == "strategy" else found
    return found


def toml_text(value: Any) -> str:
    """A value as TOML writes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        inside = ", ".join(f"{_toml_key(key)} = {toml_text(one)}" for key, one in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(toml_text(one) for one in value)}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value)


def _toml_key(key: str) -> str:
    plain = key.replace("_", "").replace("-", "").isalnum() and key.isascii()
    return key if plain else json.dumps(key)


def _line(name: str, value: Any, source: str) -> str:
    """One setting, its source behind it when asked for."""
    text = f"{name} = {toml_text(value)}"
    if not source:
        return text
    mark = f"# {source}"
    wide = len(text) + 2 + len(mark) > WIDTH
    if source == DEFAULT:
        return f"{text:<40}  {mark}"
    return f"{mark}\n{text}" if wide else f"{text:<40}  {mark}"
