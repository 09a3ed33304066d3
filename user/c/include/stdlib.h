/* Memory, the end of a program, numbers in text. */
#ifndef STDLIB_H
#define STDLIB_H

#include <stddef.h>

#define EXIT_SUCCESS 0
#define EXIT_FAILURE 1

/* Memory at multiples of 16. A block that was given up is used again for blocks of about its size. */
void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *memory, size_t size);
void free(void *memory);

/* Ends the task. Only the low 8 bits of the status count. */
__attribute__((noreturn)) void exit(int status);
__attribute__((noreturn)) void abort(void);
/* Reads a decimal number. */
int atoi(const char *text);

#endif
