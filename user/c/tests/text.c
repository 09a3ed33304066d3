/* Formatted output, memory and strings; and the arguments and environment of a program. */

#include "check.h"

static const char *expected;

__attribute__((format(printf, 2, 3))) static void prints(const char *text, const char *format, ...) {
    char buffer[128];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(buffer, sizeof buffer, format, arguments);
    va_end(arguments);
    expected = text;
    if (strcmp(buffer, text) != 0 || length != (int)strlen(text)) {
        printf("\"%s\" prints \"%s\", not \"%s\"\n", format, buffer, text);
        exit(1);
    }
}

static void formats(void) {
    prints("plain 100% -7 4294967295", "plain 100%% %d %u", -7, ~0u);
    prints("-9223372036854775808 ffffffffffffffff", "%ld %lx", (long)1 << 63, ~0ul);
    prints("-1 255 65535", "%hhd %hhu %hu", 255, 255, 65535);
    prints("   42|42   |00042|+42| 42", "%5d|%-5d|%05d|%+d|% d", 42, 42, 42, 42, 42);
    prints("-0042|  007|   -7|0x2a|2A|052", "%05d|%5.3d|%*d|%#x|%X|%#o", -42, 7, 5, -7, 42, 42, 42);
    prints("0||0", "%d|%.0d|%#x", 0, 0, 0);
    const char *volatile none = NULL;
    prints("abc|  abc|abc  |ab|(null)", "%s|%5s|%-5s|%.2s|%s", "abc", "abc", "abc", "abc", none);
    prints("x|  y|0x10000", "%c|%3c|%p", 'x', 'y', (void *)0x10000);
    prints("18446744073709551615 12 13", "%zu %jd %td", (size_t)-1, (long)12, (long)13);
    char small[4];
    EQUAL(snprintf(small, sizeof small, "%d", 12345), 5);
    EQUAL(strcmp(small, "123"), 0);
    EQUAL(snprintf(NULL, 0, "%d", 12345), 5);
}

static void strings(void) {
    char text[16] = "abcdefgh";
    memmove(text + 2, text, 6);
    EQUAL(strcmp(text, "ababcdef"), 0);
    memmove(text, text + 2, 6);
    EQUAL(strncmp(text, "abcdef", 6), 0);
    memset(text, 'z', 3);
    EQUAL(memcmp(text, "zzzdef", 6), 0);
    EQUAL(memcmp("a", "b", 1) < 0 && memcmp("\x80", "a", 1) > 0, 1);
    EQUAL(strcmp("abc", "abz") < 0 && strcmp("abc", "ab") > 0 && strncmp("abc", "abz", 2) == 0, 1);
    EQUAL(strlcpy(text, "longer than room", sizeof text), 16);
    EQUAL(strlen(text), 15);
    EQUAL(strnlen("abc", 2), 2);
    const char *path = "a/b/c";
    EQUAL(strchr(path, '/') - path, 1);
    EQUAL(strrchr(path, '/') - path, 3);
    EQUAL(strchr(path, 0) - path, 5);
    EQUAL(strrchr(path, 0) - path, 5);
    EQUAL(strchr(path, 'x') == NULL && strrchr(path, 'x') == NULL, 1);
    EQUAL(atoi("  -12x"), -12);
}

/* Blocks of all sizes keep their contents, and are used again. */
static void memory(void) {
    enum { BLOCKS = 200 };
    unsigned char *blocks[BLOCKS];
    struct tally_counts before, after;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < BLOCKS; i++) {
            blocks[i] = malloc(i * i);
            EQUAL((uintptr_t)blocks[i] % 16, 0);
            memset(blocks[i], (int)i, i * i);
        }
        for (size_t i = 0; i < BLOCKS; i++) {
            for (size_t at = 0; at < i * i; at++)
                EQUAL(blocks[i][at], i);
            free(blocks[i]);
        }
        CHECK(debug_state(DEBUG_COUNTS, 0, round == 0 ? &before : &after, sizeof after));
    }
    EQUAL(after.free_frames, before.free_frames);
    unsigned char *block = calloc(10, 10);
    for (int i = 0; i < 100; i++) {
        EQUAL(block[i], 0);
        block[i] = (unsigned char)i;
    }
    block = realloc(block, 100000);
    for (int i = 0; i < 100; i++)
        EQUAL(block[i], i);
    free(block);
    free(NULL);
    EQUAL(realloc(NULL, 5) != NULL && calloc(SIZE_MAX, 2) == NULL && malloc(SIZE_MAX) == NULL, 1);
}

/* Pointers in data, which a position-independent program must relocate. */
const char *volatile words[] = {"one", "two", "three"};
int (*volatile function)(const char *) = puts;

int main(int argc, char **argv, char **envp) {
    formats();
    strings();
    memory();
    EQUAL(argc, 3);
    EQUAL(argv[3] == NULL && envp[0] == NULL, 1);
    for (int i = 0; i < 3; i++)
        printf("%s ", words[i]);
    putchar('\n');
    function(argv[2]);
    /* Longer than the buffer of printf, and than what one write takes. */
    printf("%1500s\n", "end");
    return expected == NULL;
}
