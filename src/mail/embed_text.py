#!/usr/bin/env python3
"""Writes a text as a C string literal, a line at a time: embed_text.py INPUT OUTPUT"""
import pathlib
import sys


def main(source, output):
    lines = pathlib.Path(source).read_text("ascii").splitlines()
    literals = "".join('    "' + line.replace("\\", "\\\\").replace('"', '\\"') + '\\n"\n'
                       for line in lines)
    pathlib.Path(output).write_text(literals)


main(sys.argv[1], sys.argv[2])
