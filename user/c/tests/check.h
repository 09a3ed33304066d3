/* A comparison that ends the test and says what it saw. */
#ifndef CHECK_H
#define CHECK_H

#include <tally.h>

#define EQUAL(seen, expected) check_equal((uint64_t)(seen), (uint64_t)(expected), #seen, __FILE__, __LINE__)

static inline void check_equal(uint64_t seen, uint64_t expected, const char *what, const char *file, int line) {
    if (seen == expected)
        return;
    printf("%s:%d: %s is %#lx, not %#lx\n", file, line, what, seen, expected);
    exit(1);
}

#endif
