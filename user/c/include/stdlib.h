/* The end of a program, numbers in text. Memory comes from mach_vm_allocate. */
#ifndef STDLIB_H
#define STDLIB_H

#include <stddef.h>

#define EXIT_SUCCESS 0
#define EXIT_FAILURE 1

/* Ends the task. Only the low 8 bits of the status count. */
__attribute__((noreturn)) void exit(int status);
__attribute__((noreturn)) void abort(void);
/* Reads a decimal number. */
int atoi(const char *text);

#endif
