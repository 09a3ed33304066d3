/* Formatted output. Conversions: d i u x X o c s p % with the flags - 0 + space #, width, precision (also *), and the
 * lengths hh h l ll z t j. Anything else is printed as it is. */
#ifndef STDIO_H
#define STDIO_H

#include <stdarg.h>
#include <stddef.h>

#define PRINTF_ARGUMENTS(text, first) __attribute__((format(printf, text, first)))

/* Print to the console. Output of up to 256 bytes is written at once, so that the lines of several tasks do not mix. */
int printf(const char *format, ...) PRINTF_ARGUMENTS(1, 2);
int vprintf(const char *format, va_list arguments);
int puts(const char *text);
int putchar(int character);
/* Print into memory, as much as there is room for, and always end with a zero byte. Return the whole length. */
int snprintf(char *to, size_t room, const char *format, ...) PRINTF_ARGUMENTS(3, 4);
int vsnprintf(char *to, size_t room, const char *format, va_list arguments);

#endif
