"""A stand-in for `msb` 0.6.18: the commands and options that the provider uses, refused and answered in the words of the real one.

A guest is a directory of state, and what is executed in it a local process. It boots nothing and isolates nothing.
Usage: msb.py STATE COMMAND..., where STATE may hold `doctor` (what `msb doctor` complains of) and `calls` (what was asked so far).
"""
import json
import os
import re
import sys

STATE = sys.argv[1]
GUESTS = os.path.join(STATE, "guests")
VALUES = {
    "create": {
        "--name": r"[\w.-]{1,128}", "--cpus": r"[1-9]\d*", "--memory": r"\d+[KMG]", "--pull": "always|if-missing|never",
        "--security": "default|restricted", "--hostname": ".+", "--user": ".+", "--max-duration": r"\d+[smh]",
        "--tmpfs": r"/[^:]*:\d+[KMG]", "--mount-dir": "[^:]+:[^:]+(:(ro|uid=\\d+,gid=\\d+,quota=\\d+[KMG]))?", "--mount-file": "[^:]+:[^:]+:ro",
    },
    "exec": {"--user": ".+", "--workdir": "/.*", "--rlimit": r"(nofile|nproc|fsize|data|core)=\d+"},
    "remove": {}, "list": {"--format": "json"}, "doctor": {}, "image": {"--format": "json"},
}
FLAGS = {"create": ["--quiet", "--no-net"], "exec": ["--quiet", "--stream"], "remove": ["--quiet", "--force"]}


def complain(message, code=1):
    sys.stderr.write(f"error: {message}\n")
    sys.exit(code)


def parse(command, arguments):
    """Options as lists of their values, words before `--`, words after it."""
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    options, words, rest = {}, [], arguments[:cut]
    while rest:
        name = rest.pop(0)
        if name in FLAGS.get(command, []):
            options[name] = [True]
        elif name in VALUES[command]:
            value = rest.pop(0)
            if not re.fullmatch(VALUES[command][name], value):
                complain(f"invalid value '{value}' for '{name}'", 2)
            options.setdefault(name, []).append(value)
        elif name.startswith("-"):
            complain(f"unexpected argument '{name}' found", 2)
        else:
            words.append(name)
    return options, words, arguments[cut + 1:]


def path_of(name, kind):
    return os.path.join(GUESTS, f"{name}.{kind}")


def read_guest(name):
    if not os.path.exists(path_of(name, "json")):
        complain(f"sandbox not found: {name}")
    with open(path_of(name, "json")) as file:
        return json.load(file)


def mounts_of(options):
    for kind in ("dir", "file"):
        for mount in options.get(f"--mount-{kind}", []):
            source, target, *rest = mount.split(":")
            if not os.path.exists(source) or os.path.isdir(source) != (kind == "dir"):
                complain(f'mount-{kind} source "{source}": No such file or directory (os error 2)')
            yield from ["--ro-bind" if rest == ["ro"] else "--bind", source, target]


def create(options, _, after):
    [name], [image] = options["--name"], after
    if not os.path.exists(os.path.join(STATE, "images", image)):
        complain(f"image error: image not cached: docker.io/library/{image}")
    if os.path.exists(path_of(name, "json")):
        complain(f"sandbox already exists: {name}")
    mounts = list(mounts_of(options))
    # A file system of its own for each guest: what one leaves in /tmp is not there for the next.
    os.mkdir(path_of(name, "tmp"))
    os.chmod(path_of(name, "tmp"), 0o777)
    mounts += ["--bind", path_of(name, "tmp"), "/tmp"]
    with open(path_of(name, "json"), "w") as file:
        json.dump({"user": options["--user"][0], "hostname": options["--hostname"][0], "mounts": mounts}, file)


def execute(options, words, command):
    [name] = words
    guest = read_guest(name)
    if "--stream" not in options:
        complain("the standard input is not passed on without --stream")
    user, group = guest["user"].split(":")
    view = ["--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-uts", "--die-with-parent", "--uid", user, "--gid", group]
    view += ["--hostname", guest["hostname"], "--dev", "/dev", "--setenv", "MSB_SANDBOX", name]
    view += [word for link in ("bin", "lib", "lib64") for word in ("--symlink", f"usr/{link}", f"/{link}")]
    with open(path_of(name, "pids"), "a") as file:
        file.write(f"{os.getpid()}\n")
    os.execvp("bwrap", ["bwrap", *view, *guest["mounts"], "--chdir", options["--workdir"][0], "--", *command])


def remove(options, words, _):
    for name in words:
        read_guest(name)
        if "--force" not in options:
            complain(f"sandbox is running: {name}")
        if os.path.exists(path_of(name, "pids")):
            with open(path_of(name, "pids")) as file:
                for pid in file.read().split():
                    kill(int(pid))
            os.unlink(path_of(name, "pids"))
        remove_tree(path_of(name, "tmp"))
        os.unlink(path_of(name, "json"))


# Each call is a start of Python, and a module that starts slowly is left out.
def remove_tree(path):
    for directory, directories, files in os.walk(path, topdown=False):
        for name in files:
            os.unlink(os.path.join(directory, name))
        for name in directories:
            inside = os.path.join(directory, name)
            os.unlink(inside) if os.path.islink(inside) else os.rmdir(inside)
    if os.path.isdir(path):
        os.rmdir(path)


def kill(pid):
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        pass  # it ended by itself


def list_guests(options, _, __):
    names = [name[:-5] for name in os.listdir(GUESTS) if name.endswith(".json")]
    print(json.dumps([{"name": name, "status": "Running", "image": "", "created_at": ""} for name in names]))


def doctor(*_):
    complaint = os.path.join(STATE, "doctor")
    if os.path.exists(complaint):
        with open(complaint) as file:
            complain(file.read())


def image(_, words, after):
    [name] = words[1:] + after
    if words[0] != "inspect" or not os.path.exists(os.path.join(STATE, "images", name)):
        complain(f"image not found: {name}")
    print("{}")


COMMANDS = {"create": create, "exec": execute, "remove": remove, "list": list_guests, "doctor": doctor, "image": image}

if __name__ == "__main__":
    command, arguments = sys.argv[2], sys.argv[3:]
    os.makedirs(GUESTS, exist_ok=True)
    with open(os.path.join(STATE, "calls"), "a") as file:
        file.write(json.dumps({"command": command, "args": arguments, "environment": dict(os.environ)}) + "\n")
    if command == "--version":
        print("msb 0.6.18")
    elif command not in COMMANDS:
        complain(f"unrecognized subcommand '{command}'", 2)
    else:
        COMMANDS[command](*parse(command, arguments))
