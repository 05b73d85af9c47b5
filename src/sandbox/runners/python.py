"""Runs one piece of Python over the dataset's snapshots and exits. Started as `python -I -B python.py '{"limits": ...}'`.

pandas and numpy are imported before `ready`, so that a waiting sandbox has only the code left to run. The sandbox is the
boundary: the code shares this process, may import what it likes, and could write to the result descriptor itself. The host
therefore treats every frame as untrusted; what is done here only keeps honest code from disturbing the protocol.
"""

import ast
import base64
import builtins
import collections.abc
import datetime
import decimal
import itertools
import json
import linecache
import math
import os
import re
import struct
import sys
import threading
import types

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

SOURCE = "<code>"
CAPTURED_BYTES = 64 * 1024
SAFE_INTEGER = 2**53 - 1
MISSING = object()


class RunnerError(Exception):
    """A failure whose words the host passes on as they are."""

    def __init__(self, code, message, hint=None, details=None):
        super().__init__(message)
        self.frame = {"type": "error", "code": code, "message": message, "details": details or {}}
        if hint:
            self.frame["hint"] = hint


class Channel:
    """Frames out, on a descriptor of its own: the well-known number is closed before any code runs."""

    def __init__(self):
        self.descriptor = os.dup(3)  # Python's own duplicates are close-on-exec
        os.close(3)
        self.process = os.getpid()

    def send(self, frame):
        self.send_json(json.dumps(frame, ensure_ascii=False, allow_nan=False))

    def send_json(self, text):
        if os.getpid() != self.process:  # a fork that came out of the code: only the runner itself answers
            os._exit(0)
        body = text.encode("utf-8", "replace")
        data = memoryview(struct.pack(">I", len(body)) + body)
        while data:
            data = data[os.write(self.descriptor, data) :]


def read_frame(descriptor):
    """Blocks until the host has sent a frame; leaves when the host went away instead."""

    def exactly(count):
        data = bytearray()
        while len(data) < count:
            part = os.read(descriptor, min(count - len(data), 1 << 20))
            if not part:
                os._exit(0)
            data += part
        return data

    (length,) = struct.unpack(">I", exactly(4))
    return json.loads(exactly(length))


def read_request():
    """The request, and a descriptor for the answers to calls; standard input is empty from then on."""
    request = read_frame(0)
    replies = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.close(nothing)
    return request, replies


class Refusal(Exception):
    """Why a call did not run, for code that can do something about it."""

    def __init__(self, code, message, hint=None):
        super().__init__(message)
        self.code = code
        self.hint = hint


def tools(channel, replies):
    """The module `writ`, through which code calls tools; each call is judged like any other proposal."""
    numbers = itertools.count(1)
    one_at_a_time = threading.Lock()

    def call(tool, input=None):
        """Returns what the tool returned; raises `writ.Refusal` with a code, and perhaps a hint, when it did not run."""
        with one_at_a_time:
            number = next(numbers)
            given = Encoder().cell({} if input is None else input)
            channel.send({"type": "call", "id": number, "tool": str(tool), "input": given})
            reply = read_frame(replies)
        if reply["type"] == "reply":
            return reply["output"]
        raise Refusal(reply["code"], reply["message"], reply.get("hint"))

    module = types.ModuleType("writ")
    module.__dict__.update(call=call, Refusal=Refusal)
    sys.modules["writ"] = module
    return module


class Capture:
    """What a descriptor was sent, up to a cap; the rest is read and dropped, so that a flood neither blocks nor fills anything."""

    CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\x00-\x08\x0b-\x1f\x7f]")

    def __init__(self, descriptor):
        self.descriptor = descriptor
        self.kept = bytearray()
        reading, writing = os.pipe()
        os.dup2(writing, descriptor)
        os.close(writing)
        self.thread = threading.Thread(target=self._drain, args=(reading,), daemon=True)
        self.thread.start()

    def _drain(self, reading):
        while part := os.read(reading, 65536):
            self.kept += part[: max(0, CAPTURED_BYTES - len(self.kept))]

    def text(self):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, self.descriptor)
        # A process that the code left behind may hold the other end for ever.
        self.thread.join(timeout=0.5)
        text = bytes(self.kept).decode("utf-8", "replace").replace("\r\n", "\n")
        return self.CONTROL.sub("", text)


NULLABLE = {
    pa.bool_(): pd.BooleanDtype(),
    pa.int8(): pd.Int8Dtype(),
    pa.int16(): pd.Int16Dtype(),
    pa.int32(): pd.Int32Dtype(),
    pa.int64(): pd.Int64Dtype(),
    pa.uint8(): pd.UInt8Dtype(),
    pa.uint16(): pd.UInt16Dtype(),
    pa.uint32(): pd.UInt32Dtype(),
    pa.uint64(): pd.UInt64Dtype(),
}


def load(path, days):
    """A snapshot as a frame. Integers and booleans with gaps keep their type, dates are datetimes, decimals stay exact.

    Adds the names of its date columns to `days`.
    """
    table = pq.read_table(path, use_threads=False, memory_map=True)
    days.update(field.name for field in table.schema if pa.types.is_date(field.type))
    frame = table.to_pandas(date_as_object=False, use_threads=False)
    for index, field in enumerate(table.schema):
        column = table.column(index)
        if field.type in NULLABLE and column.null_count:
            frame.isetitem(index, column.to_pandas(types_mapper=NULLABLE.get).array)
    return frame


def execute(code, names):
    """Runs the code in one namespace and returns the value of its last statement, if that is an expression."""
    try:
        tree = ast.parse(code, SOURCE)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        where = f" (line {line})" if line else ""
        message = f"Invalid Python syntax: {getattr(error, 'msg', None) or error}{where}"
        raise RunnerError("python_execution_error", message, details={"line": line} if line else {}) from None
    main = types.ModuleType("__main__")
    main.__dict__.update(names, __builtins__=builtins)
    # `import __main__`, pickle and dataclasses find the code's names here, and not the runner's.
    sys.modules["__main__"] = main
    linecache.cache[SOURCE] = (len(code), None, code.splitlines(True), SOURCE)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, SOURCE, "exec"), main.__dict__)
    value = MISSING
    if last is not None:
        value = eval(compile(ast.Expression(last.value), SOURCE, "eval"), main.__dict__)
    return main.__dict__, value


def choose_result(names, given, trailing):
    """The result by precedence: result_df, result_rows, result, then the last expression. A table of that name does not count."""

    def assigned(name):
        value = names.get(name, MISSING)
        return MISSING if value is given.get(name, MISSING) else value

    frame = assigned("result_df")
    if frame is not MISSING:
        if not isinstance(frame, (pd.DataFrame, pd.Series)):
            raise RunnerError("python_execution_error", f"result_df must be a DataFrame, not {type(frame).__name__}")
        return to_table(frame)
    rows = assigned("result_rows")
    if rows is not MISSING:
        if not isinstance(rows, list):
            raise RunnerError("python_execution_error", f"result_rows must be a list of rows, not {type(rows).__name__}")
        return rows_table(rows, assigned("result_columns"))
    value = assigned("result")
    if value is MISSING:
        value = trailing
    if value is MISSING:
        raise RunnerError(
            "python_execution_error",
            "no tabular or scalar result was produced",
            hint="assign a DataFrame to result_df or a value to result, or end with an expression",
        )
    return to_table(value)


def rows_table(rows, columns):
    rows = [list(row) if isinstance(row, (list, tuple, np.ndarray)) else [row] for row in rows]
    width = len(rows[0]) if rows else 1
    names = [f"col_{n + 1}" for n in range(width)] if columns is MISSING else [str(name) for name in columns]
    for number, row in enumerate(rows):
        if len(row) != len(names):
            raise RunnerError(
                "python_execution_error", f"row {number + 1} of the result has {len(row)} cells for {len(names)} columns"
            )
    return Table(names, [[row[index] for row in rows] for index in range(len(names))], len(rows))


class Table:
    """Named columns of equal length, each a list or a Series, still in Python values."""

    def __init__(self, names, columns, length):
        self.names = unique(names)
        self.columns = columns
        self.length = length


def unique(names):
    result = []
    taken = set()
    for name in names:
        candidate, suffix = name, 0
        while candidate in taken:
            suffix += 1
            candidate = f"{name}_{suffix}"
        taken.add(candidate)
        result.append(candidate)
    return result


def to_table(value):
    if isinstance(value, pd.Series):
        return series_table(value)
    if isinstance(value, pd.DataFrame):
        return frame_table(value)
    if isinstance(value, pd.Index):
        return Table([str(value.name or "value")], [value.to_series().reset_index(drop=True)], len(value))
    if isinstance(value, collections.abc.Iterator):
        kind = type(value).__name__
        raise RunnerError("python_execution_error", f"the result is a {kind}, which holds no values yet", "use list(...) around it")
    if isinstance(value, np.ndarray) and value.dtype == "datetime64[D]":
        value = value.astype(object)
    if isinstance(value, np.ndarray) and value.ndim in (1, 2):
        if value.ndim == 1:
            return Table(["value"], [pd.Series(value)], len(value))
        return Table([f"col_{n + 1}" for n in range(value.shape[1])], [pd.Series(column) for column in value.T], len(value))
    if isinstance(value, dict):
        return Table(["key", "value"], [list(value.keys()), list(value.values())], len(value))
    if isinstance(value, list):
        if value and all(isinstance(row, (list, tuple)) for row in value) and len({len(row) for row in value}) == 1:
            return rows_table(value, MISSING)
        return Table(["value"], [value], len(value))
    return Table(["value"], [[value]], 1)


def frame_table(frame):
    levels = index_columns(frame.index)
    names = [name for name, _ in levels] + [column_name(name) for name in frame.columns]
    columns = [values for _, values in levels] + [frame.iloc[:, position] for position in range(frame.shape[1])]
    return Table(names, columns, len(frame))


def series_table(series):
    levels = index_columns(series.index)
    name = "value" if series.name is None else column_name(series.name)
    return Table([name for name, _ in levels] + [name], [values for _, values in levels] + [series], len(series))


def index_columns(index):
    """An index that says something becomes columns; row numbers, also those that a filter left over, do not."""
    if isinstance(index, pd.MultiIndex):
        named = enumerate(index.names)
        return [(str(name) if name is not None else f"level_{n}", index.get_level_values(n).to_series()) for n, name in named]
    if index.name is None and pd.api.types.is_integer_dtype(index.dtype):
        return []
    return [(str(index.name) if index.name is not None else "index", index.to_series())]


def column_name(name):
    """The labels of a column with several levels, joined; a label that is a day is written as one."""
    if isinstance(name, tuple):
        return "_".join(column_name(part) for part in name if str(part) != "")
    if isinstance(name, pd.Timestamp) and name.tzinfo is None and name == name.normalize():
        return name.date().isoformat()
    return str(name)


class Encoder:
    """Python values as the cells of the contract. Counts NaN and infinities, which become null."""

    def __init__(self):
        self.non_finite = 0

    def cell(self, value):
        if value is None or value is pd.NA or value is pd.NaT:
            return None
        if isinstance(value, (bool, str)):
            return value if type(value) in (bool, str) else str(value)
        if isinstance(value, np.generic):
            return self.numpy_scalar(value)
        if isinstance(value, int):
            return int(value) if -SAFE_INTEGER <= value <= SAFE_INTEGER else big_integer(value)
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else self.not_finite()
        if isinstance(value, decimal.Decimal):
            return self.decimal(value)
        return self.object(value)

    def numpy_scalar(self, value):
        if isinstance(value, np.datetime64):
            return self.cell(pd.Timestamp(value))
        if isinstance(value, np.timedelta64):
            return self.cell(pd.Timedelta(value))
        item = value.item()
        return self.cell(item) if not isinstance(item, np.generic) else self.cell(float(item))

    def decimal(self, value):
        if not value.is_finite():
            return self.not_finite()
        digits = len(value.as_tuple().digits)
        return float(value) if digits <= 15 else format(value, "f")

    def object(self, value):
        if isinstance(value, datetime.datetime):
            return timestamp(value)
        if isinstance(value, (datetime.date, datetime.time)):
            return value.isoformat()
        if isinstance(value, (bytes, bytearray, memoryview)):
            return base64.b64encode(bytes(value)).decode("ascii")
        if isinstance(value, dict):
            return {str(key): self.cell(item) for key, item in value.items()}
        if isinstance(value, np.ndarray):
            return [self.cell(item) for item in value] if value.ndim else self.cell(value.item())
        if isinstance(value, (list, tuple, set, frozenset, pd.Series, pd.Index)):
            return [self.cell(item) for item in value]
        return str(value)

    def not_finite(self):
        self.non_finite += 1
        return None


def big_integer(value):
    """Python refuses to print integers beyond some 4,300 digits, for they take quadratic time."""
    return str(value) if value.bit_length() <= 14_000 else f"an integer of {value.bit_length()} bits"


def timestamp(value):
    if value.tzinfo is None:
        return value.isoformat()
    moment = value.tz_convert("UTC") if isinstance(value, pd.Timestamp) else value.astimezone(datetime.timezone.utc)
    return moment.isoformat().replace("+00:00", "Z")


DTYPE_KINDS = {"b": "boolean", "i": "integer", "u": "integer", "f": "double", "M": "timestamp", "m": "interval", "c": "text"}

VALUE_TYPES = (
    (bool, "boolean"),
    (np.bool_, "boolean"),
    ((int, np.integer), "integer"),
    ((float, np.floating), "double"),
    (decimal.Decimal, "decimal"),
    (str, "text"),
    ((bytes, bytearray), "blob"),
    (datetime.timedelta, "interval"),
    (datetime.time, "time"),
    ((list, tuple, dict, set, np.ndarray), "json"),
)


def column_type(column, sample):
    """From the dtype where that says it, else from the values that are sent."""
    dtype = getattr(column, "dtype", None)
    if isinstance(dtype, pd.DatetimeTZDtype):
        return "timestamptz"
    if dtype is not None and not isinstance(dtype, pd.CategoricalDtype):
        kind = DTYPE_KINDS.get(getattr(dtype, "kind", "O"))
        if kind:
            return kind
    kinds = {value_type(value) for value in sample} - {"null"}
    if kinds <= {"integer", "double"} and len(kinds) == 2:
        return "double"
    if len(kinds) > 1:
        return "json"
    return kinds.pop() if kinds else ("text" if isinstance(dtype, pd.StringDtype) else "null")


def value_type(value):
    if value is None or value is pd.NA or value is pd.NaT:
        return "null"
    if isinstance(value, float) and math.isnan(value):
        return "null"
    if isinstance(value, datetime.datetime):
        return "timestamptz" if value.tzinfo else "timestamp"
    if isinstance(value, datetime.date):
        return "date"
    return next((name for kinds, name in VALUE_TYPES if isinstance(value, kinds)), "text")


def only_days(column):
    """The column as dates, unless some moment in it is not a midnight any more."""
    if not isinstance(column, pd.Series) or not pd.api.types.is_datetime64_dtype(column.dtype):
        return column
    present = column.dropna()
    return column.dt.date if len(present) and (present == present.dt.normalize()).all() else column


def first_cells(column, count):
    """In a column of anything but floats NaN is how pandas says that a value is missing, and nothing to be counted."""
    if not isinstance(column, pd.Series):
        return list(column[:count])
    cells = list(column.iloc[:count])
    if getattr(column.dtype, "kind", "O") == "f":
        return cells
    return [None if isinstance(cell, float) and math.isnan(cell) else cell for cell in cells]


def send_table(channel, table, request, days):
    """Sends columns and as many whole rows as the caps allow; returns what `done` has to say of them."""
    kept = min(table.length, request["maxRows"])
    sources = [only_days(column) if name in days else column for name, column in zip(table.names, table.columns)]
    heads = [first_cells(column, kept) for column in sources]
    names_and_types = zip(table.names, sources, heads)
    columns = [{"name": name, "type": column_type(column, head)} for name, column, head in names_and_types]
    channel.send({"type": "columns", "columns": columns})
    encoder, rows, size, cut = Encoder(), [], 0, None
    for number in range(kept):
        before = encoder.non_finite
        row = json.dumps([encoder.cell(head[number]) for head in heads], ensure_ascii=False, separators=(",", ":"))
        size += len(row.encode("utf-8", "replace")) + 1
        if size > request["maxBytes"]:
            encoder.non_finite, cut = before, "bytes"
            break
        rows.append(row)
    if cut is None and kept < table.length:
        cut = "rows"
    for start in range(0, len(rows), 1000):
        channel.send_json('{"type":"rows","rows":[' + ",".join(rows[start : start + 1000]) + "]}")
    limit = request["maxRows"] if cut == "rows" else request["maxBytes"]
    truncated = {"by": cut, "limit": limit, "total": table.length} if cut else None
    return {"totalRows": table.length, "truncated": truncated, "nonFinite": encoder.non_finite}


def explain(error):
    """What went wrong, as the last line of a traceback, and on which line of the author's code."""
    line = None
    trace = error.__traceback__
    while trace:
        if trace.tb_frame.f_code.co_filename == SOURCE:
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, MemoryError):
        hint = "select fewer rows or columns, or raise the memory limit"
        return RunnerError("runner_resource_exceeded", "the code ran out of memory", hint, {"limit": "memoryBytes"})
    text = f"{type(error).__name__}: {describe(error)}".replace(sys.prefix, "").replace(sys.base_prefix, "")
    if isinstance(error, SystemExit):
        text = f"the code called exit ({describe(error)})"
    where = f" (line {line})" if line else ""
    return RunnerError("python_execution_error", f"{text}{where}", details={"line": line} if line else {})


def describe(error):
    try:
        return str(error)[:4000]
    except BaseException:  # the code may define its own exceptions
        return "an exception that cannot be printed"


def answer(channel, request, replies):
    given = {"pd": pd, "np": np, "dfs": {}}
    if request.get("tools"):
        given["writ"] = tools(channel, replies)
    days = set()
    for view in request["views"]:
        frame = load(view["path"], days)
        given["dfs"][view["table"]] = frame
        given.setdefault(view["table"], frame)
    streams = [Capture(1), Capture(2)]
    try:
        names, trailing = execute(request["code"], given)
        done = send_table(channel, choose_result(names, given, trailing), request, days)
        frame = {"type": "done", **done}
    except RunnerError as error:
        frame = error.frame
    except BaseException as error:  # SystemExit and KeyboardInterrupt too: whatever the code raised is its result
        frame = explain(error).frame
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:  # the code may have closed or replaced it
            pass
    captured = dict(zip(("stdout", "stderr"), [stream.text() for stream in streams]))
    if frame["type"] == "done":
        frame.update(captured)
    else:
        frame["details"].update({name: text for name, text in captured.items() if text})
    channel.send(frame)


class Nowhere(Channel):
    """For what is only practised."""

    def __init__(self):
        self.process = os.getpid()
        self.descriptor = os.open(os.devnull, os.O_WRONLY)


def warm_up():
    """Takes the way that nearly every request takes, so that the first one does not pay for it."""
    frame = pa.table({"k": ["a", "b"], "v": [1, None]}).to_pandas(types_mapper=NULLABLE.get, use_threads=False)
    given = {"pd": pd, "np": np, "frame": frame}
    code = 'pd.DataFrame({"k": frame["k"], "n": 1})\nframe.groupby("k")["v"].sum().reset_index().sort_values("v")'
    names, trailing = execute(code, given)
    nowhere = Nowhere()
    send_table(nowhere, choose_result(names, given, trailing), {"maxRows": 2, "maxBytes": 1000}, set())
    os.close(nowhere.descriptor)


def main():
    """Answers one request. What may be done before, and once for many children of a fork, is done by then."""
    channel = Channel()
    channel.send({"type": "ready"})
    try:
        request, replies = read_request()
        if request["kind"] != "python":
            raise RunnerError("runner_internal_error", f"the python runner was asked for `{request['kind']}`")
        answer(channel, request, replies)
    except RunnerError as error:
        channel.send(error.frame)
    except BaseException as error:
        message = f"{type(error).__name__}: {describe(error)}"
        channel.send({"type": "error", "code": "runner_internal_error", "message": message, "details": {}})
    # Threads and handlers that the code registered are not waited for.
    os._exit(0)


if __name__ == "__main__":
    warm_up()
    main()
