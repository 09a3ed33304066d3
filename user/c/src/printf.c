/* Formatted output. */

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <tally.h>

/* Where output goes: into `to`, of which the part beyond `room` is lost, or if `console` is set to the console. */
struct output {
    char *to;
    size_t room;
    size_t used; /* bytes in `to` */
    size_t total;
    int console;
};

/* Writes bytes to the console. A write takes 1024 at most. */
static void write_all(const char *bytes, size_t size) {
    while (size > 0) {
        long written = write(1, bytes, size);
        if (written <= 0)
            return;
        bytes += written;
        size -= (size_t)written;
    }
}

static void put(struct output *out, char c) {
    if (out->console && out->used == out->room) {
        write_all(out->to, out->used);
        out->used = 0;
    }
    if (out->used < out->room)
        out->to[out->used++] = c;
    out->total++;
}

static void put_times(struct output *out, char c, long count) {
    for (; count > 0; count--)
        put(out, c);
}

/* A conversion, as the format string describes it. */
struct conversion {
    int left, zero, plus, space, alternative;
    long width;     /* 0: none */
    long precision; /* -1: none */
    int size;       /* bytes of the argument */
};

static void put_text(struct output *out, const struct conversion *how, const char *text, size_t length) {
    long blanks = how->width - (long)length;
    if (!how->left)
        put_times(out, ' ', blanks);
    for (size_t i = 0; i < length; i++)
        put(out, text[i]);
    if (how->left)
        put_times(out, ' ', blanks);
}

/* `prefix` is the sign or the mark of the base. */
static void put_number(struct output *out, const struct conversion *how, uint64_t value, unsigned base, int upper,
                       const char *prefix) {
    char digits[22];
    long count = 0, before = (long)strlen(prefix);
    for (uint64_t rest = value; rest != 0; rest /= base)
        digits[count++] = (upper ? "0123456789ABCDEF" : "0123456789abcdef")[rest % base];
    long zeros = (how->precision < 0 ? 1 : how->precision) - count;
    if (zeros < 0)
        zeros = 0;
    if (how->zero && !how->left && how->precision < 0 && how->width > before + zeros + count)
        zeros = how->width - before - count;
    long blanks = how->width - before - zeros - count;
    if (!how->left)
        put_times(out, ' ', blanks);
    for (; *prefix != 0; prefix++)
        put(out, *prefix);
    put_times(out, '0', zeros);
    while (count > 0)
        put(out, digits[--count]);
    if (how->left)
        put_times(out, ' ', blanks);
}

static int is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Reads flags, width, precision and length, and returns the address of the letter behind them. */
static const char *read_conversion(const char *format, va_list *arguments, struct conversion *how) {
    *how = (struct conversion){.precision = -1, .size = sizeof(int)};
    for (;; format++) {
        if (*format == '-')
            how->left = 1;
        else if (*format == '0')
            how->zero = 1;
        else if (*format == '+')
            how->plus = 1;
        else if (*format == ' ')
            how->space = 1;
        else if (*format == '#')
            how->alternative = 1;
        else
            break;
    }
    if (*format == '*') {
        how->width = va_arg(*arguments, int);
        if (how->width < 0) {
            how->left = 1;
            how->width = -how->width;
        }
        format++;
    }
    for (; is_digit(*format); format++)
        how->width = how->width * 10 + (*format - '0');
    if (*format == '.') {
        how->precision = 0;
        if (*++format == '*') {
            how->precision = va_arg(*arguments, int);
            format++;
        }
        for (; is_digit(*format); format++)
            how->precision = how->precision * 10 + (*format - '0');
    }
    for (;; format++) {
        if (*format == 'h')
            how->size /= 2;
        else if (strchr("lztj", *format) != NULL && *format != 0)
            how->size = sizeof(long);
        else
            return format;
    }
}

static int64_t signed_argument(va_list *arguments, int size) {
    if (size == sizeof(long))
        return va_arg(*arguments, long);
    int value = va_arg(*arguments, int);
    return size == sizeof(int) ? value : size == sizeof(short) ? (short)value : (signed char)value;
}

static uint64_t unsigned_argument(va_list *arguments, int size) {
    if (size == sizeof(long))
        return va_arg(*arguments, unsigned long);
    unsigned value = va_arg(*arguments, unsigned);
    return size == sizeof(int) ? value : size == sizeof(short) ? (unsigned short)value : (unsigned char)value;
}

static void put_signed(struct output *out, const struct conversion *how, int64_t value) {
    const char *sign = value < 0 ? "-" : how->plus ? "+" : how->space ? " " : "";
    put_number(out, how, value < 0 ? -(uint64_t)value : (uint64_t)value, 10, 0, sign);
}

/* Prints one conversion. Returns the address of the rest of the format. */
static const char *convert(struct output *out, const char *start, va_list *arguments) {
    struct conversion how;
    const char *letter = read_conversion(start, arguments, &how);
    switch (*letter) {
    case 'd':
    case 'i':
        put_signed(out, &how, signed_argument(arguments, how.size));
        break;
    case 'u':
        put_number(out, &how, unsigned_argument(arguments, how.size), 10, 0, "");
        break;
    case 'o':
        put_number(out, &how, unsigned_argument(arguments, how.size), 8, 0, how.alternative ? "0" : "");
        break;
    case 'x':
    case 'X': {
        uint64_t value = unsigned_argument(arguments, how.size);
        const char *prefix = !how.alternative || value == 0 ? "" : *letter == 'x' ? "0x" : "0X";
        put_number(out, &how, value, 16, *letter == 'X', prefix);
        break;
    }
    case 'p':
        put_number(out, &how, (uint64_t)va_arg(*arguments, void *), 16, 0, "0x");
        break;
    case 'c': {
        char c = (char)va_arg(*arguments, int);
        put_text(out, &how, &c, 1);
        break;
    }
    case 's': {
        const char *text = va_arg(*arguments, const char *);
        if (text == NULL)
            text = "(null)";
        put_text(out, &how, text, strnlen(text, (size_t)how.precision));
        break;
    }
    case '%':
        put(out, '%');
        break;
    default:
        /* Not a conversion: the percent sign, and then the rest as ordinary text. */
        put(out, '%');
        return start;
    }
    return letter + 1;
}

static void format_all(struct output *out, const char *format, va_list arguments) {
    va_list copy;
    va_copy(copy, arguments);
    while (*format != 0) {
        if (*format == '%')
            format = convert(out, format + 1, &copy);
        else
            put(out, *format++);
    }
    va_end(copy);
}

int vsnprintf(char *to, size_t room, const char *format, va_list arguments) {
    struct output out = {.to = to, .room = room > 0 ? room - 1 : 0};
    format_all(&out, format, arguments);
    if (room > 0)
        to[out.used] = 0;
    return (int)out.total;
}

int snprintf(char *to, size_t room, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int total = vsnprintf(to, room, format, arguments);
    va_end(arguments);
    return total;
}

int vprintf(const char *format, va_list arguments) {
    char buffer[256];
    struct output out = {.to = buffer, .room = sizeof buffer, .console = 1};
    format_all(&out, format, arguments);
    write_all(buffer, out.used);
    return (int)out.total;
}

int printf(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int total = vprintf(format, arguments);
    va_end(arguments);
    return total;
}

int puts(const char *text) {
    return printf("%s\n", text);
}

int putchar(int character) {
    return printf("%c", character) == 1 ? (unsigned char)character : -1;
}
