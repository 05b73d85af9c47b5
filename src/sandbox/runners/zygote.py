"""Imports a runner once and forks a child of it for each run. Started as `python -I -B zygote.py CONFIG`, which is JSON.

It sits in namespaces of its own with the runtime and nothing else: no network, no `/proc`, nothing of the host that can be written.
On descriptor 3 it is told to fork, and handed a socket that it passes on without reading. Only the child reads what the run is about,
so that no path, limit or data of one run is in the memory that the next one is copied from.

The child unshares, mounts, drops what it holds, forks once more (the first process of a process namespace ignores signals that a
program expects to work) and becomes the runner. Siblings share the layout of their address space, the seed of Python's hashes and the
stack's canary, as all forks do. A run may therefore know where things lie in the memory of another, and has no way to reach it; what
guards one run from another is the kernel, never a secret in memory. Random numbers are seeded afresh in every child.
"""

import ctypes
import gc
import importlib.util
import json
import os
import resource
import signal
import socket
import stat
import struct
import sys

libc = ctypes.CDLL(None, use_errno=True)

NEWNS, NEWCGROUP, NEWUTS, NEWIPC = 0x00020000, 0x02000000, 0x04000000, 0x08000000
NEWUSER, NEWPID, NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
MNT_DETACH = 2
SYS_MOVE_MOUNT = 429  # the same on every architecture
MOVE_MOUNT_F_EMPTY_PATH = 4
AT_FDCWD = -100
PR_CAPBSET_READ, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 23, 24, 38, 22
SECCOMP_MODE_FILTER = 2
CAPABILITY_VERSION_3 = 0x20080522

NEXT = "/next"  # where a child builds its root
CHANNEL = 3
STREAMS = 4
MAX_ORDERS = 256 * 1024
MAX_DESCRIPTORS = 250
LAST_DESCRIPTOR = 65536


def call(name, *arguments):
    """A call of the C library, by name; raises what it failed with."""
    result = getattr(libc, name)(*arguments)
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def mount(source, target, kind, flags, options=None):
    encoded = [None if text is None else text.encode() for text in (source, target, kind, options)]
    call("mount", encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3])


def mount_tmpfs(target, options):
    mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, options)


def make_place(target, mode):
    """Something to mount on, a directory or a file as what will be mounted there is."""
    if stat.S_ISDIR(mode):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.lexists(target):  # in a directory that was mounted before, where nothing can be made
            return
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))


def attach(descriptor, target):
    """Puts a mount that only its descriptor leads to at `target`."""
    make_place(target, os.fstat(descriptor).st_mode)
    call("syscall", ctypes.c_long(SYS_MOVE_MOUNT), descriptor, b"", AT_FDCWD, target.encode(), MOVE_MOUNT_F_EMPTY_PATH)
    os.close(descriptor)


def enter(root):
    """Makes `root` the root, read-only, and lets go of everything else that was mounted."""
    mount(None, root, None, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)
    os.chdir(root)
    call("pivot_root", b".", b".")
    call("umount2", b".", MNT_DETACH)
    os.chdir("/")


def keep_capabilities(kept):
    """Gives up every capability that is not in `kept`, also for programs that it starts."""
    number = 0
    while libc.prctl(PR_CAPBSET_READ, number, 0, 0, 0) >= 0:
        if number not in kept:
            call("prctl", PR_CAPBSET_DROP, number, 0, 0, 0)
        number += 1
    header, held = struct.pack("II", CAPABILITY_VERSION_3, 0), ctypes.create_string_buffer(24)
    call("capget", header, held)
    _, low, _, _, high, _ = struct.unpack("6I", held.raw)
    mask = sum(1 << number for number in kept)
    low, high = low & mask & 0xFFFFFFFF, high & mask >> 32
    call("capset", header, struct.pack("6I", low, low, 0, high, high, 0))


def install_filter(program):
    buffer = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    call("prctl", PR_SET_SECCOMP, SECCOMP_MODE_FILTER, fprog, 0, 0)


def build_root(orders, mounts, below_scratch):
    """The runtime as this process sees it, the run's own mounts, and scratch of its own."""
    mount_tmpfs(NEXT, "mode=0755,size=64k,nr_inodes=4096")
    for name in os.listdir("/"):
        path, target = f"/{name}", f"{NEXT}/{name}"
        if os.path.islink(path):
            os.symlink(os.readlink(path), target)
        elif path not in (NEXT, "/tmp"):
            os.mkdir(target)
            mount(path, target, None, MS_BIND | MS_REC)
    os.mkdir(f"{NEXT}/tmp")
    owner = "" if orders["uid"] is None else f",uid={orders['uid']},gid={orders['uid']}"
    mode = "1777" if below_scratch else "0700"  # places are made there by this user, who is not the run's
    mount_tmpfs(f"{NEXT}/tmp", f"mode={mode},size={orders['scratchBytes']},nr_inodes={orders['scratchFiles']}{owner}")
    for path in below_scratch:  # the runtime may have its home below the host's own /tmp
        make_place(NEXT + path, os.stat(path).st_mode)
        mount(path, NEXT + path, None, MS_BIND | MS_REC)
    for target, descriptor in zip(orders["targets"], mounts):
        attach(descriptor, NEXT + target)
    enter(NEXT)


def give_up_rights(uid):
    """A user of its own where there is one, in a user namespace that maps nobody: in such a one no further one can be made."""
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    call("unshare", NEWUSER)
    keep_capabilities(set())
    call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def confine(orders, mounts, below_scratch):
    call("unshare", NEWNS | NEWNET | NEWIPC | NEWUTS | NEWCGROUP)
    socket.sethostname("sandbox")
    build_root(orders, mounts, below_scratch)
    give_up_rights(orders["uid"])
    os.chdir("/tmp")
    for name, limit in orders["rlimits"].items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name.upper()}"), (limit, limit))


def receive_orders(control):
    """Tells who this is, by a descriptor that names this process and no later one, and waits to be told what to do."""
    with socket.socket(fileno=os.dup(control)) as channel:
        this = os.pidfd_open(os.getpid())
        socket.send_fds(channel, [b"hello"], [this])
        os.close(this)
        data, descriptors, _, _ = socket.recv_fds(channel, MAX_ORDERS, MAX_DESCRIPTORS)
    if not data:
        os._exit(0)
    return json.loads(data), descriptors


def become_runner(runner, orders, streams):
    os.setsid()
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    os.closerange(STREAMS, LAST_DESCRIPTOR)
    reseed()
    sys.argv = [runner.__file__, *orders["arguments"]]
    warm_up(runner)
    runner.main()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def watch_over(child, control):
    """What the first process of a namespace is for. Ends, and everything inside with it, when the runner does; says how that was."""
    nothing = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nothing, number)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one signal that Python handles, and that code inside could send
    os.dup2(control, CHANNEL)
    os.closerange(CHANNEL + 1, LAST_DESCRIPTOR)
    while True:
        pid, status = os.wait()
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os.write(CHANNEL, struct.pack("=ci", b"X", code if code >= 0 else 128 - code))
            return


def run_child(control, runner, config):
    """The life of one child. Never returns."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        orders, descriptors = receive_orders(control)
        streams, mounts = descriptors[:STREAMS], descriptors[STREAMS:]
        confine(orders, mounts, config["belowScratch"])
        if config["filter"]:
            install_filter(bytes.fromhex(config["filter"]))
        child = os.fork()
        if child:
            watch_over(child, control)
            os._exit(0)
    except BaseException as error:
        os.write(control, b"E" + f"{type(error).__name__}: {error}".encode()[:1000])
        os._exit(1)
    try:
        become_runner(runner, orders, streams)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)
    os._exit(0)


def load(script):
    spec = importlib.util.spec_from_file_location("runner", script)
    module = importlib.util.module_from_spec(spec)
    sys.modules["runner"] = module
    spec.loader.exec_module(module)
    return module


def reseed():
    """numpy's own generator is the one that a fork does not seed again."""
    numpy = sys.modules.get("numpy")
    if numpy:
        numpy.random.seed()


def serve(runner, config):
    """Forks whenever it is told to, until nobody is left to tell it."""
    here = os.pidfd_open(os.getpid())
    channel = socket.socket(fileno=CHANNEL)
    channel.send(b"ready")
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
        if not message:
            return
        (control,) = descriptors
        try:
            call("unshare", NEWPID)
            child = os.fork()
        except OSError as error:
            os.write(control, b"E" + str(error).encode())
            child = None
        if child == 0:
            channel.detach()
            run_child(control, runner, config)
        os.close(control)
        call("setns", here, NEWPID)


def warm_up(runner):
    """Once before all forks, and in each child again: there it pays for its own copies of the memory that a run writes to."""
    if hasattr(runner, "warm_up"):
        runner.warm_up()


def main():
    config = json.loads(sys.argv[1])
    runner = load(config["script"])
    warm_up(runner)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
    gc.collect()
    gc.freeze()
    serve(runner, config)


if __name__ == "__main__":
    main()
