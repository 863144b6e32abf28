"""Runs a module without what only Unix has: ``python without_unix.py MODULE [ARGUMENT ...]``.

Several modules, separated by commas, are only imported.

The interpreter, the standard library and the packages come first, for they are made for each system
and would look for the real Windows. Then modules, functions and constants that Windows lacks go
away, and the folders of devices and processes too. ``sys.platform`` is win32 for the product.
"""

from __future__ import annotations

import asyncio
import builtins
import importlib
import importlib.abc
import importlib.machinery
import inspect
import io
import os
import runpy
import signal
import socket
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

STANDARD = ("concurrent.futures.thread", "http.server", "subprocess", "webbrowser")
SERVING = (
    "a2wsgi", "flask", "httptools", "orjson", "uvicorn", "uvicorn.protocols.http.httptools_impl",
)  # fmt: skip
TRAINING = (
    "joblib", "matplotlib.figure", "sklearn.linear_model", "sklearn.metrics",
    "sklearn.model_selection", "sklearn.pipeline",
)  # fmt: skip
PLUGIN = ("click", "kubernetes.client", "kubernetes.config", "urllib3", "yaml")
PACKAGES = {
    "riskpredictor_server": SERVING,
    "riskpredictor_server.train": TRAINING,
    "riskpredictor_kubectl": PLUGIN,
}
"""By the module to be run."""
MODULES = frozenset((
    "crypt", "curses", "fcntl", "grp", "nis", "ossaudiodev", "posix", "pty", "pwd", "readline",
    "resource", "spwd", "syslog", "termios", "tty", "uvloop",
))  # fmt: skip
OS = (
    "WNOHANG", "chown", "chroot", "ctermid", "fchmod", "fchown", "fork", "forkpty", "getegid",
    "geteuid", "getgid", "getgrouplist", "getgroups", "getloadavg", "getpgid", "getpgrp",
    "getpriority", "getresuid", "getsid", "getuid", "initgroups", "killpg", "lchown", "mkfifo",
    "mknod", "nice", "openpty", "pathconf", "pipe2", "posix_spawn", "pread", "pwrite", "readv",
    "register_at_fork", "sched_getaffinity", "sched_setaffinity", "sched_yield", "sendfile",
    "setegid", "seteuid", "setgid", "setgroups", "setpgid", "setsid", "setuid", "statvfs", "sync",
    "sysconf", "tcgetpgrp", "ttyname", "uname", "wait", "wait3", "wait4", "writev",
)  # fmt: skip
SIGNALS = (
    "SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGSTOP",
    "SIGTSTP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "alarm", "getitimer", "pause", "pthread_kill",
    "pthread_sigmask", "setitimer", "siginterrupt", "sigwait",
)  # fmt: skip
SOCKET = ("SO_REUSEPORT", "TCP_NOTSENT_LOWAT", "fromfd", "recv_fds", "send_fds")
PRODUCT = "riskpredictor_"
FILE_MODULES = ("codecs", "genericpath", "io", "ntpath", "os", "pathlib", "posixpath", "tempfile")
FOLDERS = ("/dev/", "/proc/", "/sys/", "/run/", "/var/")


class Missing(importlib.abc.MetaPathFinder):
    """Finds that there is no such module."""

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


def take_away() -> None:
    """Leave the process without what only Unix has."""
    for name in MODULES:
        sys.modules.pop(name, None)
    sys.meta_path.insert(0, Missing())
    for module, names in ((os, OS), (signal, SIGNALS), (socket, SOCKET)):
        for name in names:
            with suppress(AttributeError):
                delattr(module, name)
    for kind in (asyncio.SelectorEventLoop, asyncio.BaseEventLoop, asyncio.AbstractEventLoop):
        for name in ("add_signal_handler", "remove_signal_handler"):
            setattr(kind, name, _not_implemented)
    for module, name in ((builtins, "open"), (io, "open"), (os, "open"), (os, "stat")):
        setattr(module, name, _without_folders(getattr(module, name)))
    sys.platform = "win32"
    # Windows would read and write in the language's code page.
    warnings.filterwarnings("error", category=EncodingWarning, module=PRODUCT)


def _not_implemented(*_: object, **__: object) -> None:
    raise NotImplementedError


def _without_folders(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(path: Any, *arguments: Any, **more: Any) -> Any:
        if not isinstance(path, int):
            text = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - Path may call this function
            if text.startswith(FOLDERS) and text != os.devnull and _is_called_by_the_product():
                raise FileNotFoundError(2, "No such file or directory", text)
        return function(path, *arguments, **more)

    return call


def _is_called_by_the_product() -> bool:
    """Packages may look there: on Windows they have other ways."""
    frame = inspect.currentframe()
    while frame and frame.f_globals["__name__"].split(".")[0] in (__name__, *FILE_MODULES):
        frame = frame.f_back
    return frame is not None and frame.f_globals["__name__"].startswith(PRODUCT)


def main() -> None:
    """Run the module that the command line names."""
    _, module, *sys.argv[1:] = sys.argv
    warnings.simplefilter("ignore", EncodingWarning)
    modules = module.split(",")
    for name in (
        *STANDARD,
        *(PACKAGES[module] if module in PACKAGES else sum(PACKAGES.values(), ())),
    ):
        importlib.import_module(name)
    take_away()
    if len(modules) > 1:
        for name in modules:
            importlib.import_module(name)
        return
    sys.argv[0] = module
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
