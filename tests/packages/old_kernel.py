"""old_kernel.py COMMAND...: runs it with the system calls of Linux 3.10, the kernel of CentOS 7, and no others.

All that came later have higher numbers; they fail as on a kernel that does not know them. Whatever the command
starts is bound by it too.
"""

import ctypes
import os
import struct
import sys

LAST = 313  # finit_module, of Linux 3.8; the next came with 3.14
X86_64 = 0xC000003E
ENOSYS = 38
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
ALLOW, FAIL, KILL = 0x7FFF0000, 0x00050000 | ENOSYS, 0
LOAD, EQUAL, GREATER, RETURN = 0x20, 0x15, 0x25, 0x06


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def step(code, operand, yes=0, no=0):
    return struct.pack("HBBI", code, yes, no, operand)


instructions = [
    step(LOAD, 4),  # which architecture
    step(EQUAL, X86_64, yes=1),
    step(RETURN, KILL),
    step(LOAD, 0),  # which call
    step(GREATER, LAST, no=1),
    step(RETURN, FAIL),
    step(RETURN, ALLOW),
]
program = Program(len(instructions), b"".join(instructions))
libc = ctypes.CDLL(None, use_errno=True)
for arguments in (
    (PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
    (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
):
    if libc.prctl(*arguments) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
os.execvp(sys.argv[1], sys.argv[1:])
