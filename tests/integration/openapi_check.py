"""The OpenAPI document: loaded once, checked, and asked whether an answer is one that it promises.

Needs python3-yaml and python3-jsonschema. Used by http_client.py (every answer that a test sees) and openapi_test.py.
"""
import json
import os
import re

import jsonschema
import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATH = os.path.join(ROOT, "docs", "openapi.yaml")
METHODS = ("get", "put", "post", "patch", "delete")


def pairs_once(pairs):
    """An object of JSON whose names are all different, or ValueError."""
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError(f"a name twice: {names}")
    return dict(pairs)


def load_json(text):
    """Strict: UTF-8, no NaN, no name twice."""
    def refuse(constant):
        raise ValueError(f"{constant} is no JSON")
    return json.loads(text.decode("utf-8") if isinstance(text, bytes) else text,
                      object_pairs_hook=pairs_once, parse_constant=refuse)


class StrictLoader(yaml.SafeLoader):
    """YAML that refuses a key twice, and keeps times as texts."""


def construct_mapping(loader, node, deep=False):
    keys = [loader.construct_object(key, deep=True) for key, _ in node.value]
    if len(set(map(str, keys))) != len(keys):
        raise yaml.YAMLError(f"a key twice near {node.start_mark}: {keys}")
    return yaml.SafeLoader.construct_mapping(loader, node, deep)


StrictLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG,
                             lambda loader, node: construct_mapping(loader, node, True))


class Document:
    """The document, with validators kept by the place of their schema."""

    def __init__(self, path=PATH):
        with open(path, encoding="utf-8") as file:
            self.text = file.read()
        self.root = yaml.load(self.text, StrictLoader)
        self.validators = {}
        self.routes = []  # (regular expression of the path, template, its item), plain texts before variables
        for template, item in self.root["paths"].items():
            pattern = re.sub(r"\\\{[^/]*\\\}", "[^/]+", re.escape(template))
            self.routes.append((re.compile(pattern + r"\Z"), template, item))
        self.routes.sort(key=lambda route: route[1].count("{"))

    def resolve(self, node):
        """Follows $ref, which is local everywhere."""
        while isinstance(node, dict) and "$ref" in node:
            target = self.root
            assert node["$ref"].startswith("#/"), node
            for step in node["$ref"][2:].split("/"):
                target = target[step.replace("~1", "/").replace("~0", "~")]
            node = target
        return node

    def complaint(self, schema, value):
        """Why value is not valid by the schema, or None."""
        key = json.dumps(schema, sort_keys=True)
        if key not in self.validators:
            # The whole document stands beside the schema, so that its references resolve.
            self.validators[key] = jsonschema.Draft202012Validator(
                {"allOf": [schema], "components": self.root["components"]})
        error = jsonschema.exceptions.best_match(self.validators[key].iter_errors(value))
        if error is None:
            return None
        return f"at /{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}"

    def find(self, path):
        """(template, item) of a path as it was sent, without its query."""
        for pattern, template, item in self.routes:
            if pattern.match(path):
                return template, item
        return None, None

    def judge(self, method, target, status, headers, body):
        """What is wrong with an answer, as a list of sentences; headers: names in lower case -> value."""
        wrong = []
        template, item = self.find(target.split("?")[0])
        where = f"{method} {template or target} {status}"
        if 100 <= status < 200:
            return wrong
        content_type = headers.get("content-type", "")
        media = content_type.split(";")[0].strip()
        if method == "OPTIONS":
            return wrong if status in (204, 403, 404) else [f"{where}: OPTIONS answers 204"]
        if item is None or method.lower() not in METHODS + ("head",):
            response = None  # no route, or no method: a problem document all the same
        else:
            operation = item.get("get" if method == "HEAD" else method.lower())
            responses = (operation or {}).get("responses", {})
            response = self.resolve(responses.get(str(status), responses.get("default")))
            if operation is None and status not in (400, 401, 403, 405):
                wrong.append(f"{where}: the document has no such operation")
        if method == "HEAD" or status in (204, 304):
            if body:
                wrong.append(f"{where}: a body where none may be")
            return wrong
        if response is None:
            response = self.root["components"]["responses"]["Refused"]
            schema = {"$ref": "#/components/schemas/Problem"}
        else:
            content = response.get("content", {})
            if media not in content:
                return wrong + [f"{where}: Content-Type {content_type!r} is none of {list(content)}"]
            schema = content[media].get("schema", {})
        for name, header in response.get("headers", {}).items():
            value = headers.get(name.lower())
            if value is not None:
                wrong += self.judge_header(where, name, self.resolve(header), value)
        if media == "application/json" or media == "application/problem+json":
            try:
                value = load_json(body)
            except ValueError as error:
                return wrong + [f"{where}: the body is no strict JSON: {error}: {body[:200]!r}"]
            complaint = self.complaint(schema, value)
            if complaint is not None:
                wrong.append(f"{where}: {complaint}: {body[:600]!r}")
            if media == "application/problem+json":
                wrong += self.judge_problem(where, status, value)
            elif status >= 400:
                wrong.append(f"{where}: an error that is no problem document")
        elif status >= 400:
            wrong.append(f"{where}: Content-Type {content_type!r} of an error")
        return wrong

    def judge_header(self, where, name, header, value):
        schema = header["schema"]
        kind = self.resolve(schema).get("type")
        if kind == "integer":
            if not re.fullmatch(r"0|[1-9][0-9]*", value):
                return [f"{where}: {name}: {value!r} is no integer"]
            value = int(value)
        complaint = self.complaint(schema, value)
        return [f"{where}: {name}: {complaint}"] if complaint else []

    @staticmethod
    def judge_problem(where, status, problem):
        """RFC 9457: status is the real one, type follows from the code; extensions have decent names."""
        wrong = []
        if problem.get("status") != status:
            wrong.append(f"{where}: the problem says status {problem.get('status')}")
        if problem.get("type") != f"urn:holdfast:problem:{problem.get('code')}":
            wrong.append(f"{where}: type {problem.get('type')} of code {problem.get('code')}")
        for name in problem:
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{2,}", name):
                wrong.append(f"{where}: extension {name!r}")
        return wrong
