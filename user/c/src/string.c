/* Memory and strings. The compiler may call the first four by itself. */

#include <stdlib.h>
#include <string.h>

void *memcpy(void *restrict to, const void *restrict from, size_t size) {
    void *at = to;
    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size) : : "memory");
    return to;
}

void *memmove(void *to, const void *from, size_t size) {
    char *last_to = (char *)to + size;
    const char *last_from = (const char *)from + size;
    /* Forwards, unless that would overwrite what is still to be read. */
    if ((size_t)((char *)to - (const char *)from) >= size)
        return memcpy(to, from, size);
    while (size-- > 0)
        *(volatile char *)--last_to = *--last_from;
    return to;
}

void *memset(void *to, int byte, size_t size) {
    void *at = to;
    __asm__ volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(byte) : "memory");
    return to;
}

int memcmp(const void *a, const void *b, size_t size) {
    const unsigned char *left = a, *right = b;
    for (size_t i = 0; i < size; i++)
        if (left[i] != right[i])
            return left[i] - right[i];
    return 0;
}

size_t strlen(const char *text) {
    return strnlen(text, (size_t)-1);
}

size_t strnlen(const char *text, size_t max) {
    size_t length = 0;
    while (length < max && ((const volatile char *)text)[length] != 0)
        length++;
    return length;
}

int strcmp(const char *a, const char *b) {
    return strncmp(a, b, (size_t)-1);
}

int strncmp(const char *a, const char *b, size_t max) {
    for (size_t i = 0; i < max; i++)
        if (a[i] != b[i] || a[i] == 0)
            return (unsigned char)a[i] - (unsigned char)b[i];
    return 0;
}

char *strchr(const char *text, int character) {
    for (;; text++) {
        if (*text == (char)character)
            return (char *)text;
        if (*text == 0)
            return NULL;
    }
}

char *strrchr(const char *text, int character) {
    char *found = NULL;
    for (; (text = strchr(text, character)) != NULL; text++) {
        found = (char *)text;
        if (*text == 0)
            break;
    }
    return found;
}

size_t strlcpy(char *restrict to, const char *restrict from, size_t room) {
    size_t length = strlen(from);
    if (room > 0) {
        size_t fits = length < room ? length : room - 1;
        memcpy(to, from, fits);
        to[fits] = 0;
    }
    return length;
}

int atoi(const char *text) {
    while (*text == ' ' || (*text >= '\t' && *text <= '\r'))
        text++;
    int sign = *text == '-' ? -1 : 1;
    if (*text == '-' || *text == '+')
        text++;
    int value = 0;
    for (; *text >= '0' && *text <= '9'; text++)
        value = value * 10 + (*text - '0');
    return sign * value;
}
