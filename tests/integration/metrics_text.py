"""Prometheus' text format 0.0.4, read strictly: what a scraper would refuse, or take for something else, is an AssertionError."""
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)\Z")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|\Z)')


def labels_of(text):
    labels, at = {}, 0
    while at < len(text):
        match = LABEL.match(text, at)
        assert match, f"labels: {text[at:]!r}"
        assert match.group(1) not in labels, f"a label twice: {text!r}"
        labels[match.group(1)] = re.sub(r"\\(.)", lambda m: "\n" if m.group(1) == "n" else m.group(1), match.group(2))
        at = match.end()
    return labels


def check_histogram(name, rows):
    """Per set of other labels: bounds ascend, counts do not fall, +Inf is the count, there is a sum."""
    groups = {}
    for suffix, labels, value in rows:
        bound = labels.pop("le", None)
        group = groups.setdefault(tuple(sorted(labels.items())), {"buckets": [], "sum": None, "count": None})
        if suffix == "_bucket":
            group["buckets"].append((float(bound.replace("+Inf", "inf")), value))
        else:
            assert bound is None and suffix in ("_sum", "_count"), (name, suffix)
            group[suffix[1:]] = value
    assert groups, f"{name} has no sample"
    for labels, group in groups.items():
        bounds = [bound for bound, _ in group["buckets"]]
        counts = [count for _, count in group["buckets"]]
        assert bounds == sorted(set(bounds)) and bounds[-1] == float("inf"), (name, labels, bounds)
        assert counts == sorted(counts) and counts[-1] == group["count"] and group["sum"] is not None, (name, labels, group)


def parse(text):
    """{family: (type, {sorted labels: value})}; of a histogram the samples' suffix is a label named "" ."""
    assert text.endswith("\n") and "\r" not in text
    families, open_family, raw = {}, None, {}
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            name, _, help_text = line[7:].partition(" ")
            assert re.fullmatch(NAME, name) and help_text, line
            assert name not in families, f"family {name} twice"
            families[name] = [None, {}]
            open_family = name
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert name == open_family and families[name][0] is None and not families[name][1], line
            assert kind in ("counter", "gauge", "histogram"), line
            families[name][0] = kind
        else:
            match = SAMPLE.match(line)
            assert match, f"no sample: {line!r}"
            labels, value = labels_of(match.group(2) or ""), float(match.group(3))
            kind = families[open_family][0]
            suffix = match.group(1)[len(open_family):]
            assert match.group(1).startswith(open_family) and kind is not None, f"{line!r} stands below {open_family}"
            assert suffix in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",)), line
            assert kind != "counter" or (open_family.endswith("_total") and value >= 0), line
            place = tuple(sorted({**labels, "": suffix}.items()))
            assert place not in families[open_family][1], f"a sample twice: {line!r}"
            families[open_family][1][place] = value
            raw.setdefault(open_family, []).append((suffix, labels, value))
    for name, (kind, _) in families.items():
        assert kind is not None, f"{name} has no type"
        if kind == "histogram":
            check_histogram(name, raw.get(name, []))
    return families


def value(families, name, suffix="", **labels):
    return families[name][1][tuple(sorted({**labels, "": suffix}.items()))]
