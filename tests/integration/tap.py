"""TAP, as every test of this folder prints it: a line a check, what explains a failure behind it, the plan at the end."""
import threading


class Tap:
    def __init__(self):
        self.count = 0
        self.failed = 0
        self.lock = threading.Lock()

    def check(self, good, name, note=""):
        """A failure is followed by its note, in comment lines."""
        with self.lock:
            self.count += 1
            self.failed += not good
            print(f"{'ok' if good else 'not ok'} {self.count} - {name}", flush=True)
            if not good:
                print("# " + str(note).replace("\n", "\n# "), flush=True)
        return good

    def result(self, good, name, note=""):
        """A result that may have figures: a short note of a success stands in its line."""
        short = good and isinstance(note, str) and 0 < len(note) < 400
        return self.check(good, f"{name}: {note}".replace("\n", " | ") if short else name, note)

    def skip(self, name, why):
        self.check(True, f"{name} # skip {why}")

    def end(self):
        """The plan; returns the exit status."""
        print(f"1..{self.count}")
        return 1 if self.failed else 0
