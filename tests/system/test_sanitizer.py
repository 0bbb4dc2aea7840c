"""What of the sanitizers' reports counts."""

import pytest

from lab import sanitizer

ACCESS = """\
WARNING: ThreadSanitizer: data race (pid=1)
  Write of size 8 at 0x7ba000000030 by thread T2:
    #0 close ../tsan_interceptors_posix.cpp:1749 (libtsan.so.2+0x4002c)
    #1 {0} <null> ({1}+0x7eee)
    #2 serve milter/worker.c:26 (sts-milter+0x614e)

  Previous write of size 8 at 0x7ba000000030 by thread T1:
    #0 pipe ../tsan_interceptors_posix.cpp:1785 (libtsan.so.2+0x478a1)
    #1 mi_pool_controller_init <null> (libmilter.so.1.0.1+0x954e)
    #2 serve milter/worker.c:26 (sts-milter+0x614e)

  Thread T2 (tid=2, running) created by thread T1 at:
    #0 pthread_create ../tsan_interceptors_posix.cpp:1001 (libtsan.so.2+0x5e686)
    #1 serve milter/worker.c:26 (sts-milter+0x614e)

SUMMARY: ThreadSanitizer: data race
==================
ThreadSanitizer: reported 1 warnings
"""


LSAN_SAW_NOTHING = """\
==1902==Can't read directory entries from /proc/1893/task.
==1893==LeakSanitizer has encountered a fatal error.
==1893==HINT: For debugging, try setting environment variable LSAN_OPTIONS=verbosity=1:log_threads=1
"""


CRASH = """\
AddressSanitizer:DEADLYSIGNAL
=================================================================
==148==ERROR: AddressSanitizer: SEGV on unknown address 0x001000001102 (pc 0x7f8c1a6a831b bp 0x7f8c147f48b0 T7)
==148==The signal is caused by a READ memory access.
    #0 0x7f8c1a6a831b in __interceptor_strcmp ../../../../src/libsanitizer/sanitizer_common_interceptors.inc:461
{0}    #2 0x564a79e4b87b in judge_recipient ../../milter/callbacks.c:137

SUMMARY: AddressSanitizer: SEGV ../../../../src/libsanitizer/sanitizer_common_interceptors.inc:461
==148==ABORTING
"""
IN_LIBMILTER = "    #1 0x7f8c1acd4a8a in smfi_getsymval (/lib/x86_64-linux-gnu/libmilter.so.1.0.1+0xaa8a)\n"


@pytest.mark.parametrize("text, found", [
    (ACCESS.format("mi_closener", "libmilter.so.1.0.1"), []),
    (ACCESS.format("on_rcpt", "sts-milter"), ["ThreadSanitizer"]),
    (2 * ACCESS.format("mi_closener", "libmilter.so.1.0.1") + ACCESS.format("close_it", "sts-milter"), ["ThreadSanitizer"]),
    ("ERROR: AddressSanitizer: heap-use-after-free", ["AddressSanitizer"]),
    ("WARNING: ThreadSanitizer: data race", ["ThreadSanitizer"]),
    (CRASH.format(IN_LIBMILTER), []),
    (CRASH.format(""), ["AddressSanitizer"]),
    (CRASH.format(IN_LIBMILTER) + CRASH.format(""), ["AddressSanitizer"]),
    (LSAN_SAW_NOTHING, []),
    (LSAN_SAW_NOTHING + "==1==ERROR: LeakSanitizer: detected memory leaks\n", ["LeakSanitizer"]),
    ("==1893==LeakSanitizer has encountered a fatal error.\n", ["LeakSanitizer"]),
])
def test_what_is_not_ours_to_mend_is_passed_over(text, found):
    """What tells a report about libmilter, or about no look at all, from one about us."""
    assert sanitizer.reports(text) == found
