"""Commands for gdb that show the objects of Tally's kernel: `tally help` lists them.

`./run-qemu.sh gdb` loads this file. By hand: `source tools/gdb/tally.py`. It needs the kernel's debug build, whose
debug information has the types; docs/debugging.md tells how to use the commands.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
# The modules are small: better no files beside the sources than a faster start.
sys.dont_write_bytecode = True

import gdb  # noqa: E402

from tally_debugger import commands, printers  # noqa: E402

gdb.execute("set pagination off")
printers.register()
commands.register()
