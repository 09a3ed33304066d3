/* The smallest program in C: prints a line and its arguments, and ends with status 7. */

#include <stdio.h>

int main(int argc, char **argv) {
    printf("Hello from ring 3\n");
    for (int i = 1; i < argc; i++)
        printf("argument %d: %s\n", i, argv[i]);
    return 7;
}
