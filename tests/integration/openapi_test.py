#!/usr/bin/env python3
"""docs/openapi.yaml by itself: it parses, every reference resolves, every schema is one, every example fits. Prints TAP."""
import re
import sys

import jsonschema

from openapi_check import METHODS, ROOT, Document
from tap import Tap

tap = Tap()
check = tap.check


def walk(node, place=""):
    """Every mapping of the document with its place."""
    if isinstance(node, dict):
        yield place, node
        for name, value in node.items():
            yield from walk(value, f"{place}/{name}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from walk(value, f"{place}/{index}")


def operations(document):
    for path, item in document.root["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item, item[method]


def references(document):
    broken, used = [], set()
    for place, node in walk(document.root):
        if isinstance(node.get("$ref"), str):
            used.add(node["$ref"])
            try:
                document.resolve({"$ref": node["$ref"]})
            except (KeyError, AssertionError) as error:
                broken.append((place, node["$ref"], repr(error)))
    check(not broken, "every $ref resolves", broken)
    there = {f"#/components/{kind}/{name}" for kind, items in document.root["components"].items()
             for name in items if kind != "securitySchemes"}
    check(there <= used, "every component is used", sorted(there - used))


def schemas(document):
    wrong = []
    for name, schema in document.root["components"]["schemas"].items():
        try:
            jsonschema.Draft202012Validator.check_schema(schema)
        except jsonschema.SchemaError as error:
            wrong.append((name, error.message))
        for place, node in walk(schema, name):
            closed = "additionalProperties" in node or "unevaluatedProperties" in node
            composed = name.endswith(("Fields", "Result", "WithPosition")) or name.startswith("Problem")
            bare = name in ("Metadata", "CommitRecord") or place.endswith("/metadata")
            if node.get("type") == "object" and not closed and not composed and not bare:
                wrong.append((place, "an object that is neither closed nor a part of one"))
    check(not wrong, "every schema is JSON Schema 2020-12, objects are closed", wrong)
    inline = []
    for path, method, item, operation in operations(document):
        for place, node in walk(operation, f"{method} {path}"):
            if place.endswith("/schema"):
                try:
                    jsonschema.Draft202012Validator.check_schema(node)
                except jsonschema.SchemaError as error:
                    inline.append((place, error.message))
    check(not inline, "inline schemas, too", inline)


def examples(document):
    wrong, seen = [], 0
    for place, node in walk(document.root):
        if "schema" in node and "examples" in node:
            for name, example in node["examples"].items():
                seen += 1
                complaint = document.complaint(node["schema"], example["value"])
                if complaint:
                    wrong.append((place, name, complaint))
        elif isinstance(node.get("examples"), list):
            for example in node["examples"]:
                seen += 1
                complaint = document.complaint(node, example)
                if complaint:
                    wrong.append((place, complaint))
    check(not wrong, "examples fit their schemas", wrong)
    check(seen >= 25, "there are examples", seen)


def shape(document):
    root = document.root
    check(root["openapi"] == "3.1.0", "it is OpenAPI 3.1")
    wrong, ids = [], []
    for path, method, item, operation in operations(document):
        where = f"{method} {path}"
        ids.append(operation.get("operationId"))
        given = [document.resolve(parameter)
                 for parameter in item.get("parameters", []) + operation.get("parameters", [])]
        in_path = {parameter["name"] for parameter in given if parameter["in"] == "path"}
        if in_path != set(re.findall(r"\{([^}]*)\}", path)):
            wrong.append((where, "variables of the path"))
        if len({(parameter["name"], parameter["in"]) for parameter in given}) != len(given):
            wrong.append((where, "a parameter twice"))
        if "summary" not in operation or not operation["tags"]:
            wrong.append((where, "summary or tags"))
        if set(operation["tags"]) - {tag["name"] for tag in root["tags"]}:
            wrong.append((where, "a tag that is not declared"))
        for status, response in operation["responses"].items():
            response = document.resolve(response)
            if not response.get("description"):
                wrong.append((where, status, "no description"))
            media = list(response.get("content", {}))
            if status.isdigit() and int(status) >= 400 and media != ["application/problem+json"]:
                wrong.append((where, status, media))
        if "default" not in operation["responses"] or "405" not in operation["responses"]:
            wrong.append((where, "405 and default"))
        if method in ("post", "put", "patch") and "415" not in operation["responses"]:
            wrong.append((where, "415"))
    check(not wrong, "operations are whole: variables, tags, descriptions, problem documents", wrong)
    check(len(set(ids)) == len(ids) and None not in ids, "operation ids are unique", ids)


def errors(document):
    """Every code of base/errors.h that a client can see stands under its status, and no other."""
    with open(f"{ROOT}/tests/golden/errors.tsv", encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file if line.strip() and line[0] != "#"]
    wrong = []
    by_status = {}
    for row in rows:
        _, number, status, code = row
        if int(number) >= 100:
            by_status.setdefault(int(status), set()).add(code)
    for status, codes in sorted(by_status.items()):
        schema = document.root["components"]["schemas"].get(f"Problem{status}")
        if schema is None:
            known = set(document.root["components"]["schemas"]["ProblemOfServer"]["allOf"][1]
                        ["properties"]["code"]["enum"])
        else:
            known = set(schema["allOf"][1]["properties"]["code"]["enum"])
        if not codes <= known:
            wrong.append((status, sorted(codes - known)))
    check(not wrong, "every error code is documented under its status", wrong)


def main():
    document = Document()
    check(True, "it parses, no key twice")
    shape(document)
    references(document)
    schemas(document)
    examples(document)
    errors(document)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
