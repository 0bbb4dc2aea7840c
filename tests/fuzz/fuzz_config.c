/* Input: a configuration file. */
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/conffile.h"
#include "tests/fuzz/fuzz.h"

struct sample {
    struct conf_list listen, servers;
    char *user, *prefix;
    int64_t mode, deadline_ms, memory, count;
    int answer;
    bool trust;
};

static const char *const answers[] = {"accept", "tempfail", NULL};

#define AT(member) offsetof(struct sample, member)

static const struct conf_option table[] = {
    {.name = "listen", .type = CONF_LIST, .offset = AT(listen), .defaults = "unix:/a unix:/b"},
    {.name = "user", .type = CONF_STRING, .offset = AT(user)},
    {.name = "prefix", .type = CONF_STRING, .offset = AT(prefix), .defaults = "sts:"},
    {.name = "socket-mode", .type = CONF_MODE, .offset = AT(mode), .defaults = "0666"},
    {.name = "on-unknown",
     .type = CONF_CHOICE,
     .offset = AT(answer),
     .defaults = "accept",
     .choices = answers},
    {.section = "dns", .name = "servers", .type = CONF_LIST, .offset = AT(servers)},
    {.section = "dns", .name = "trust-ad", .type = CONF_BOOL, .offset = AT(trust)},
    {.section = "dns",
     .name = "timeout",
     .type = CONF_DURATION,
     .offset = AT(deadline_ms),
     .defaults = "4s",
     .min = 10,
     .max = 1000000},
    {.section = "memory", .name = "size", .type = CONF_SIZE, .offset = AT(memory)},
    {.section = "memory", .name = "count", .type = CONF_NUMBER, .offset = AT(count)},
};
enum { ROWS = sizeof table / sizeof table[0] };

/* Reads `len` bytes as a file and prints what is in force; NULL when they are refused. */
static char *
read_and_print(const void *bytes, size_t len)
{
    struct sample settings = {0};
    char path[40], error[400] = "", *text = NULL;
    size_t size;
    int fd = memfd_create("conf", MFD_CLOEXEC);
    FILE *out;

    REQUIRE(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (conf_read(path, table, ROWS, &settings, error, sizeof error)) {
        out = open_memstream(&text, &size);
        REQUIRE(out != NULL);
        conf_print(table, ROWS, &settings, out);
        fclose(out);
        conf_done(table, ROWS, &settings);
    } else {
        REQUIRE(strncmp(error, path, strlen(path)) == 0);
        REQUIRE(strstr(error, "libconfuse cannot") == NULL); /* the screen lets nothing through */
    }
    close(fd);
    return text;
}

/* What is printed is read again, and means the same. */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *first = read_and_print(data, size), *second;

    if (first == NULL)
        return 0;
    second = read_and_print(first, strlen(first));
    REQUIRE(second != NULL && strcmp(first, second) == 0);
    free(first);
    free(second);
    return 0;
}
