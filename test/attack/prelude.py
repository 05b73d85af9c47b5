import json, os, socket, sys, time

WON = "@WON@"[::-1]
said = []


def tell(value):
    said.append(str(value)[:3000] if not isinstance(value, bytes) else value.decode("latin1")[:3000])


def won(what):
    said.append(f"{WON} {what}"[:400])


def go(action, what=""):
    """An attempt that has won if it does not fail."""
    try:
        value = action()
    except BaseException as error:
        return tell(f"{type(error).__name__}Error {getattr(error, 'errno', '')}")
    won(f"{what}{value}")


def look(action):
    """An attempt that is judged by what it saw."""
    try:
        tell(action())
    except BaseException as error:
        tell(f"{type(error).__name__}Error {getattr(error, 'errno', '')}")


NUMBERS = {
    "x86_64": "ptrace 101 mount 165 umount2 166 pivot_root 155 bpf 321 perf_event_open 298 keyctl 250 add_key 248 userfaultfd 323 unshare 272 kexec_load 246 init_module 175 finit_module 313 io_uring_setup 425 open_tree 428 fsopen 430",
    "aarch64": "ptrace 117 mount 40 umount2 39 pivot_root 41 bpf 280 perf_event_open 241 keyctl 219 add_key 217 userfaultfd 282 unshare 97 kexec_load 104 init_module 105 finit_module 273 io_uring_setup 425 open_tree 428 fsopen 430",
}


def call(name, *arguments):
    """A raw system call: its result and the error it left."""
    try:
        import ctypes

        words = NUMBERS[os.uname().machine].split()
        libc = ctypes.CDLL(None, use_errno=True)
        given = [a if isinstance(a, bytes) else ctypes.c_long(a) for a in arguments] + [ctypes.c_long(0)] * (6 - len(arguments))
        result = libc.syscall(ctypes.c_long(int(words[words.index(name) + 1])), *given)
        return result, ctypes.get_errno() if result == -1 else 0
    except Exception as error:
        return -1, f"{type(error).__name__}"


def reach(name):
    """Wins when the kernel looked at the arguments, rather than at who asks."""
    result, error = call(name)
    won(name) if result >= 0 or error in (2, 7, 8, 9, 14, 22) else tell((name, error))


def prctl(*arguments):
    try:
        import ctypes

        return ctypes.CDLL(None).prctl(*[ctypes.c_long(a) for a in arguments], *[ctypes.c_long(0)] * (5 - len(arguments)))
    except Exception:
        return None


def capabilities():
    """The effective set, asked of the kernel itself."""
    try:
        import ctypes

        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        data = (ctypes.c_uint32 * 6)()
        return None if ctypes.CDLL(None).capget(header, data) else data[0] | data[3] << 32
    except Exception:
        return None


def connect(host, port, keep=False):
    kind = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    s = socket.socket(kind[0], socket.SOCK_STREAM)
    s.settimeout(1)
    s.connect(kind[4])
    return s if keep else s.recv(200)


def datagram(host, port, data):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.settimeout(0.3)
    s.sendto(data, (host, port))
    return s.recv(200)


def subprocess_status(command):
    try:
        import subprocess

        return subprocess.run(command, capture_output=True, timeout=3).returncode
    except Exception as error:
        return type(error).__name__


