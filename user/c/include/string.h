/* Memory and strings. */
#ifndef STRING_H
#define STRING_H

#include <stddef.h>

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memmove(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);
size_t strnlen(const char *text, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t max);
char *strchr(const char *text, int character);
char *strrchr(const char *text, int character);
/* Copies as much as fits, always ends with a zero byte, and returns the length of `from`. */
size_t strlcpy(char *restrict to, const char *restrict from, size_t room);

#endif
