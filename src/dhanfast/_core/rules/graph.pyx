"""Graph and Expr: ordinary operators on series, written down as operations."""

cimport cython

from dhanfast._core.rules.program cimport ROWS, Field, Program

from dhanfast._core.chainfeed import FIGURES
from dhanfast.errors import StrategyError

_FIELD_NAMES = ("open", "high", "low", "close", "volume", "oi", "second", "weekday",
                "session_start", "bar_of_session", "vix", "position", "entry_price", "bars_held")


@cython.final
cdef class Graph:
    """The expressions of one strategy, shared: the same expression written twice is one node.

    Attributes:
        program: what they were compiled to; None until `compile`.
        needs: what a run's data must have for its series to be known: volume, vix, chain.
    """

    def __cinit__(self):
        self._ops, self._constants, self._seen, self._chain = [], {}, {}, {}
        self.needs = set()
        self._labels = list(_FIELD_NAMES)
        self._row_by_row = [i >= <int>Field.POSITION for i in range(<int>Field.FIELDS)]

    def field(self, int field):
        """The series of one input field, see `Field`."""
        if not 0 <= field < <int>Field.FIELDS:
            raise ValueError(f"field must be in 0..{<int>Field.FIELDS - 1}, was {field}")
        return Expr(self, field)

    def chain(self, str figure not None):
        """The series of a figure of the option chain, by its name; see `ChainFigure`.

        Raises:
            ValueError: there is no such figure. StrategyError: the graph is already compiled.
        """
        if figure not in FIGURES:
            raise ValueError(f"no chain figure is called {figure!r}: {', '.join(FIGURES)}")
        key = ("chain", figure)
        if key not in self._seen:
            self._still_open()
            column = self._new_column(f"chain.{figure}", False)
            self._chain[column] = FIGURES.index(figure)
            self._seen[key] = (column,)
            self.needs.add("chain")
        return Expr(self, self._seen[key][0])

    @property
    def chain_figures(self):
        """Names of the figures of the option chain that are read, in the order of `FIGURES`."""
        return tuple([FIGURES[figure] for figure in sorted(self._chain.values())])

    def constant(self, double value):
        """A series that is `value` on every row."""
        key = ("const", value)
        if key not in self._seen:
            self._still_open()
            column = self._new_column(f"{value:.15g}", False)
            self._constants[column] = value
            self._seen[key] = (column,)
        return Expr(self, self._seen[key][0])

    def add(self, str name, tuple inputs, tuple numbers=(), int outputs=1, str label=""):
        """One operation over expressions or numbers; returns a tuple of its output series.

        Raises:
            StrategyError: an input belongs to another strategy, or the graph is already compiled.
        """
        self._still_open()
        columns = tuple([self._column_of(item) for item in inputs])
        key = (name, columns, numbers, outputs)
        if key not in self._seen:
            row_by_row = any([self._row_by_row[column] for column in columns])
            text = label or _label(name, [self._labels[c] for c in columns], numbers)
            made = tuple([
                self._new_column(text if outputs == 1 else f"{text}[{i}]", row_by_row)
                for i in range(outputs)
            ])
            self._ops.append((name, columns, made, numbers, row_by_row))
            self._seen[key] = made
        return tuple([Expr(self, column) for column in self._seen[key]])

    def _still_open(self):
        if self.program is not None:
            raise StrategyError("series are declared in on_start or rules(), not later")

    def _new_column(self, text, row_by_row):
        self._labels.append(text)
        self._row_by_row.append(row_by_row)
        return len(self._labels) - 1

    def _column_of(self, item):
        if isinstance(item, Expr):
            if (<Expr>item).graph is not self:
                raise StrategyError("an expression of another strategy cannot be used here")
            return (<Expr>item).column
        if isinstance(item, (int, float)):
            return self.constant(item).column
        raise StrategyError(f"expected a series or a number, got {type(item).__name__}")

    def as_expr(self, item):
        """`item` as a series of this graph: a series as it is, a number as a constant."""
        return Expr(self, self._column_of(item))

    def compile(self):
        """Make the program; no more expressions can be added. Returns it (also on later calls)."""
        if self.program is None:
            self.program = Program(len(self._labels), self._constants, self._ordered())
            for column, figure in self._chain.items():
                self.program.fill_with(column, figure)
        return self.program

    def _ordered(self):
        return sorted(self._ops, key=lambda op: op[4])            # stable: block operations first

    def meanings(self):
        """What each operation of the program computes, in its order.

        Returns:
            A hashable key an operation: two of equal keys give the same rows over the same bars,
            also in two graphs. None when it depends on more: a position, or the India VIX told.
        """
        known = {i: ("field", i) for i in range(<int>Field.FIELDS)
                 if i != <int>Field.VIX and not self._row_by_row[i]}
        known.update({column: ("const", value) for column, value in self._constants.items()})
        found = []
        for name, inputs, outputs, numbers, row_by_row in self._ordered():
            parts = tuple([known.get(column) for column in inputs])
            key = None if row_by_row or None in parts else (name, parts, numbers, len(outputs))
            for i, column in enumerate(outputs):
                known[column] = None if key is None else (key, i)
            found.append(key)
        return found

    def explain(self, Py_ssize_t row):
        """{label: value} of every node at one row of the last block: why the rules said so."""
        values = self.compile().values(row)
        shown = {}
        for column, label in enumerate(self._labels):
            if column >= <int>Field.FIELDS or self.program.used[column]:
                shown[label] = values[column]
        return shown

    @property
    def size(self):
        """(operations, columns)."""
        return len(self._ops), len(self._labels)


_INFIX = {"add": "+", "sub": "-", "mul": "*", "div": "/", "lt": "<", "le": "<=", "eq": "==",
          "and": "&", "or": "|"}


def _label(name, inputs, numbers):
    if name in _INFIX:
        return f"({inputs[0]} {_INFIX[name]} {inputs[1]})"
    return f"{name}({', '.join(inputs + [f'{number:.15g}' for number in numbers])})"


@cython.final
cdef class Expr:
    """A series: a value on every bar. Write rules with + - * / < <= > >= & | ~ and the methods.

    False is 0, true is 1; during warm-up a value is NaN, which is never true in a rule.

    Attributes:
        graph: where it is written down.
        column: its column in the program.
    """

    def __cinit__(self, Graph graph not None, Py_ssize_t column):
        if not 0 <= column < len(graph._labels):
            raise ValueError(f"column must be in 0..{len(graph._labels) - 1}, was {column}")
        self.graph, self.column = graph, column

    @property
    def value(self):
        """The value on the bar being handled (Python strategies, inside on_bar), NaN in warm-up."""
        if self.graph.program is None:
            raise StrategyError("a value is known only while the strategy runs: read it in on_bar")
        if self.graph.row < 0:
            raise StrategyError("a value cannot be read in on_fill or on_chain: read it in on_bar "
                                "and keep it, and in on_chain read the figures of the chain")
        return self.graph.program.columns[self.column * ROWS + self.graph.row]

    def __bool__(self):
        raise StrategyError("a series has no single truth: combine rules with & | ~, "
                            "not and/or/not, and write (a < b) & (b < c), not a < b < c")

    def __add__(self, other):
        return self.graph.add("add", (self, other))[0]

    def __radd__(self, other):
        return self.graph.add("add", (other, self))[0]

    def __sub__(self, other):
        return self.graph.add("sub", (self, other))[0]

    def __rsub__(self, other):
        return self.graph.add("sub", (other, self))[0]

    def __mul__(self, other):
        return self.graph.add("mul", (self, other))[0]

    def __rmul__(self, other):
        return self.graph.add("mul", (other, self))[0]

    def __truediv__(self, other):
        return self.graph.add("div", (self, other))[0]

    def __rtruediv__(self, other):
        return self.graph.add("div", (other, self))[0]

    def __neg__(self):
        return self.graph.add("sub", (0.0, self))[0]

    def __abs__(self):
        return self.graph.add("abs", (self,))[0]

    def __lt__(self, other):
        return self.graph.add("lt", (self, other))[0]

    def __le__(self, other):
        return self.graph.add("le", (self, other))[0]

    def __gt__(self, other):
        return self.graph.add("lt", (other, self))[0]

    def __ge__(self, other):
        return self.graph.add("le", (other, self))[0]

    def __and__(self, other):
        return self.graph.add("and", (self, other))[0]

    def __rand__(self, other):
        return self.graph.add("and", (other, self))[0]

    def __or__(self, other):
        return self.graph.add("or", (self, other))[0]

    def __ror__(self, other):
        return self.graph.add("or", (other, self))[0]

    def __invert__(self):
        return self.graph.add("not", (self,))[0]

    def equals(self, other):
        """1 where the two are equal (== keeps its Python meaning)."""
        return self.graph.add("eq", (self, other))[0]

    def shift(self, int bars=1):
        """The value of `bars` bars before, 1..100_000; NaN until there is one."""
        if not 1 <= bars <= 100_000:
            raise ValueError(f"bars must be in 1..100000, was {bars}: a negative shift would look "
                             "into the future")
        return self.graph.add("shift", (self,), (bars,))[0]

    def crosses_above(self, other):
        """1 on the bar where this goes from at or below `other` to above it."""
        return self.graph.add("cross", (self, other))[0]

    def crosses_below(self, other):
        """1 on the bar where this goes from at or above `other` to below it."""
        return self.graph.add("cross", (other, self))[0]

    def where(self, yes, no):
        """`yes` where this is true, `no` where it is false, NaN where it is unknown."""
        return self.graph.add("where", (self, yes, no))[0]

    def at_least(self, other):
        """The larger of the two."""
        return self.graph.add("max", (self, other))[0]

    def at_most(self, other):
        """The smaller of the two."""
        return self.graph.add("min", (self, other))[0]
