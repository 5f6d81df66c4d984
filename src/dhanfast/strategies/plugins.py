"""Find a strategy by name, file, module, class or instance; build it with checked parameters."""

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

from dhanfast._core.pydoor import PythonRunner
from dhanfast._core.rules.graph import Graph
from dhanfast._core.strategy import NativeStrategy
from dhanfast.errors import DhanfastError, StrategyError, UsageError
from dhanfast.strategies.base import Log, Strategy
from dhanfast.strategies.blend import Blend
from dhanfast.strategies.params import Param, Parametric, unknown
from dhanfast.strategies.rules import RuleStrategy
from dhanfast.strategies.shelf import CLASSES, STRUCTURES, installed_places, is_blend, named
from dhanfast.strategies.structures import read_structure

LEGS = "legs"  # the data door, which is no strategy: `engine.legs`
BLEND = "blend"  # the door of several strategies together
BUILT_IN = CLASSES
SOURCE: Final = "__dhanfast_source__"  # of a module made of a file: its text


@dataclass(frozen=True, slots=True)
class Found:
    """A strategy ready to be run once.

    Attributes:
        name: as asked for; of one that a package offers, its module:Class.
        kind: its class. made: the instance, parameters checked.
        door: rules, python, cython or blend.
        place: as `find_strategy` was given it; "" of a class or an instance.
        source: the text of a file, byte for byte as it was run; empty where there is no file.
    """

    name: str
    kind: type
    made: Any
    door: str
    place: str = ""
    source: bytes = b""

    def runner(self, log: Log, interval_ns: int) -> NativeStrategy:
        """The strategy as the kernel runs it.

        Raises:
            StrategyError: declaring its series or rules failed; the cause is chained.
        """
        if isinstance(self.made, NativeStrategy):
            return self.made
        with _blamed(f"{self.name} cannot start"):
            runner: NativeStrategy = self.made.runner(log, interval_ns)
        return runner

    def settings(self) -> dict[str, Any]:
        """{parameter: value in force}; empty for a native strategy that declares none."""
        asked = getattr(self.made, "settings", None)
        settings: dict[str, Any] = asked() if asked is not None else {}
        return settings

    def stopped(self, runner: NativeStrategy) -> None:
        """Tell a Python strategy that the run of `runner` is over.

        Raises:
            StrategyError: its on_stop raised; the cause is chained.
        """
        if isinstance(self.made, Blend):
            self.made.stopped(runner)
            return
        on_stop = getattr(self.made, "on_stop", None)
        if on_stop is not None and isinstance(runner, PythonRunner):
            with _blamed(f"{self.name} failed in on_stop"):
                on_stop(runner.context)


def find_strategy(
    strategy: str | type | object, params: Mapping[str, object], source: bytes = b""
) -> Found:
    """Find and build a strategy.

    Args:
        strategy: a built-in's name or one that an installed package offers, `path.py` or
            `path.py:Class`, the `path.toml` of a blend, `package.module:Class`, a class, or an
            instance.
        params: parameter values by name; text is converted to the declared type.
        source: of a file, what it said when a journal was written: run in the place of what it says
            now. Empty: as it is.
    Raises:
        UsageError: nothing of that name (the nearest is offered), an unknown parameter, a value
            out of range, or parameters for an instance that is already made.
        StrategyError: the file or module cannot be imported, or holds no strategy.
    """
    if strategy == LEGS:
        raise UsageError(
            "legs are a file, and no strategy: dhanfast backtest --legs FILE.toml, dhanfast trade "
            "--legs FILE.toml"
        )
    if isinstance(strategy, str) and is_legs(strategy):
        raise UsageError(
            f"{strategy} is a legs file: dhanfast backtest -s {strategy} --data ..., or dhanfast "
            f"trade --legs {strategy}; a run on one instrument does not take it"
        )
    if isinstance(strategy, str) and is_blend(strategy):
        return Found(strategy, Blend, Blend.read(strategy, params), BLEND)
    if isinstance(strategy, str):
        # A result tells what has run: the class of a package, whatever the package calls it.
        strategy = installed_places().get(strategy, strategy)
        kind = _named(strategy, source)
        made = _built(kind, params)
        return Found(strategy, kind, made, _door(kind), strategy, source_of(kind))
    if isinstance(strategy, type):
        return Found(strategy.__name__, strategy, _built(strategy, params), _door(strategy))
    if params:
        raise UsageError("params cannot be given with an instance: set them when it is made")
    return Found(type(strategy).__name__, type(strategy), strategy, _door(type(strategy)))


def innermost(runner: NativeStrategy) -> NativeStrategy:
    """The strategy itself, of one that others were put around."""
    while (inner := getattr(runner, "inner", None)) is not None:
        runner = inner
    return runner


def graphs_of(runner: NativeStrategy) -> list[Graph]:
    """Where the series of a strategy are declared: of a blend, those of its members."""
    runner = innermost(runner)
    found = [graph for member in getattr(runner, "inners", ()) for graph in graphs_of(member)]
    own = graph_of(runner)
    return found if own is None else [own, *found]


def graph_of(runner: NativeStrategy) -> Graph | None:
    """Where a strategy's series are declared; None of a native one or a blend, which have none."""
    found: Graph | None = getattr(runner, "graph", None)
    if found is None:
        found = getattr(getattr(runner, "context", None), "graph", None)
    return found


def is_legs(strategy: str) -> bool:
    """Whether a strategy's name is that of a legs file."""
    built_in = strategy in STRUCTURES and strategy not in installed_places()
    return built_in or (strategy.endswith(".toml") and not is_blend(strategy))


def strategy_params(strategy: str) -> dict[str, Param]:
    """{name: Param} of a strategy found by name, file or module; of a legs file too.

    Raises:
        UsageError, StrategyError, ConfigError: see `find_strategy` and `read_structure`.
    """
    if is_blend(strategy):
        return read_structure(strategy).params
    if is_legs(strategy):
        return read_structure(named(strategy).place).params
    return _declared(_named(strategy))


def _declared(kind: type) -> dict[str, Param]:
    """A strategy class's parameters; a native class need not have any."""
    asked = getattr(kind, "params", None)
    found: dict[str, Param] = asked() if asked is not None else {}
    return found


def _door(kind: type) -> str:
    if issubclass(kind, RuleStrategy):
        return "rules"
    if issubclass(kind, Strategy):
        return "python"
    if issubclass(kind, NativeStrategy):
        return "cython"
    if issubclass(kind, Blend):
        return BLEND
    raise UsageError(
        f"{kind.__name__} is not a strategy: derive it from RuleStrategy, Strategy or "
        "NativeStrategy"
    )


def _built(kind: type, params: Mapping[str, object]) -> Any:
    if _door(kind) == BLEND:
        raise UsageError("a blend is made of members: give a Blend([...]), or the file of one")
    if params and not _declared(kind):
        raise UsageError(unknown(f"parameter of {kind.__name__}", next(iter(params)), []))
    with _blamed(f"{kind.__name__} cannot be made"):
        return kind(**dict(params))


@contextmanager
def _blamed(what: str) -> Iterator[None]:
    """Our refusals pass as they are; anything else a strategy raises becomes a StrategyError."""
    try:
        yield
    except DhanfastError:
        raise
    except (Exception, SystemExit) as error:
        raise StrategyError(f"{what}: {type(error).__name__}: {error}") from error


def source_of(kind: type) -> bytes:
    """The text of the file that a class was loaded from by its path; empty of any other."""
    found: bytes = getattr(sys.modules.get(kind.__module__), SOURCE, b"")
    return found


def _named(name: str, source: bytes = b"") -> type:
    offered = installed_places()
    if name in offered:
        name = offered[name]
    elif name in BUILT_IN:
        module, attribute = BUILT_IN[name]
        found: type = getattr(importlib.import_module(module), attribute)
        return found
    path, _, wanted = name.partition(":")
    if path.endswith(".py"):
        return _from_file(Path(path), wanted, source)
    if wanted:
        return _from_module(path, wanted)
    named(name)  # refuses it, with what else may be meant
    raise UsageError(f"strategy {name!r} is a legs file: dhanfast backtest -s {name} --data ...")


def _from_module(dotted: str, wanted: str) -> type:
    """A class of a module that Python can import: how compiled strategies are named."""
    absent = UsageError(
        f"no module {dotted!r} is installed beside dhanfast; install its package in this "
        "environment, or name a file as path.py:Class"
    )
    if not all(part.isidentifier() for part in dotted.split(".")):
        raise absent
    try:
        module = importlib.import_module(dotted)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and f"{dotted}.".startswith(f"{error.name}."):
            raise absent from error
        raise StrategyError(
            f"{dotted} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    kinds = {
        name: item
        for name, item in vars(module).items()
        if inspect.isclass(item) and issubclass(item, Parametric | NativeStrategy)
    }
    if wanted not in kinds:
        raise UsageError(unknown(f"strategy in {dotted}", wanted, kinds))
    return kinds[wanted]


def _from_file(path: Path, wanted: str, source: bytes = b"") -> type:
    if not source and not path.is_file():
        raise UsageError(f"strategy file {path} does not exist")
    module = _imported(path, source)
    kinds = {
        item.__name__: item
        for item in vars(module).values()
        if inspect.isclass(item)
        and item.__module__ == module.__name__
        and issubclass(item, Parametric | NativeStrategy)
    }
    if wanted and wanted not in kinds:
        raise UsageError(unknown(f"strategy in {path}", wanted, kinds))
    if wanted:
        return kinds[wanted]
    if len(kinds) != 1:
        listed = ", ".join(sorted(kinds)) or "none"
        raise StrategyError(
            f"{path} must hold exactly one strategy class, or name one as "
            f"{path}:Class (found: {listed})"
        )
    return next(iter(kinds.values()))


class _Text(SourceFileLoader):
    """Imports a text and no other: not what a cache holds of an earlier one."""

    def __init__(self, name: str, path: Path, text: bytes) -> None:
        super().__init__(name, str(path))
        self._text = text

    def get_code(self, fullname: str) -> CodeType:
        """The text, compiled."""
        code: CodeType = self.source_to_code(self._text, self.path)
        return code


def _imported(path: Path, source: bytes = b"") -> ModuleType:
    """A module of the file's text, beside one of an earlier text that still runs."""
    name = f"dhanfast_user_{path.stem}"
    before = sys.modules.get(name)
    try:
        text = source or path.read_bytes()
        spec = importlib.util.spec_from_file_location(name, path, loader=_Text(name, path, text))
        if spec is None or spec.loader is None:
            raise StrategyError(f"{path} cannot be imported as Python")
        module = importlib.util.module_from_spec(spec)
        vars(module)[SOURCE] = text
        sys.modules[name] = module
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        if before is None:
            sys.modules.pop(name, None)
        else:
            sys.modules[name] = before
        raise StrategyError(
            f"{path} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    return module
