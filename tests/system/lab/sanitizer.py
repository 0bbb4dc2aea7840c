"""sanitizer - reading what the sanitizers report.

libmilter reads behind the macros of a packet that lacks a value, and may crash there; such a report of
ASan, too, is passed over only when it was libmilter's own code that read. It is not clean under TSan either: when it ends, its pool destroys a mutex and closes descriptors
that its other threads still use. A suppression would have to name the library, and so would pass over
every callback that it calls; here a report is passed over only when each access in it is made by
libmilter's own code, called from wherever.

LeakSanitizer lists the threads of a process that ends; one of libmilter's that ends at that moment
makes the kernel refuse the list, and then it has seen nothing: no leak is reported, and none denied.
"""

import pathlib
import re

# Without the second at each end of a program in which TSan waits for races at the end.
TSAN_OPTIONS = f"suppressions={pathlib.Path(__file__).resolve().parents[1] / 'tsan.supp'}:atexit_sleep_ms=50"
MARKS = ("AddressSanitizer", "runtime error", "LeakSanitizer", "ThreadSanitizer")
TSAN_REPORT = re.compile(r"WARNING: ThreadSanitizer:.*?SUMMARY: ThreadSanitizer:[^\n]*\n", re.S)
TSAN_COUNT = re.compile(r"ThreadSanitizer: reported \d+ warnings")
ASAN_BEGINS = "AddressSanitizer:DEADLYSIGNAL\n"  # before its report
ASAN_CRASH = re.compile(r"==\d+==ERROR: AddressSanitizer: SEGV.*?==\d+==ABORTING\n", re.S)
LSAN_SAW_NOTHING = re.compile(
    r"==\d+==Can't read directory entries from /proc/\d+/task\.\n"
    r"==\d+==LeakSanitizer has encountered a fatal error\.\n"
    r"(==\d+==HINT: [^\n]*\n)*"
)
IN_SANITIZER = re.compile(r"^\s+#\d+ .*/libsanitizer/")
FRAME = re.compile(r"^\s+#\d+ .*\(([^()]+)\+0x[0-9a-f]+\)\s*$")
NO_ACCESS = re.compile(r"^\s+(Location|Mutex|Thread) ")


def _callers(report):
    """Of each access, the module that made it: the first frame outside TSan itself."""
    callers, begins = [], False
    for line in report.splitlines():
        if NO_ACCESS.match(line):
            break
        frame = FRAME.match(line)
        if not frame:
            begins = True
        elif begins and not frame.group(1).startswith("libtsan"):
            callers.append(frame.group(1))
            begins = False
    return callers


def _is_libmilters(report):
    callers = _callers(report)
    return bool(callers) and all(caller.startswith("libmilter") for caller in callers)


def _is_crash_of_libmilter(report):
    frames = [line for line in report.splitlines() if re.match(r"\s+#\d+ ", line) and not IN_SANITIZER.match(line)]
    found = FRAME.match(frames[0]) if frames else None
    return bool(found) and found.group(1).rpartition("/")[2].startswith("libmilter")


def reports(text):
    """The marks of sanitizers in a log that are ours to mend; empty when there is none."""
    text = TSAN_REPORT.sub(lambda found: "" if _is_libmilters(found.group()) else found.group(), text)
    text = ASAN_CRASH.sub(lambda found: "" if _is_crash_of_libmilter(found.group()) else found.group(), text)
    text = text.replace(ASAN_BEGINS, "")
    text = TSAN_COUNT.sub("", text)
    text = LSAN_SAW_NOTHING.sub("", text)
    return [mark for mark in MARKS if mark in text]
