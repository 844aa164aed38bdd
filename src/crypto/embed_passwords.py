"""Writes the list of common passwords as a sorted C table: embed_passwords.py LIST HEADER MIN.

Lines that begin with '#' are comments; entries shorter than MIN are left out, since their length
alone refuses them."""
import sys

source, target, minimum = sys.argv[1], sys.argv[2], int(sys.argv[3])
with open(source, encoding='ascii') as lines:
    entries = {line.rstrip('\n').lower() for line in lines if line.strip() and line[0] != '#'}
table = sorted(entry.encode('ascii') for entry in entries if len(entry) >= minimum)
width = max(len(entry) for entry in table) + 1

with open(target, 'w', encoding='ascii') as out:
    out.write('static const char common_passwords[%d][%d] = {\n' % (len(table), width))
    for entry in table:
        text = entry.decode('ascii').replace('\\', '\\\\').replace('"', '\\"').replace('?', '\\?')
        out.write('    "%s",\n' % text)
    out.write('};\n')
