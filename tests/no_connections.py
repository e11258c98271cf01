"""Run a command that the kernel kills when it connects to an address or opens a UDP socket.

    python -m tests.no_connections COMMAND …

Any thread, any child, any library: the filter holds system calls, not Python.  A killed process
ends by SIGSYS.  A filter sees numbers only, so an internet address is told from the path of a local
socket (which looking up a user's name needs) by its length.  Connections that others open are let
in, so servers run.
"""

from __future__ import annotations

import ctypes
import os
import platform
import socket
import struct
import sys

# Numbers of system calls, and what the kernel calls the architecture, by machine.
_CALLS = {"x86_64": (0xC000003E, 41, 42), "aarch64": (0xC00000B7, 198, 203)}
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2
_LOAD, _EQUAL, _AND, _RETURN = 0x20, 0x15, 0x54, 0x06
_ALLOW, _KILL = 0x7FFF0000, 0x80000000
_CALL, _ARCHITECTURE, _FIRST, _SECOND, _THIRD = 0, 4, 16, 24, 32
_INET_BYTES, _INET6_BYTES = 16, 28


def supported() -> bool:
    """Whether this machine has the filter."""
    return sys.platform == "linux" and platform.machine() in _CALLS


def program() -> bytes:
    """The filter: a list of (code, jump if true, jump if false, operand)."""
    architecture, new, connect = _CALLS[platform.machine()]
    lines = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 0, 13, architecture),
        (_LOAD, 0, 0, _CALL),
        (_EQUAL, 0, 3, connect),
        (_LOAD, 0, 0, _THIRD),
        (_EQUAL, 9, 0, _INET_BYTES),
        (_EQUAL, 8, 7, _INET6_BYTES),
        (_EQUAL, 0, 6, new),
        (_LOAD, 0, 0, _FIRST),
        (_EQUAL, 1, 0, socket.AF_INET),
        (_EQUAL, 0, 3, socket.AF_INET6),
        (_LOAD, 0, 0, _SECOND),
        (_AND, 0, 0, 0xF),
        (_EQUAL, 1, 0, socket.SOCK_DGRAM),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _KILL),
    ]
    return b"".join(struct.pack("<HBBI", *line) for line in lines)


def forbid() -> None:
    """Hold this process and its children to it, for good."""
    code = ctypes.create_string_buffer(program())
    length = (len(code) - 1) // 8

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_void_p))

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(
        _SECCOMP, _FILTER, ctypes.byref(Program(length, ctypes.addressof(code))), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "seccomp is refused here")


if __name__ == "__main__":
    forbid()
    os.execvp(sys.argv[1], sys.argv[1:])
