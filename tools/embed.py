#!/usr/bin/env python3
"""Writes a file's bytes as a C array.

    tools/embed.py INPUT OUTPUT NAME HEADER

OUTPUT defines `const unsigned char NAME[]` and `const size_t NAME_bytes`, which HEADER declares.
"""
import sys


def main(arguments):
    source, output, name, header = arguments
    with open(source, "rb") as file:
        data = file.read()
    with open(output, "w", encoding="ascii") as file:
        file.write(f'#include "{header}"\n\nconst unsigned char {name}[] = {{')
        for at in range(0, len(data), 20):
            file.write("\n    " + " ".join(f"{byte}," for byte in data[at:at + 20]))
        file.write(f"\n}};\nconst size_t {name}_bytes = sizeof({name});\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
