#!/usr/bin/env python3
"""Writes a C file that holds every migration: embed.py OUTPUT NNNN_name.sql..."""
import hashlib
import pathlib
import re
import sys


def quoted(line):
    """A line as a C string literal; a trigraph's question marks are kept apart."""
    text = line.replace("\\", "\\\\").replace('"', '\\"').replace("?", "\\?")
    return '    "' + text + '\\n"\n'


def main(output, paths):
    rows = []
    for expected, path in enumerate(sorted(map(pathlib.Path, paths)), 1):
        match = re.fullmatch(r"(\d{4})_([a-z0-9_]+)\.sql", path.name)
        if not match or int(match[1]) != expected:
            sys.exit(f"{path.name}: expected {expected:04d}_name.sql")
        data = path.read_bytes()
        text = data.decode("utf-8")
        lines = "".join(quoted(line) for line in text.splitlines())
        digest = hashlib.sha256(data).hexdigest()
        rows.append(f'    {{{expected}, "{path.name}", "{digest}",\n{lines}    }},\n')
    body = "".join(rows)
    pathlib.Path(output).write_text(
        '#include "store/internal.h"\n\n'
        '#pragma GCC diagnostic ignored "-Woverlength-strings"\n'
        f"const struct store_migration store_migrations[] = {{\n{body}}};\n"
        f"const int store_migrations_count = {len(rows)};\n")


main(sys.argv[1], sys.argv[2:])
