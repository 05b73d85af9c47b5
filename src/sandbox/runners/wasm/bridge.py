"""Runs python.py inside Pyodide, where there are no pandas, numpy and pyarrow, no descriptors and no threads.

A table is a list of dicts, one per row, and takes the place of a frame: what python.py does with a frame is done here with such a
list, and everything else - what counts as the result, cells, types, caps, errors - is python.py's own.
"""

import base64
import datetime
import decimal
import json
import random
import sys
import types

LIBRARIES = ("numpy", "pandas", "pyarrow", "pyarrow.parquet")
HINT = "this sandbox has Python's standard library, without pandas and numpy; a table is a list of dicts, one per row"
EPOCH = datetime.datetime(1970, 1, 1)


class Absent(types.ModuleType):
    """Stands for a library while python.py is loaded. Whatever is asked of it is a class that nothing is an instance of."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        setattr(self, name, type(name, (), {}))
        return self.__dict__[name]


class ListOfDicts(type):
    def __instancecheck__(cls, value):
        return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value) and same_keys(value)


class Frame(metaclass=ListOfDicts):
    pass


def same_keys(rows):
    return all(row.keys() == rows[0].keys() for row in rows)


def load_runner(source):
    """python.py as a module, with nothing left of the libraries that it asked for."""
    absent = {name: Absent(name) for name in LIBRARIES}
    absent["pandas"].DataFrame = Frame
    sys.modules.update(absent)
    runner = types.ModuleType("runner")
    try:
        exec(compile(source, "python.py", "exec"), runner.__dict__)
    finally:
        for name in absent:
            del sys.modules[name]
    runner.frame_table = lambda rows: runner.Table(
        [str(name) for name in rows[0]], [[row[name] for row in rows] for name in rows[0]], len(rows)
    )
    return runner


def install(source):
    """Makes `load` and `answer` importable. Tables wait under the paths of their files."""
    module = types.ModuleType("bridge")
    runner = load_runner(source)
    module.tables = {}
    module.load = lambda path, columns: module.tables.update({path: read_table(json.loads(columns))})
    module.answer = lambda request: answer(runner, request, module.tables)
    sys.modules["bridge"] = module


class Frames:
    """Takes what python.py sends; JavaScript passes it on."""

    def __init__(self):
        self.sent = []

    def send_json(self, text):
        self.sent.append(text)

    def send(self, frame):
        self.send_json(json.dumps(frame, ensure_ascii=False, allow_nan=False))


def moment(value, unit, zone):
    """Seconds, thousandths and so on since 1970. Python has no years beyond 9999, no infinity and no nanoseconds."""
    try:
        found = EPOCH + datetime.timedelta(microseconds=int(value) * 1_000_000 // unit)
    except OverflowError:
        return "infinity" if int(value) > 0 else "-infinity"
    return found.replace(tzinfo=datetime.timezone.utc) if zone else found


def day(value):
    try:
        return EPOCH.date() + datetime.timedelta(days=int(value))
    except OverflowError:
        return "infinity" if int(value) > 0 else "-infinity"


def exact(value, scale):
    return decimal.Decimal(int(value)).scaleb(-scale, decimal.Context(prec=100))


READERS = {
    "integer": lambda value, column: int(value),
    "double": lambda value, column: float(value),
    "decimal": lambda value, column: exact(value, column["scale"]),
    "date": lambda value, column: day(value),
    "time": lambda value, column: moment(value, column["unit"], None).time(),
    "timestamp": lambda value, column: moment(value, column["unit"], None),
    "timestamptz": lambda value, column: moment(value, column["unit"], "UTC"),
    "blob": lambda value, column: base64.b64decode(value),
}


def read_table(columns):
    """Rows as dicts, from columns as parquet.ts sends them."""
    names = [column["name"] for column in columns]
    lists = []
    for column in columns:
        reader = READERS.get(column["kind"])
        values = column["values"]
        lists.append([value if value is None else reader(value, column) for value in values] if reader else values)
    return [dict(zip(names, row)) for row in zip(*lists)]


def answer(runner, request, tables):
    """Runs the code; returns the frames, one JSON text a line."""
    request = json.loads(request)
    channel, given = Frames(), {"dfs": {}}
    for view in request["views"]:
        given["dfs"][view["table"]] = rows = tables[view["path"]]
        given.setdefault(view["table"], rows)
    random.seed()  # or every sandbox would draw the numbers of the memory that it started with
    try:
        names, trailing = runner.execute(request["code"], given)
        frame = {"type": "done", **runner.send_table(channel, runner.choose_result(names, given, trailing), request, set())}
    except runner.RunnerError as error:
        frame = error.frame
    except BaseException as error:  # SystemExit and KeyboardInterrupt too: whatever the code raised is its result
        frame = runner.explain(error).frame
        if isinstance(error, (ImportError, NameError, AttributeError)):
            frame["hint"] = HINT
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BaseException:  # the code may have closed or replaced it
            pass
    channel.send(frame)
    return "\n".join(channel.sent)
