/* replay - runs a fuzz target once over every file of its corpus, so that each input that ever
 * mattered is tried again in `make check`, with any compiler.
 * Arguments: directories. Without any: corpus/X in the source tree for a program named fuzz_X. */
#include <dirent.h>
#include <stdbool.h>
#include <string.h>

#include "common/alloc.h"
#include "tests/fuzz/fuzz.h"

enum { INPUT_MAX = 1 << 20, PATH_SIZE = 4096 };

/* Runs one file; the copy has its exact size, so that a sanitizer sees a read past the end. */
static bool
replay_file(const char *path)
{
    char *room, *input;
    size_t len;
    FILE *file = fopen(path, "rb");

    if (file == NULL) {
        perror(path);
        return false;
    }
    room = alloc_bytes(INPUT_MAX);
    len = fread(room, 1, INPUT_MAX, file);
    fclose(file);
    input = alloc_bytes(len);
    memcpy(input, room, len);
    free(room);
    LLVMFuzzerTestOneInput((const uint8_t *)input, len);
    free(input);
    return true;
}

/* Returns how many files were run; 0 when the directory or one of its files cannot be read. */
static unsigned
replay_directory(const char *path)
{
    char file[PATH_SIZE];
    struct dirent *entry;
    unsigned count = 0;
    bool sound = true;
    DIR *dir = opendir(path);

    if (dir == NULL) {
        perror(path);
        return 0;
    }
    while (sound && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
        sound = replay_file(file);
        count++;
    }
    closedir(dir);
    return sound ? count : 0;
}

/* `make check` sets srcdir. */
static unsigned
replay_own_corpus(const char *program)
{
    char path[PATH_SIZE];
    const char *name = strstr(program, "fuzz_"), *srcdir = getenv("srcdir");

    for (const char *next = name; next; next = strstr(next + 1, "fuzz_"))
        name = next;
    if (name == NULL)
        return 0;
    snprintf(path, sizeof path, "%s/tests/fuzz/corpus/%s", srcdir ? srcdir : ".",
             name + strlen("fuzz_"));
    return replay_directory(path);
}

int
main(int argc, char **argv)
{
    unsigned count = argc > 1 ? 0 : replay_own_corpus(argv[0]);

    for (int i = 1; i < argc; i++) {
        unsigned found = replay_directory(argv[i]);

        if (found == 0)
            return EXIT_FAILURE;
        count += found;
    }
    printf("%u files replayed\n", count);
    return count ? EXIT_SUCCESS : EXIT_FAILURE;
}
