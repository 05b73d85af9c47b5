"""Starts a zygote (runners/zygote.py) and gives its children what they need of the host. Started as `python -I -S -B`, told everything
on standard input, one JSON object a line; answers on descriptor 3 in the same way.

It is the only part that sees the host, and it never runs or reads what a tenant sent. It opens the run's mounts and hands them over as
descriptors, puts each child in its control groups, and knows when all of a child is gone. The streams of a run come from the platform,
through a socket of no name that only its parent may connect to; it passes them on unread.

It ends with the platform: when its input does, or when its parent dies. The zygote ends with it, and every child with the zygote, whose
process namespace they live in.
"""

import array
import ctypes
import importlib.util
import json
import os
import selectors
import signal
import socket
import struct
import sys
import time

OPEN_TREE_CLONE, OPEN_TREE_CLOEXEC, AT_RECURSIVE, AT_EMPTY_PATH = 1, 0o2000000, 0x8000, 0x1000
SYS_OPEN_TREE, SYS_MOUNT_SETATTR = 428, 442  # the same on every architecture
MOUNT_ATTR_RDONLY, MOUNT_ATTR_NOSUID, MOUNT_ATTR_NODEV = 1, 2, 4
PR_SET_PDEATHSIG = 1
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN = 1, 2, 5, 6, 7, 21
OWN_CAPABILITIES = {CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN}
ZYGOTE_CAPABILITIES = {CAP_SETGID, CAP_SETUID, CAP_SYS_ADMIN}

EVENTS = 3
STREAMS = 4
HEADER = struct.Struct(">IB")
CREDENTIALS = struct.Struct("3i")
FIRST_VICTIM = "1000"
FORK_LIMIT_SECONDS = 15


def load_zygote():
    """The calls that it shares with the zygote's own program."""
    room = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    path = os.path.join(room, "runners", "zygote.py")
    spec = importlib.util.spec_from_file_location("zygote", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


zygote = load_zygote()


def clone_mount(path, attributes):
    """What is mounted at `path`, as a mount that is nowhere yet, with all below it."""
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE
    descriptor = zygote.call("syscall", ctypes.c_long(SYS_OPEN_TREE), zygote.AT_FDCWD, os.fsencode(path), flags)
    attr = struct.pack("4Q", attributes, 0, 0, 0)
    zygote.call("syscall", ctypes.c_long(SYS_MOUNT_SETATTR), descriptor, b"", AT_EMPTY_PATH | AT_RECURSIVE, attr, len(attr))
    return descriptor


def clone_data(path, writable=False):
    return clone_mount(path, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | (0 if writable else MOUNT_ATTR_RDONLY))


def write_file(path, text):
    with open(path, "w") as file:
        file.write(text)


def isolate():
    """A view of the mounts of its own, which it may copy from; as an ordinary user only in a user namespace."""
    uid, gid = os.geteuid(), os.getegid()
    if uid != 0:
        zygote.call("unshare", zygote.NEWUSER)
        write_file("/proc/self/setgroups", "deny")
        write_file("/proc/self/uid_map", f"{uid} {uid} 1")
        write_file("/proc/self/gid_map", f"{gid} {gid} 1")
    zygote.call("unshare", zygote.NEWNS | zygote.NEWNET | zygote.NEWIPC | zygote.NEWUTS)
    zygote.mount(None, "/", None, zygote.MS_REC | zygote.MS_PRIVATE)
    zygote.keep_capabilities(OWN_CAPABILITIES)
    zygote.call("prctl", zygote.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def die_with(parent):
    zygote.call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def start_zygote(config):
    """The socket on which it takes orders. It has its namespaces and its root before its program is started."""
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    mapped, waiting = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            become_zygote(config, there, waiting)
        except BaseException as error:
            there.send(f"{type(error).__name__}: {error}".encode()[:1000])
        os._exit(1)
    there.close()
    waiting.close()
    if mapped.recv(1):  # it has its user namespace
        write_file(f"/proc/{child}/uid_map", config["ids"]["users"])
        write_file(f"/proc/{child}/gid_map", config["ids"]["groups"])
        mapped.send(b"m")
    mapped.close()
    said = here.recv(2000)
    if said != b"ready":
        raise RuntimeError(said.decode("utf-8", "replace") or "it ended at once")
    return here


def become_zygote(config, channel, waiting):
    keeper = os.getppid()
    mounts = [(each["target"], clone_data(each["source"])) for each in config["mounts"]]
    devices = [(path, clone_mount(path, MOUNT_ATTR_NOSUID)) for path in config["devices"]]
    zygote.call("unshare", zygote.NEWUSER)
    waiting.send(b"u")
    if not waiting.recv(1):
        os._exit(1)
    if config["isRoot"]:
        os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    namespaces = zygote.NEWNS | zygote.NEWPID | zygote.NEWNET | zygote.NEWIPC | zygote.NEWUTS | zygote.NEWCGROUP
    zygote.call("unshare", namespaces)
    zygote.mount(None, "/", None, zygote.MS_REC | zygote.MS_PRIVATE)
    root = "/tmp"  # every host has it, and what is in it is not needed any more
    zygote.mount_tmpfs(root, "mode=0755,size=1m,nr_inodes=4096")
    for name in ("/tmp", zygote.NEXT):
        os.mkdir(root + name)
    for name, target in config["links"].items():
        os.symlink(target, f"{root}/{name}")
    for target, descriptor in mounts + devices:
        zygote.attach(descriptor, root + target)
    zygote.enter(root)
    first = os.fork()
    if first:
        # It stands between the keeper and the first process of the namespace, only to be its parent.
        die_with(keeper)
        os.closerange(0, zygote.LAST_DESCRIPTOR)
        os.waitpid(first, 0)
        os._exit(0)
    zygote.call("prctl", PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    start_program(config, channel)


def start_program(config, channel):
    zygote.keep_capabilities(ZYGOTE_CAPABILITIES)
    os.setsid()
    nothing = os.open("/dev/null", os.O_RDWR)
    number = os.dup(channel.fileno())
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)
    os.dup2(number, zygote.CHANNEL)
    os.closerange(zygote.CHANNEL + 1, zygote.LAST_DESCRIPTOR)
    if config["zygoteFilter"]:
        zygote.install_filter(bytes.fromhex(config["zygoteFilter"]))
    os.execve(config["command"][0], config["command"], config["environment"])


class Child:
    """One run's child, from its streams to its end."""

    def __init__(self):
        self.order = None
        self.streams = {}
        self.control = None
        self.pidfd = None
        self.status = None
        self.failure = None
        self.killed = False

    def kill(self):
        """At once, or as soon as it says who it is."""
        self.killed = True
        if self.pidfd is not None:
            try:
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            except ProcessLookupError:
                pass


class Keeper:
    def __init__(self, channel, listener, parent):
        self.channel = channel
        self.parent = parent
        self.children = {}
        self.asked = {}  # children that have not said who they are, and since when
        self.input = b""
        self.selector = selectors.DefaultSelector()
        self.watch(0, self.read_input)
        self.watch(listener, lambda: self.accept(listener))
        self.watch(channel, lambda: os._exit(1))  # the zygote says nothing any more: it is gone

    def watch(self, source, act):
        self.selector.register(source, selectors.EVENT_READ, act)

    def run(self):
        while True:
            for key, _ in self.selector.select(1.0 if self.asked else None):
                key.data()
            if self.asked and time.monotonic() - next(iter(self.asked.values())) > FORK_LIMIT_SECONDS:
                os._exit(1)

    def read_input(self):
        data = os.read(0, 65536)
        if not data:
            os._exit(0)
        *lines, self.input = (self.input + data).split(b"\n")
        for line in lines:
            self.take(json.loads(line))

    def take(self, order):
        if "kill" in order:
            if order["kill"] in self.children:
                self.end_early(order["kill"])
            return
        child = self.children.setdefault(order["id"], Child())
        child.order = order
        self.start(order["id"], child)

    def end_early(self, number):
        child = self.children[number]
        child.kill()
        if child.pidfd is None:  # it has nothing of the run yet, and will get nothing
            self.forget(number, {"failed": "it was given up before it was started"})

    def accept(self, listener):
        stream, _ = listener.accept()
        pid, _, _ = CREDENTIALS.unpack(stream.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))
        if pid != self.parent:
            stream.close()
            return
        self.watch(stream, lambda: self.read_header(stream))

    def read_header(self, stream):
        self.selector.unregister(stream)
        header = stream.recv(HEADER.size, socket.MSG_WAITALL)
        if len(header) < HEADER.size:
            stream.close()
            return
        number, index = HEADER.unpack(header)
        child = self.children.setdefault(number, Child())
        child.streams[index] = stream
        self.start(number, child)

    def start(self, number, child):
        if child.order is None or len(child.streams) < STREAMS:
            return
        child.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        child.control.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.watch(child.control, lambda: self.hear(number, child))
        socket.send_fds(self.channel, [b"fork"], [theirs.fileno()])
        theirs.close()
        self.asked[child] = time.monotonic()

    def hear(self, number, child):
        """A child says who it is, then how it ended; silence is its end."""
        try:
            data, extra, _, _ = child.control.recvmsg(2000, socket.CMSG_SPACE(CREDENTIALS.size) + socket.CMSG_SPACE(4))
        except ConnectionResetError:
            data, extra = b"", []
        self.asked.pop(child, None)
        if data == b"hello":
            self.welcome(number, child, extra)
        elif data[:1] == b"X":
            (child.status,) = struct.unpack("=i", data[1:])
        elif data[:1] == b"E":
            child.failure = data[1:].decode("utf-8", "replace")
        else:
            self.selector.unregister(child.control)
            child.control.close()
            self.close_streams(child)
            if child.pidfd is None:
                self.forget(number, {"failed": child.failure or "it ended at once"})
            else:  # the first process of its namespace is gone when all others are
                self.watch(child.pidfd, lambda: self.bury(number, child))

    def welcome(self, number, child, extra):
        pid = 0
        for level, kind, data in extra:
            if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                pid = CREDENTIALS.unpack(data)[0]
            elif level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                (child.pidfd,) = array.array("i", data)
        if child.killed:
            child.kill()
            return
        try:
            self.equip(pid, child)
        except OSError as error:
            child.failure = f"{error.strerror}: {error.filename}" if error.filename else str(error)
            child.kill()
            return
        tell({"id": number, "started": pid})

    def equip(self, pid, child):
        """Into its groups first, so that all it does counts there."""
        order = child.order
        write_file(f"/proc/{pid}/oom_score_adj", FIRST_VICTIM)
        for file in order["joinFiles"]:
            write_file(file, str(pid))
        mounts = []
        try:
            for each in order["mounts"]:
                mounts.append(clone_data(each["source"], each["writable"]))
            targets = [each["target"] for each in order["mounts"]]
            said = {**order["child"], "targets": targets}
            descriptors = [child.streams[index].fileno() for index in range(STREAMS)] + mounts
            socket.send_fds(child.control, [json.dumps(said).encode()], descriptors)
        finally:
            for descriptor in mounts:
                os.close(descriptor)
        self.close_streams(child)

    def close_streams(self, child):
        for stream in child.streams.values():
            stream.close()

    def bury(self, number, child):
        self.selector.unregister(child.pidfd)
        os.close(child.pidfd)
        if child.failure is not None:
            self.forget(number, {"failed": child.failure})
        else:
            self.forget(number, {"code": child.status})

    def forget(self, number, ending):
        child = self.children.pop(number, None)
        if child:
            self.close_streams(child)
            tell({"id": number, **ending})


def tell(event):
    os.write(EVENTS, json.dumps(event).encode() + b"\n")


def read_line():
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(0, 1)
        if not part:
            os._exit(0)
        line += part
    return json.loads(line)


def main():
    parent = os.getppid()
    die_with(parent)
    os.closerange(EVENTS + 1, zygote.LAST_DESCRIPTOR)
    config = read_line()
    config["isRoot"] = os.geteuid() == 0
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(b"")  # the kernel finds a name that nobody has
            listener.listen(1024)
            isolate()
            # Giving up rights made it forget whom it dies with.
            die_with(parent)
            channel = start_zygote(config)
            tell({"address": listener.getsockname()[1:].decode("latin-1")})
            Keeper(channel, listener, parent).run()
    except (OSError, RuntimeError) as error:
        tell({"refused": str(error)})


if __name__ == "__main__":
    main()
