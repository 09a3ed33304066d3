#!/usr/bin/env python3
"""Compares a log of ipcwalk with a recorded one.

    compare.py REFERENCE LOG [--context N] [--seeds]

Both may be compressed (.xz, .gz). Only the walks that are in both count. For each that differs it prints the first line
that does, with N lines before it (3 by default); --seeds names the state of every walk. The exit status is 0 if all
agree, 1 if one differs, 2 if there is nothing to compare. README.md tells the format of the lines.
"""
import argparse
import collections
import gzip
import lzma
import re
import sys


def read(path):
    """The lines of each walk, by its number; walks that ended early have a last line that says so."""
    opener = lzma.open if path.endswith(".xz") else gzip.open if path.endswith(".gz") else open
    walks = collections.OrderedDict()
    with opener(path, "rt", errors="replace") as file:
        for line in file:
            match = re.match(r"(\d+)(?:\.\d+ | ended with )", line)
            if match:
                walks.setdefault(int(match[1]), []).append(line.strip())
    return walks


def first_difference(reference, log):
    """Index of the first line that differs, or None."""
    for index in range(max(len(reference), len(log))):
        if reference[index : index + 1] != log[index : index + 1]:
            return index
    return None


def operation(line):
    """What kind of operation a line is about, with its result: to sort differences."""
    words = line.split(" | ")[0].split(" ")[1:]
    kind = " ".join(words[:2]) if words[:1] == ["B"] else words[0] if words else "?"
    result = words[words.index("=") + 1] if "=" in words[:-1] else ""
    return kind.rstrip("@"), result


def explain(reference, log):
    """In a few words: where the two lines part."""
    if reference is None:
        return "the log goes on where the reference has ended"
    if log is None:
        return "the log ends here"
    ours, theirs = operation(log), operation(reference)
    if ours[0] != theirs[0] or reference.split(" = ")[0] != log.split(" = ")[0]:
        return "other arguments: what a name was before has differed unseen"
    if ours[1] != theirs[1]:
        return f"{theirs[0]}: code {theirs[1]} expected, {ours[1]} came"
    if reference.split(" |")[0] != log.split(" |")[0]:
        return f"{theirs[0]}: same code, other results"
    return f"{theirs[0]}: same results, other state"


def main():
    parser = argparse.ArgumentParser(description="compares logs of ipcwalk")
    parser.add_argument("reference")
    parser.add_argument("log")
    parser.add_argument("--context", type=int, default=3, help="lines before the difference")
    parser.add_argument("--seeds", action="store_true", help="say of every walk whether it agrees")
    arguments = parser.parse_args()
    reference, log = read(arguments.reference), read(arguments.log)
    usable = [seed for seed in reference if " ended with " not in reference[seed][-1]]
    both = [seed for seed in usable if seed in log]
    if not both:
        print("nothing to compare")
        return 2
    differ = 0
    kinds = collections.Counter()
    for seed in both:
        index = first_difference(reference[seed], log[seed])
        if arguments.seeds:
            print(f"{seed} {'agrees' if index is None else 'differs'}")
        if index is None:
            continue
        differ += 1
        wanted, came = (lines[index] if index < len(lines) else None for lines in (reference[seed], log[seed]))
        why = explain(wanted, came)
        kinds[why] += 1
        print(f"walk {seed} differs: {why}")
        for line in reference[seed][max(0, index - arguments.context) : index]:
            print(f"    {line}")
        print(f"  - {wanted}")
        print(f"  + {came}")
    for why, count in kinds.most_common():
        print(f"{count:5} {why}")
    lines = sum(len(reference[seed]) for seed in both)
    print(f"{len(both)} walks of {lines} lines: {len(both) - differ} agree, {differ} differ")
    left_out = len(reference) - len(usable)
    if left_out or len(both) < len(usable):
        print(f"not compared: {left_out} without a reference, {len(usable) - len(both)} that are not in the log")
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
