"""The parts of tools/gdb/tally.py.

| module | what it is |
|---|---|
| `values` | reading Rust's values: fields, enums, options, arenas, lists |
| `records` | the facts about each object, as the trap `inspect` tells them (kernel/src/inspect/records) |
| `snapshot` | all records, and the ways between them |
| `words` | how things are called, as in the monitor (user/src/monitor/words.rs) |
| `listings` | tables of facts |
| `why` | the reasons for a priority, in the words of the monitor (user/src/monitor/why.rs) |
| `traps` | numbers, names and arguments of traps, read from kernel/abi/src/trap.rs |
| `stops` | breakpoints at traps and boosts |
| `objects` | objects by their numbers, as gdb's own values |
| `printers` | how gdb's own `print` shows ids, names, rights and states |
| `commands` | the commands |

A fact is read by the name of its field. If a field has another name now, the command says which, and where to look.
"""
