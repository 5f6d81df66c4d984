"""What a strategy's source says: calls that bring the future, chance, the clock or the world in.

The source is read, never run. It is that of the strategy's own module and of the modules beside it
(in the same folder) that it imports; modules of other folders are read for tables only. A compiled
strategy has no source to read: then there are no findings, and the runs alone must tell.
"""

import ast
import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dhanfast.engine.checks.outside import code_folders
from dhanfast.engine.checks.stage import PROBLEM, WARNING, Finding

# Codes that the look-ahead check takes up; the strategy check takes all.
SEES_AHEAD: Final = frozenset({
    "future-index", "reads-file", "network", "engine-insides", "table",
})  # fmt: skip
TABLE_NUMBERS: Final = 100  # as many in one literal may be a table of what the market did
TABLE_TEXT: Final = 2_000  # characters, or bytes, of one text that is no docstring
FILE_CALLS: Final = frozenset({
    "open", "read_csv", "read_parquet", "read_table", "read_feather", "read_pickle", "read_hdf",
    "read_json", "read_excel", "read_sql", "read_text", "read_bytes", "read_bars", "scan_parquet",
    "scan_csv", "loadtxt", "genfromtxt", "fromfile", "memmap", "memory_map", "ParquetFile",
    "ParquetDataset", "OSFile", "np.load", "numpy.load", "sqlite3.connect", "duckdb.connect",
    "duckdb.sql", "duckdb.query", "joblib.load", "pickle.load", "json.load", "h5py.File",
})  # fmt: skip
NETWORK: Final = frozenset({
    "requests", "httpx", "aiohttp", "urllib", "http", "socket", "websocket", "websockets",
    "ftplib", "yfinance", "dhanhq",
})  # fmt: skip
INSIDES: Final = frozenset({
    "sys._getframe", "inspect.stack", "inspect.currentframe", "gc.get_objects", "gc.get_referrers",
    "sys._current_frames", "ctypes.cast", "ctypes.from_address", "ctypes.string_at",
})  # fmt: skip
CLOCKS: Final = frozenset({
    "time.time", "time.time_ns", "time.monotonic", "time.monotonic_ns", "time.perf_counter",
    "time.perf_counter_ns", "time.localtime", "time.gmtime", "time.strftime", "time.sleep",
    "datetime.now", "datetime.utcnow", "datetime.today", "date.today", "Timestamp.now",
    "Timestamp.utcnow", "datetime.datetime.now", "datetime.datetime.utcnow",
    "datetime.datetime.today", "datetime.date.today", "dt.datetime.now", "dt.datetime.utcnow",
    "dt.datetime.today", "dt.date.today", "pd.Timestamp.now", "pandas.Timestamp.now",
})  # fmt: skip
SEEDED: Final = frozenset({"random.Random", "default_rng", "RandomState", "SeedSequence",
                           "Generator", "PCG64", "Philox"})  # fmt: skip
CHANCE: Final = frozenset({"uuid.uuid1", "uuid.uuid4", "os.urandom"})
WORLD: Final = frozenset({"threading", "multiprocessing", "subprocess", "asyncio", "concurrent"})
MUTATORS: Final = frozenset({"append", "extend", "insert", "add", "update", "setdefault", "pop",
                             "popitem", "clear", "remove", "appendleft", "popleft"})  # fmt: skip


@dataclass
class _Reader(ast.NodeVisitor):
    """Walks one module and notes what it finds."""

    file: str
    allow: tuple[str, ...]
    found: list[Finding] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)  # alias -> what was imported
    globals_: set[str] = field(default_factory=set)  # names of lists, dicts and sets of the module
    depth: int = 0  # of functions around the node

    def note(self, node: ast.AST, code: str, text: str, level: str = PROBLEM) -> None:
        """One finding at a line."""
        line = getattr(node, "lineno", 0)
        self.found.append(Finding(code, text, f"{self.file}:{line}", level))

    def visit_Module(self, node: ast.Module) -> None:
        """Learn the module's own lists and dicts first."""
        for item in node.body:
            if isinstance(item, ast.Assign | ast.AnnAssign) and _is_container(item.value):
                targets = item.targets if isinstance(item, ast.Assign) else [item.target]
                self.globals_ |= {one.id for one in targets if isinstance(one, ast.Name)}
        self.generic_visit(node)

    def visit(self, node: ast.AST) -> None:
        """Any node; a table that is written out is told of once, and not looked into."""
        held = _table_size(node)
        if not held:
            super().visit(node)
            return
        self.note(node, "table", f"holds {held}: what such a table was made from is not cut with "
                  "the bars, and no check can see what of it lies in the future", WARNING
                  )  # fmt: skip

    def visit_Expr(self, node: ast.Expr) -> None:
        """A docstring is no table."""
        if not isinstance(node.value, ast.Constant):
            self.generic_visit(node)

    def visit_Import(self, node: ast.Import) -> None:
        """import a.b as c"""
        for one in node.names:
            self.names[one.asname or one.name.split(".")[0]] = (
                one.name if one.asname else one.name.split(".")[0]
            )
            self._imported(node, one.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """from a import b as c"""
        for one in node.names:
            self.names[one.asname or one.name] = f"{node.module or ''}.{one.name}".lstrip(".")
        self._imported(node, node.module or "")

    def _imported(self, node: ast.AST, name: str) -> None:
        top = name.split(".")[0]
        if top in NETWORK:
            self.note(node, "network", f"imports {name}: a strategy is told of the world by events "
                      "only; what it fetches differs from run to run")  # fmt: skip
        elif top in WORLD:
            self.note(node, "threads", f"imports {name}: what runs beside the engine has no place "
                      "in the order of events", WARNING)  # fmt: skip

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Inside a function, changes of module-level names count."""
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1

    def visit_Global(self, node: ast.Global) -> None:
        """global x"""
        self.note(node, "global-state", f"changes the module's {', '.join(node.names)}: what one "
                  "run leaves there, the next one finds", WARNING)  # fmt: skip

    def visit_Assign(self, node: ast.Assign) -> None:
        """NAME[key] = value on a module-level container."""
        for target in node.targets:
            base = target.value if isinstance(target, ast.Subscript) else None
            if self.depth and isinstance(base, ast.Name) and base.id in self.globals_:
                self._keeps(node, base.id)
        self.generic_visit(node)

    def _keeps(self, node: ast.AST, name: str) -> None:
        self.note(node, "global-state", f"writes to the module's {name}: what one run leaves "
                  "there, the next one finds", WARNING)  # fmt: skip

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        """except: pass"""
        broad = node.type is None or (
            isinstance(node.type, ast.Name) and node.type.id in ("Exception", "BaseException")
        )
        if broad and all(isinstance(one, ast.Pass | ast.Continue) for one in node.body):
            self.note(node, "swallows", "passes over any error without a word: a strategy that "
                      "fails must be stopped, and this one goes on", WARNING)  # fmt: skip
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """f(...), a.f(...), a.b.f(...)"""
        name = self._full_name(node.func)
        last = name.rsplit(".", 1)[-1]
        if self.depth and "." in name and last in MUTATORS and name.split(".")[0] in self.globals_:
            self._keeps(node, name.split(".")[0])
        self._ahead(node, name, last)
        self._files(node, name, last)
        self._chance(node, name, last)
        if name in INSIDES:
            self.note(node, "engine-insides", f"calls {name}: it looks at what belongs to the "
                      "engine, not to the strategy")  # fmt: skip
        if name in CLOCKS:
            self.note(node, "clock", f"calls {name}: the machine's clock is not the market's; use "
                      "ctx.now")  # fmt: skip
        if name in ("os.getenv", "os.environ.get"):
            self.note(node, "environment", f"calls {name}: a decision that depends on the machine "
                      "is another one elsewhere; make it a param", WARNING)  # fmt: skip
        self.generic_visit(node)

    def _full_name(self, node: ast.expr) -> str:
        """a.b.f of a call, with the imported name in place of its alias."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if isinstance(node, ast.Name):
            parts.append(self.names.get(node.id, node.id))
        return ".".join(reversed(parts))

    def _ahead(self, node: ast.Call, name: str, last: str) -> None:
        text = ""
        if last in ("shift", "diff", "pct_change") and _negative(_argument(node, 0, "periods")):
            text = f"{last} with a negative number takes values of later bars"
        elif name in ("numpy.roll", "np.roll") and _negative(_argument(node, 1, "shift")):
            text = "roll by a negative number brings later bars to earlier ones"
        elif last in ("bfill", "backfill"):
            text = f"{last} fills holes with values of later bars"
        elif last in ("rolling", "ewm") and _true(_argument(node, -1, "center")):
            text = "a centred window holds later bars"
        elif last == "fillna" and _text(_argument(node, -1, "method")) in ("bfill", "backfill"):
            text = "fillna backwards fills holes with values of later bars"
        if text:
            self.note(node, "future-index", text)

    def _files(self, node: ast.Call, name: str, last: str) -> None:
        if name not in FILE_CALLS and last not in FILE_CALLS:
            return
        if last == "open" and name not in ("open", "io.open", "gzip.open", "lzma.open", "bz2.open"):
            owner = name.rsplit(".", 1)[0]
            if "Path" not in owner and "path" not in owner.lower():
                return  # bar.open and the like are prices
        what = _text(_argument(node, 0, "path"))
        if what and str(Path(what).absolute()) in {str(Path(one).absolute()) for one in self.allow}:
            return
        self.note(node, "reads-file", f"calls {name or last}: what a file holds is not cut with "
                  "the bars, so that no check can see what of it lies in the future")  # fmt: skip

    def _chance(self, node: ast.Call, name: str, last: str) -> None:
        if last in SEEDED or name in SEEDED:
            if not node.args and not node.keywords and last != "Generator":
                self.note(node, "random", f"calls {name} without a seed: two runs differ")
            return
        drawn = name.startswith(("random.", "numpy.random.", "np.random.", "secrets."))
        if (drawn and last not in ("seed", "getstate", "setstate")) or name in CHANCE:
            self.note(node, "random", f"calls {name}: chance that no setting seeds; make a "
                      "random.Random(self.seed) in on_start")  # fmt: skip


def _table_size(node: ast.AST) -> str:
    """What a literal holds when it is large enough to be a record of the market; else ""."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
        return f"a text of {len(node.value):,}" if len(node.value) > TABLE_TEXT else ""
    if not isinstance(node, ast.List | ast.Tuple | ast.Set | ast.Dict):
        return ""
    numbers = sum(
        isinstance(one, ast.Constant) and type(one.value) in (int, float) for one in ast.walk(node)
    )
    return f"{numbers:,} numbers" if numbers > TABLE_NUMBERS else ""


def _is_container(value: ast.expr | None) -> bool:
    if isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp):
        return True
    return isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and (
        value.func.id in ("list", "dict", "set", "deque", "defaultdict", "Counter")
    )  # fmt: skip


def _argument(node: ast.Call, place: int, name: str) -> ast.expr | None:
    for keyword in node.keywords:
        if keyword.arg == name:
            return keyword.value
    return node.args[place] if 0 <= place < len(node.args) else None


def _negative(node: ast.expr | None) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)


def _true(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def _text(node: ast.expr | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def code_file(kind: type) -> str | None:
    """The Python file of a strategy's class; None when it has none (compiled, or typed in)."""
    try:
        name = inspect.getfile(kind)
    except (TypeError, OSError):
        return None
    return name if name.endswith(".py") and Path(name).is_file() else None


def sources_of(kind: type) -> Iterator[Path]:
    """The file of a strategy's class, and the modules of the same folder that it imports."""
    name = code_file(kind)
    if name is None:
        return
    todo, seen = [Path(name)], {Path(name)}
    while todo:
        path = todo.pop(0)
        yield path
        for beside in _beside(path):
            if beside not in seen:
                seen.add(beside)
                todo.append(beside)


def _imports(path: Path) -> Iterator[str]:
    """Names that a module imports, as they stand there."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (node.module or "", *(one.name for one in node.names if node.level))


def _beside(path: Path) -> Iterator[Path]:
    for name in _imports(path):
        top = name.split(".")[0]
        beside = path.parent / f"{top}.py"
        if top and top not in sys.stdlib_module_names and beside.is_file():
            yield beside


def _elsewhere(path: Path) -> Iterator[Path]:
    """Modules of other folders that a module has imported, but for installed code."""
    for name in _imports(path):
        found = getattr(sys.modules.get(name), "__file__", None)
        if not found or not found.endswith(".py") or found.startswith(code_folders()):
            continue
        if Path(found).parent != path.parent and Path(found).is_file():
            yield Path(found)


def source_findings(kind: type, allow: tuple[str, ...] = ()) -> list[Finding]:
    """Everything the source of a strategy is questioned for.

    Args:
        kind: its class. allow: files it may read.
    """
    own = list(sources_of(kind))
    found = [one for path in own for one in _read(path, allow)]
    others = dict.fromkeys(other for path in own for other in _elsewhere(path))
    # What a library of one's own does elsewhere is not the strategy's; what it holds may be.
    found += [one for path in others if path not in own for one in _read(path, allow)
              if one.code == "table"]  # fmt: skip
    return found


def _read(path: Path, allow: tuple[str, ...]) -> list[Finding]:
    reader = _Reader(path.name, allow)
    try:
        reader.visit(ast.parse(path.read_bytes()))
    except (SyntaxError, ValueError):
        return []  # of a module beside it that is never imported
    return reader.found
