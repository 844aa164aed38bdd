#!/usr/bin/env python3
"""Writes a C header that holds files as byte arrays: embed.py OUTPUT FILE...

docs/index.html becomes "static const unsigned char docs_index_html[]".
"""
import pathlib
import re
import sys


def main(output, files):
    parts = ["/* Made from files of a page; included once. */\n"]
    for file in map(pathlib.Path, files):
        data = file.read_bytes()
        name = re.sub(r"\W", "_", f"{file.resolve().parent.name}_{file.name}")
        rows = (data[i:i + 20] for i in range(0, len(data), 20))
        text = "\n".join("".join(f"{byte}," for byte in row) for row in rows)
        parts.append(f"static const unsigned char {name}[] = {{\n{text}\n}};\n")
    pathlib.Path(output).write_text("".join(parts))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
