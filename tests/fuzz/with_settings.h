/* with_settings - takes an input for the configuration file of a program, whose settings.h stands
 * before this header. What both programs promise is checked here; what their values may be, there.
 */
#ifndef STS_TESTS_FUZZ_WITH_SETTINGS_H
#define STS_TESTS_FUZZ_WITH_SETTINGS_H

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/log.h"
#include "common/scan.h"
#include "tests/fuzz/fuzz.h"

typedef void fuzz_settings_fn(const struct settings *);

/* "FILE:LINE: reason", in bytes that fit a log line. */
static void
fuzz_settings_check_refusal(const char *error, const char *path)
{
    struct scan rest = scan_bytes(error, strlen(error));
    uint64_t line;

    REQUIRE(scan_word(&rest, path) && scan_char(&rest, ':'));
    REQUIRE(scan_number(&rest, 9, &line) && line > 0);
    REQUIRE(scan_word(&rest, ": ") && !scan_is_done(&rest));
}

/* Reads the bytes as a file and prints what is in force, as --print-config does; NULL: refused. */
static char *
fuzz_settings_read(const void *bytes, size_t len, fuzz_settings_fn *check)
{
    char path[40], error[400] = "", *text = NULL;
    size_t size;
    int fd = memfd_create("conf", MFD_CLOEXEC);
    struct settings *settings;

    REQUIRE(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    settings = settings_read(path, error, sizeof error);
    if (settings != NULL) {
        FILE *out = open_memstream(&text, &size);
        REQUIRE(out != NULL);
        check(settings);
        settings_print(settings, out);
        fclose(out);
        settings_free(settings);
    } else {
        fuzz_settings_check_refusal(error, path);
    }
    close(fd);
    return text;
}

/* What is printed is read again, and means the same. */
static void
fuzz_settings(const uint8_t *data, size_t size, fuzz_settings_fn *check)
{
    char *first, *second;

    log_open("fuzz", true, LOG_LEVEL_ERROR);
    first = fuzz_settings_read(data, size, check);
    if (first == NULL)
        return;
    second = fuzz_settings_read(first, strlen(first), check);
    REQUIRE(second != NULL && strcmp(first, second) == 0);
    free(first);
    free(second);
}

#endif
