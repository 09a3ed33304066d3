/* ipcwalk: random walks through Mach IPC, told in a form that does not depend on the kernel they ran on.
 *
 *   ipcwalk FIRST COUNT STEPS          the walks FIRST to FIRST + COUNT - 1, STEPS operations each
 *   ipcwalk pair FIRST COUNT STEPS     two tasks act, in turn
 *   ipcwalk voucher FIRST COUNT STEPS  and have vouchers and importance
 *
 * A walk is a sequence of operations that its number alone decides. After each one the program prints a line: the
 * operation, its result, and what has changed in the state of the names. Names appear as places in two tables ("a3" is
 * place 3 of the walker's own names, "b5" place 5 of the names of a second task that it works on by messages), so two
 * kernels that follow the same rules print the same text. README.md tells the format and what the generator avoids.
 *
 *   gcc -O2 -static -nostdlib -ffreestanding -fno-stack-protector -fno-pie -no-pie -fcf-protection=none \
 *       -mno-red-zone -o ipcwalk.elf ipcwalk.c
 *
 * With -DIPCWALK_HOSTED the program has no start and no traps of its own: see "The machine below". */

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;

/* ---- The machine below ------------------------------------------------------------------------------------------ */

/* Trap `number` (class << 24 | number) with eight arguments. */
long ipcwalk_trap(u32 number, const u64 *arguments);
/* The second task, started with that type: a name of its port in the caller's space. It does nothing by itself. */
u32 ipcwalk_other(u32 app_type);
/* Ends the second task and returns when nothing of it is left. */
void ipcwalk_end_other(u32 task);
/* Only for walks in which both act: makes the second task do a trap. All pointers in the arguments point into `bytes`,
 * of which `size` bytes are copied there before and back after the trap. */
long ipcwalk_other_trap(u32 number, const u64 *arguments, void *bytes, u32 size);
/* And what a task's importance is: assertions, external ones of them, flags, transitions. */
u32 ipcwalk_importance(u32 task, u32 *counts);

#define MACH 0x1000000u
#define UNIX 0x2000000u
#define OWN 0x5000000u

#define TRAP(number, ...) ipcwalk_trap(number, (const u64[8]){__VA_ARGS__})

void *memset(void *to, int value, u64 size) {
    for (u8 *p = to; size > 0; size--)
        *p++ = (u8)value;
    return to;
}

void *memcpy(void *to, const void *from, u64 size) {
    u8 *p = to;
    for (const u8 *q = from; size > 0; size--)
        *p++ = *q++;
    return to;
}

/* ---- Numbers ---------------------------------------------------------------------------------------------------- */

enum {
    SUCCESS = 0,
    INVALID_NAME = 15,
    INVALID_CAPABILITY = 20,
    SEND_TIMED_OUT = 0x10000004,
    SEND_NO_BUFFER = 0x1000000d,
    RCV_TOO_LARGE = 0x10004004,
    RCV_BODY_ERROR = 0x1000400c,
    CODE_OF_RIGHTS = 0x3e00, /* the bits that an error may carry besides: IPC or VM, space or resource */
};

enum {
    RIGHT_SEND,
    RIGHT_RECEIVE,
    RIGHT_SEND_ONCE,
    RIGHT_SET,
    RIGHT_DEAD,
    RIGHTS,

    TYPE_SEND = 0x10000,
    TYPE_RECEIVE = 0x20000,
    TYPE_SEND_ONCE = 0x40000,
    TYPE_SET = 0x80000,
    TYPE_DEAD = 0x100000,
    TYPE_PORTS = TYPE_SEND | TYPE_RECEIVE | TYPE_SEND_ONCE,
};
#define TYPE_REQUEST 0x80000000u
#define DEAD (~0u)

enum {
    MOVE_RECEIVE = 16,
    MOVE_SEND,
    MOVE_SEND_ONCE,
    COPY_SEND,
    MAKE_SEND,
    MAKE_SEND_ONCE,
};
#define COMPLEX 0x80000000u

enum {
    SEND_MSG = 1,
    RCV_MSG = 2,
    RCV_LARGE = 4,
    RCV_LARGE_IDENTITY = 8,
    SEND_TIMEOUT = 0x10,
    SEND_NOTIFY = 0x80,
    RCV_TIMEOUT = 0x100,
};

enum { PORT_DELETED = 65, SEND_POSSIBLE = 66, PORT_DESTROYED = 69, NO_SENDERS = 70, SEND_ONCE = 71, DEAD_NAME = 72 };

/* ---- Output ----------------------------------------------------------------------------------------------------- */

static char output[16384];
static u32 output_used;

static void flush(void) {
    for (u32 done = 0; done < output_used;) {
        u32 size = output_used - done < 1024 ? output_used - done : 1024;
        long n = TRAP(UNIX + 4, 1, (u64)(output + done), size);
        if (n <= 0)
            break;
        done += (u32)n;
    }
    output_used = 0;
}

static void put_char(char c) {
    if (output_used == sizeof output)
        flush();
    output[output_used++] = c;
}

static void put(const char *text) {
    while (*text != 0)
        put_char(*text++);
}

static void put_number(u32 value, u32 base) {
    char digits[12];
    int n = 0;
    do
        digits[n++] = "0123456789abcdef"[value % base];
    while ((value /= base) != 0);
    while (n > 0)
        put_char(digits[--n]);
}

static void decimal(int value) {
    if (value < 0)
        put_char('-');
    put_number(value < 0 ? -(u32)value : (u32)value, 10);
}

/* say("text %d decimal, %u unsigned, %x hexadecimal, %s text") */
static void say(const char *format, ...) {
    __builtin_va_list list;
    __builtin_va_start(list, format);
    for (; *format != 0; format++) {
        if (*format != '%') {
            put_char(*format);
            continue;
        }
        switch (*++format) {
        case 'd': decimal(__builtin_va_arg(list, int)); break;
        case 'u': put_number(__builtin_va_arg(list, u32), 10); break;
        case 'x': put_number(__builtin_va_arg(list, u32), 16); break;
        case 's': put(__builtin_va_arg(list, const char *)); break;
        }
    }
    __builtin_va_end(list);
}

/* ---- Chance ----------------------------------------------------------------------------------------------------- */

static u64 chance;

/* A number below `n`. */
static u32 below(u32 n) {
    chance = chance * 6364136223846793005u + 1442695040888963407u;
    return (u32)(chance >> 33) % n;
}

/* True once in n times. */
static int once_in(u32 n) { return below(n) == 0; }

#define ONE_OF(...) ((const int[]){__VA_ARGS__})[below(sizeof((const int[]){__VA_ARGS__}) / sizeof(int))]

static void seed_chance(u32 seed) {
    chance = seed * 2654435761u + 999u;
    for (int i = 0; i < 10; i++)
        below(2);
}

/* ---- Calls ------------------------------------------------------------------------------------------------------ */

static u32 self, other, reply_port;
static int two_act;

/* A message to a task, thread or host port and its answer. */
struct call {
    u32 code;         /* of the transport, or else the one in the answer */
    u32 words[20];    /* results behind the code */
    u32 word_count;
    u32 name;         /* a right that came */
    u32 disposition;
};

static long message_trap(u32 *message, u32 option, u32 send_size, u32 receive_size, u32 receive_name) {
    return TRAP(MACH + 32, (u64)message, option, send_size, receive_size, receive_name, 0, 0, 0);
}

static struct call call_with(u32 port, u32 id, u32 right, u32 disposition, const u32 *words, u32 count) {
    u32 m[64] = {COPY_SEND | MAKE_SEND_ONCE << 8, 0, port, reply_port, 0, id};
    struct call result = {0};
    u32 n = 6;
    if (disposition != 0) {
        m[0] |= COMPLEX;
        m[n++] = 1;
        m[n++] = right;
        m[n++] = 0;
        m[n++] = disposition << 16;
    }
    m[n++] = 0; /* NDR */
    m[n++] = 1;
    for (u32 i = 0; i < count; i++)
        m[n++] = words[i];
    m[1] = n * 4;
    result.code = (u32)message_trap(m, SEND_MSG | RCV_MSG, n * 4, sizeof m, reply_port);
    if (result.code != 0) {
        /* The right to reply has been destroyed perhaps, and then a notification says so. */
        while (message_trap(m, RCV_MSG | RCV_TIMEOUT, 0, sizeof m, reply_port) == 0)
            ;
        return result;
    }
    if (m[0] & COMPLEX) {
        result.name = m[7];
        result.disposition = m[9] >> 16 & 255;
        return result;
    }
    result.code = m[8];
    for (u32 i = 9; i < m[1] / 4 && result.word_count < 20; i++)
        result.words[result.word_count++] = m[i];
    return result;
}

#define CALL(port, id, ...)                                                                                            \
    call_with(port, id, 0, 0, (const u32[]){__VA_ARGS__}, sizeof((const u32[]){__VA_ARGS__}) / sizeof(u32))
#define CALL_RIGHT(port, id, right, disposition, ...)                                                                  \
    call_with(port, id, right, disposition, (const u32[]){__VA_ARGS__},                                                \
              sizeof((const u32[]){__VA_ARGS__}) / sizeof(u32))

static u32 type_of(u32 task, u32 name, u32 *type) {
    *type = 0;
    if (task == self)
        return (u32)TRAP(MACH + 76, self, name, (u64)type);
    struct call c = CALL(task, 3201, name);
    *type = c.words[0];
    return c.code;
}

static u32 deallocate(u32 name) { return (u32)TRAP(MACH + 18, self, name); }

/* ---- Names ------------------------------------------------------------------------------------------------------ */

enum { PLACES = 20 };

/* What is known of a name after an operation. */
struct view {
    u32 code, type, references[RIGHTS];
    u32 status_code, status[11], context;
};

struct table {
    char letter;
    u32 *task;
    u32 names[PLACES];
    struct view views[PLACES];
    u8 armed[PLACES];      /* a send-possible request was made here */
    u32 members[PLACES];   /* of a set: which places are in it */
    u8 tells_itself[PLACES]; /* its no-senders notification may go to the port itself */
    u8 is_voucher[PLACES];
    u8 lost_set[PLACES];   /* was in a set that died: XNU may count it on as in a set, for it unlinks lazily */
};

/* Whose names an operation is about: the walker's own, but for voucher walks. */
static struct table *here;
static struct table own = {.letter = 'a', .task = &self}, theirs = {.letter = 'b', .task = &other};

static int place_of(struct table *t, u32 name) {
    for (int i = 0; i < PLACES; i++)
        if (t->names[i] != 0 && t->names[i] == name)
            return i;
    return -1;
}

static void put_name(struct table *t, u32 name) {
    int place = place_of(t, name);
    if (name == 0)
        put("0");
    else if (name == DEAD)
        put("D");
    else if (place < 0)
        put("?");
    else
        say("%s%d", t->letter == 'a' ? "a" : "b", place);
}

/* The same for a name that may be new: then it gets a place, and a plus sign. */
static void learn(struct table *t, u32 name) {
    if (name != 0 && name != DEAD && place_of(t, name) < 0)
        for (int i = 0; i < PLACES; i++)
            if (t->names[i] == 0) {
                t->names[i] = name;
                t->armed[i] = 0;
                t->members[i] = 0;
                t->lost_set[i] = 0;
                t->is_voucher[i] = 0;
                t->tells_itself[i] = 0;
                memset(&t->views[i], 0, sizeof t->views[i]);
                put("+");
                break;
            }
    put_name(t, name);
}

static int is_full(struct table *t) {
    int used = 0;
    for (int i = 0; i < PLACES; i++)
        used += t->names[i] != 0;
    return used > PLACES - 6;
}

/* A name that no task has. */
enum { NOWHERE = 0xfff003 };

/* Some name, seldom one that is none. */
static u32 pick(struct table *t) {
    switch (below(40)) {
    case 0: return 0;
    case 1: return DEAD;
    case 2: return NOWHERE;
    }
    for (int k = 0; k < 30; k++) {
        u32 name = t->names[below(PLACES)];
        if (name != 0)
            return name;
    }
    return 0;
}

/* Mostly one of the types in `types`. */
static u32 pick_type(struct table *t, u32 types) {
    if (!once_in(8))
        for (int k = 0; k < 40; k++) {
            int i = (int)below(PLACES);
            if (t->names[i] != 0 && t->views[i].type & types)
                return t->names[i];
        }
    return pick(t);
}

static u32 known_type(struct table *t, u32 name) {
    int place = place_of(t, name);
    return place < 0 ? 0 : t->views[place].type;
}

/* Mostly a disposition that a name of this type can give. */
static u32 pick_disposition(u32 type) {
    for (int k = 0; k < 20 && type != 0; k++) {
        u32 how = 16 + below(6);
        if ((how == MOVE_RECEIVE || how == MAKE_SEND || how == MAKE_SEND_ONCE) && type & TYPE_RECEIVE)
            return how;
        if ((how == MOVE_SEND || how == COPY_SEND) && type & (TYPE_SEND | TYPE_DEAD))
            return how;
        if (how == MOVE_SEND_ONCE && type & (TYPE_SEND_ONCE | TYPE_DEAD))
            return how;
    }
    return 16 + below(6);
}

static int waiting_messages(struct table *t, u32 name) {
    int place = place_of(t, name);
    return place >= 0 && t->views[place].type & TYPE_RECEIVE ? (int)t->views[place].status[4] : 0;
}

static struct view look(struct table *t, u32 name) {
    struct view v = {0};
    u32 task = *t->task;
    v.code = type_of(task, name, &v.type);
    if (v.code != 0)
        return v;
    for (u32 right = 0; right < RIGHTS; right++) {
        struct call c = CALL(task, 3207, name, right);
        v.references[right] = c.code != 0 ? 1000000 + c.code : c.words[0];
    }
    if (v.type & TYPE_RECEIVE && task != self && two_act) {
        struct call c = CALL(task, 3217, name, 7, 17);
        v.status_code = c.code;
        memcpy(v.status, c.words + 1, sizeof v.status);
    }
    if (v.type & TYPE_RECEIVE && task == self) {
        u32 words[17] = {0}, count = 17;
        v.status_code = (u32)TRAP(MACH + 40, self, name, 7, (u64)words, (u64)&count);
        memcpy(v.status, words, sizeof v.status);
        struct call c = CALL(self, 3228, name);
        v.context = c.code != 0 ? 1000000 + c.code : c.words[0];
    }
    return v;
}

static int same(const void *a, const void *b, u64 size) {
    const u8 *p = a, *q = b;
    while (size > 0 && *p == *q)
        p++, q++, size--;
    return size == 0;
}

static void forget_memberships(u32 name) {
    int place = place_of(&own, name);
    for (int set = 0; place >= 0 && set < PLACES; set++)
        own.members[set] &= ~(1u << place);
}

/* Prints what is different from before, and forgets the names that are gone. */
static void put_changes(struct table *t) {
    for (int set = 0; set < PLACES; set++) {
        u32 type;
        if (t->members[set] == 0 || (type_of(*t->task, t->names[set], &type) == 0 && type & TYPE_SET))
            continue;
        for (int i = 0; i < PLACES; i++)
            if (t->members[set] >> i & 1)
                t->lost_set[i] = 1;
        t->members[set] = 0;
    }
    for (int i = 0; i < PLACES; i++) {
        if (t->names[i] == 0)
            continue;
        struct view now = look(t, t->names[i]);
        if (t->lost_set[i])
            now.status[0] = 0;
        else if (t == &own && now.status[0] == 0)
            forget_memberships(now.code == 0 ? t->names[i] : 0);
        if (same(&now, &t->views[i], sizeof now) && now.type != 0)
            continue;
        say(" %s%d", t->letter == 'a' ? "a" : "b", i);
        if (now.code == INVALID_NAME) {
            put(":gone");
        } else if (now.code != 0) {
            say(":code%x", now.code);
        } else {
            say(":%x/%u.%u.%u.%u.%u", now.type, now.references[0], now.references[1], now.references[2],
                now.references[3], now.references[4]);
            if (now.type & TYPE_RECEIVE && (t == &own || two_act)) {
                say("{");
                if (now.status_code != 0)
                    say("code%x ", now.status_code);
                for (int k = 0; k < 11; k++)
                    say(k == 9 ? "%x," : "%u,", now.status[k]);
                say("%x}", now.context);
            }
        }
        t->views[i] = now;
        if (now.code == INVALID_NAME)
            t->names[i] = 0;
        if (!(now.type & TYPE_RECEIVE))
            for (int set = 0; set < PLACES; set++)
                t->members[set] &= ~(1u << i);
        if (!(now.type & TYPE_SET))
            t->members[i] = 0;
    }
}

/* ---- Messages --------------------------------------------------------------------------------------------------- */

enum { MESSAGE_WORDS = 80, DESCRIPTORS = 4 };

/* What came: `descriptors` says whether the buffer has room for them, `trailer` whether there is one. */
static void put_message(u32 *m, int descriptors, int trailer) {
    say(" bits %x size %u remote ", m[0], m[1]);
    learn(here, m[2]);
    put(" local ");
    learn(here, m[3]);
    if (two_act) {
        put(" voucher ");
        learn(here, m[4]);
        if (place_of(here, m[4]) >= 0)
            here->is_voucher[place_of(here, m[4])] = 1;
        say(" id %u", m[5]);
    } else {
        say(" voucher %x id %u", m[4], m[5]);
    }
    if (m[0] & COMPLEX && descriptors) {
        say(" n %u", m[6]);
        for (u32 i = 0; i < m[6] && i < DESCRIPTORS; i++) {
            put(" [");
            learn(here, m[7 + 3 * i]);
            say(" %u %u]", m[9 + 3 * i] >> 16 & 255, m[9 + 3 * i] >> 24);
        }
    } else if (m[5] >= 64 && m[5] <= DEAD_NAME && m[1] == 36) {
        put(m[5] == NO_SENDERS ? " ms " : " about ");
        if (m[5] == NO_SENDERS)
            say("%u", m[8]);
        else
            put_name(here, m[8]);
    }
    if (trailer) {
        u32 *t = m + (m[1] + 3) / 4;
        say(" trailer %u %u", t[0], t[1]);
        if (t[1] >= 12 && t[1] <= 68) {
            say(" seq %u", t[2]);
            if (t[1] >= 60)
                say(" ctx %x", t[13]);
        }
    }
}

static u32 without_rights(u32 code) { return code & ~(u32)CODE_OF_RIGHTS; }

/* How many ports of a set have messages. */
static int busy_members(u32 set) {
    int place = place_of(&own, set), busy = 0;
    for (int i = 0; place >= 0 && i < PLACES; i++)
        if (own.members[place] >> i & 1 && own.names[i] != 0 && waiting_messages(&own, own.names[i]) > 0)
            busy++;
    return busy;
}

static int has_messages(u32 name) { return waiting_messages(&own, name) > 0 || busy_members(name) > 0; }

/* In which order a set's ports are served is free: not to be asked where it matters. */
static int set_is_ambiguous(u32 name) { return busy_members(name) > 1; }

static void put_receive_result(u32 code, u32 option, u32 size, u32 *m) {
    if (code == 0) {
        put_message(m, 1, 1);
    } else if (code == RCV_TOO_LARGE && option & RCV_LARGE) {
        if (size >= 16)
            say(" need %u", m[1]);
        if (size >= 16 && option & RCV_LARGE_IDENTITY) {
            put(" at ");
            put_name(&own, m[3]);
        }
    } else if (code == RCV_TOO_LARGE) {
        if (size >= 24) {
            say(" bits %x size %u remote ", m[0], m[1]);
            put_name(&own, m[2]);
            put(" local ");
            put_name(&own, m[3]);
            say(" id %u", m[5]);
        }
        if (size >= 32)
            say(" trailer %x %x", m[6], m[7]);
        if (size >= 36)
            say(" %x", m[8]);
    } else if (without_rights(code) == RCV_BODY_ERROR) {
        put_message(m, 1, 1);
    }
}

static u32 receive_elements(void) { return (u32)ONE_OF(0, 1, 3, 4, 5, 7, 0, 3) << 24; }

/* Each operation prints its text, or nothing if it decides not to happen. */

static int do_send(void) {
    u32 m[MESSAGE_WORDS] = {0};
    if (is_full(&own))
        return 0;
    u32 count = once_in(3) ? below(4) : 0;
    u32 to = pick_type(&own, TYPE_PORTS), reply = once_in(2) ? pick_type(&own, TYPE_PORTS) : 0;
    u32 to_how = (u32)ONE_OF(19, 20, 19, 20, 21, 17, 18), reply_how = reply != 0 ? 17 + below(5) : 0;
    if (!once_in(3)) {
        do
            to_how = pick_disposition(known_type(&own, to));
        while (to_how == MOVE_RECEIVE);
        if (reply != 0)
            do
                reply_how = pick_disposition(known_type(&own, reply));
            while (reply_how == MOVE_RECEIVE);
    }
    if (once_in(30))
        reply_how = below(32);
    if (once_in(40))
        to_how = below(32);
    int complex = count > 0 || once_in(9);
    m[0] = to_how | reply_how << 8 | (complex ? COMPLEX : 0) | (once_in(20) ? 0x10000000 : 0);
    m[1] = below(100);
    m[2] = to;
    m[3] = reply;
    m[4] = once_in(10) ? 77 : 0;
    m[5] = 1000 + below(100);
    m[6] = complex ? count : 0;
    u32 option = SEND_MSG | SEND_TIMEOUT;
    if (once_in(4))
        option |= SEND_NOTIFY;
    u32 from = once_in(8) ? pick_type(&own, TYPE_RECEIVE) : 0;
    if (from != 0)
        option |= RCV_MSG | RCV_TIMEOUT | receive_elements();
    say("send %x to ", m[0]);
    put_name(&own, to);
    put(" reply ");
    put_name(&own, reply);
    say(" option %x", option);
    for (u32 i = 0; i < count; i++) {
        u32 name = pick_type(&own, TYPE_PORTS | TYPE_DEAD);
        u32 how = once_in(20) ? below(32) : once_in(4) ? 16 + below(6) : pick_disposition(known_type(&own, name));
        u32 kind = once_in(40) && count <= 1 ? 5 : 0;
        int place = place_of(&own, name);
        if (how == MOVE_RECEIVE && (once_in(2) || (place >= 0 && own.lost_set[place])))
            how = MAKE_SEND;
        m[7 + 3 * i] = name;
        m[9 + 3 * i] = how << 16 | kind << 24;
        put(" [");
        put_name(&own, name);
        say(" %u %u]", how, kind);
    }
    u32 size = complex ? 28 + 12 * count + 4 * below(6) : 24 + 4 * below(6);
    if (once_in(25) && count == 0)
        size -= 4;
    say(" size %u", size);
    if (from != 0) {
        put(" from ");
        put_name(&own, from);
    }
    u32 code = (u32)message_trap(m, option, size, from != 0 ? sizeof m : 0, from);
    say(" = %x", code);
    if (without_rights(code) == SEND_TIMED_OUT || code == SEND_NO_BUFFER)
        put_message(m, count > 0, 0);
    else if (from != 0)
        put_receive_result(code, option, sizeof m, m);
    return 1;
}

static int do_receive(void) {
    u32 m[MESSAGE_WORDS];
    if (is_full(&own))
        return 0;
    u32 from = pick_type(&own, once_in(3) ? TYPE_SET : TYPE_RECEIVE);
    for (int k = 0; k < 4 && !has_messages(from); k++)
        from = pick_type(&own, once_in(3) ? TYPE_SET : TYPE_RECEIVE);
    u32 option = RCV_MSG | RCV_TIMEOUT | receive_elements();
    if (once_in(3))
        option |= RCV_LARGE;
    if (once_in(4))
        option |= RCV_LARGE_IDENTITY;
    u32 size = once_in(4) ? 8 + 4 * below(24) : sizeof m;
    if (set_is_ambiguous(from))
        return 0;
    memset(m, 0xaa, sizeof m);
    put("receive ");
    put_name(&own, from);
    say(" option %x size %u", option, size);
    u32 code = (u32)message_trap(m, option, 0, size, from);
    say(" = %x", code);
    put_receive_result(code, option, size, m);
    return 1;
}

/* ---- Ports ------------------------------------------------------------------------------------------------------ */

/* Some calls are made by message as well as by trap: then their line has an "@". */
static int by_message;

static void begin(const char *what, u32 name) {
    say("%s%s ", what, by_message ? "@" : "");
    put_name(&own, name);
}

static int end(u32 code) {
    say(" = %x", code);
    return 1;
}

static int end_with_name(u32 code, u32 name) {
    say(" = %x", code);
    if (code == 0) {
        put(" ");
        learn(here, name);
    }
    return 1;
}

static int do_allocate(void) {
    if (is_full(&own))
        return 0;
    u32 right = (u32)ONE_OF(1, 1, 1, 1, 3, 3, 3, 4, 0, 2), name = 0, code;
    say("allocate%s %u", by_message ? "@" : "", right);
    if (by_message) {
        struct call c = CALL(self, 3204, right);
        code = c.code;
        name = c.words[0];
    } else {
        code = (u32)TRAP(MACH + 16, self, right, (u64)&name);
    }
    return end_with_name(code, name);
}

static int do_construct(void) {
    static const u32 flags[] = {1, 2, 0x10, 0x20, 0x80, 4, 8, 0x40};
    if (is_full(&own))
        return 0;
    u32 options[6] = {0}, name = 0;
    for (u32 i = 0; i < sizeof flags / sizeof *flags; i++)
        if (once_in(3))
            options[0] |= flags[i];
    options[1] = once_in(20) ? 1025 : below(5);
    u32 context = once_in(3) ? 0x55 : 0;
    say("construct %x %u context %x", options[0], options[1], context);
    u32 code = (u32)TRAP(MACH + 24, self, (u64)options, context, (u64)&name);
    return end_with_name(code, name);
}

/* Where a port dies with a request on its own name, and with messages or requests of others, notifications to one port
 * come in an order that is free. And a name with send and receive right whose send-possible request has fired becomes
 * a dead name with one reference more in XNU (WALK.md). */
static int death_is_ambiguous(u32 name) {
    u32 type = known_type(&own, name), asked = 0;
    for (int i = 0; i < PLACES; i++)
        asked |= theirs.names[i] != 0 ? theirs.views[i].type & TYPE_REQUEST : 0;
    return type & TYPE_RECEIVE && type & TYPE_REQUEST && (asked || waiting_messages(&own, name) > 0);
}

static int receive_right_is_armed(u32 name) {
    int place = place_of(&own, name);
    return place >= 0 && own.armed[place] && own.views[place].type & TYPE_RECEIVE && own.views[place].type & TYPE_SEND;
}

static int do_destruct(void) {
    u32 name = pick_type(&own, TYPE_RECEIVE);
    int delta = once_in(5) ? 1 : -(int)below(3);
    u32 guard = once_in(2) ? 0x55 : 0;
    if (death_is_ambiguous(name) || receive_right_is_armed(name))
        return 0;
    /* XNU takes the port's lock twice then. */
    int place = place_of(&own, name);
    if (delta < 0 && place >= 0 && own.tells_itself[place])
        return 0;
    begin("destruct", name);
    say(" %d %x", delta, guard);
    if (by_message)
        return end(CALL(self, 3232, name, (u32)delta, guard, 0).code);
    return end((u32)TRAP(MACH + 25, self, name, (u64)(long)delta, guard));
}

static int do_deallocate(void) {
    u32 name = pick(&own);
    begin("deallocate", name);
    return end(by_message ? CALL(self, 3206, name).code : deallocate(name));
}

/* A right that a name of this type has. */
static u32 pick_right(u32 type) {
    u32 right = below(RIGHTS);
    for (int k = 0; k < 20 && !(type & TYPE_SEND << right); k++)
        right = below(RIGHTS);
    return right;
}

static int do_mod_refs(void) {
    u32 name = pick(&own), right = once_in(3) ? below(7) : pick_right(known_type(&own, name));
    int delta = ONE_OF(-1, -1, -1, 1, 1, 2, -2, 0, 65534, 65535, -65535, 70000, -70000);
    if (right == RIGHT_RECEIVE && (once_in(2) || death_is_ambiguous(name) || receive_right_is_armed(name)))
        return 0;
    begin("mod_refs", name);
    say(" %u %d", right, delta);
    if (by_message)
        return end(CALL(self, 3208, name, right, (u32)delta).code);
    return end((u32)TRAP(MACH + 19, self, name, right, (u64)(long)delta));
}

static int do_destroy(void) {
    u32 name = pick(&own);
    if (!once_in(3) || death_is_ambiguous(name))
        return 0;
    /* A guarded port's name gets lost in XNU, which relies on the exception to end the task. */
    int place = place_of(&own, name);
    if (place >= 0 && own.views[place].type & TYPE_RECEIVE && own.views[place].status[9] & 2)
        return 0;
    put("destroy ");
    put_name(&own, name);
    return end(CALL(self, 3205, name).code);
}

static int do_insert_right(void) {
    u32 from = pick_type(&own, once_in(3) ? TYPE_PORTS : TYPE_RECEIVE), name = once_in(4) ? pick(&own) : from;
    u32 how = once_in(8) ? 15 + below(9) : once_in(3) ? pick_disposition(known_type(&own, from)) : MAKE_SEND;
    /* The trap looks up `from` before all else in XNU, and a dead name that is moved loses a reference. */
    if (from == 0 || from == DEAD || name == NOWHERE)
        return 0;
    if (known_type(&own, from) & TYPE_DEAD && (how == MOVE_SEND || how == MOVE_SEND_ONCE))
        return 0;
    put("insert_right ");
    put_name(&own, name);
    put(" ");
    put_name(&own, from);
    say(" %u", how);
    return end((u32)TRAP(MACH + 21, self, name, from, how));
}

static int do_extract_right(void) {
    if (is_full(&own))
        return 0;
    u32 name = pick(&own), how = once_in(3) ? 15 + below(9) : pick_disposition(known_type(&own, name));
    put("extract_right ");
    put_name(&own, name);
    say(" %u", how);
    struct call c = CALL(self, 3215, name, how);
    end_with_name(c.code, c.name);
    if (c.code == 0)
        say(" %u", c.disposition);
    return 1;
}

static int is_in_several_sets(u32 name) {
    int place = place_of(&own, name), sets = 0;
    if (place < 0)
        return 0;
    for (int set = 0; set < PLACES; set++)
        sets += own.members[set] >> place & 1;
    return sets > 1 || own.lost_set[place];
}

static int do_member(u32 what) {
    static const char *const names[] = {"move_member", "insert_member", "extract_member"};
    static const u32 traps[] = {20, 22, 23}, ids[] = {3212, 3226, 3227};
    u32 member = pick_type(&own, TYPE_RECEIVE), set = pick_type(&own, TYPE_SET);
    if (what == 2 && !once_in(3))
        for (int k = 0; k < 40; k++) {
            u32 s = below(PLACES), m = below(PLACES);
            if (own.members[s] >> m & 1) {
                member = own.names[m];
                set = own.names[s];
                break;
            }
        }
    if (what != 2 && member == NOWHERE)
        return 0;
    if (what == 0 && set == 0)
        return 0;
    /* The reference fails to take a port out of one of several sets. */
    if (what == 2 && is_in_several_sets(member))
        return 0;
    begin(names[what], member);
    put(" ");
    put_name(&own, set);
    u32 code = by_message ? CALL(self, ids[what], member, set).code : (u32)TRAP(MACH + traps[what], self, member, set);
    int m = place_of(&own, member), s = place_of(&own, set);
    if (code == 0 && m >= 0) {
        if (what == 0)
            forget_memberships(member);
        if (s >= 0 && what != 2)
            own.members[s] |= 1u << m;
        if (s >= 0 && what == 2)
            own.members[s] &= ~(1u << m);
    }
    return end(code);
}

static int do_request(void) {
    if (is_full(&own))
        return 0;
    u32 name = pick(&own), id = (u32)ONE_OF(69, 70, 72, 66, 70, 72, 66, 65, 71), sync = below(3);
    u32 how = (u32)ONE_OF(21, 21, 21, 18, 20), notify = pick_type(&own, how == 18 ? TYPE_SEND_ONCE : TYPE_RECEIVE);
    if (once_in(6) && how != MOVE_SEND_ONCE)
        notify = 0;
    /* A right that cannot be copied in has different codes. */
    u32 type = known_type(&own, notify);
    if (how == MOVE_SEND_ONCE ? !(type & TYPE_SEND_ONCE) : notify != 0 && notify != DEAD && !(type & TYPE_RECEIVE))
        return 0;
    int message = notify == 0 || notify == DEAD || by_message;
    say("request%s ", message ? "@" : "");
    put_name(&own, name);
    say(" %u %u ", id, sync);
    put_name(&own, notify);
    say(" %u", how);
    u32 code, previous = 0;
    if (message) {
        struct call c = CALL_RIGHT(self, 3213, notify, how, name, id, sync);
        code = c.code;
        previous = c.name;
    } else {
        code = (u32)TRAP(MACH + 77, self, name, id, sync, notify, how, (u64)&previous);
        /* The right registered before is dead: XNU says so by this code, after all is done. */
        if (code == INVALID_CAPABILITY && previous == 0) {
            code = 0;
            previous = DEAD;
        }
    }
    int place = place_of(&own, name);
    if (code == 0 && id == SEND_POSSIBLE && place >= 0)
        own.armed[place] = 1;
    if (code == 0 && id == NO_SENDERS && place >= 0)
        own.tells_itself[place] = notify == name || how == MOVE_SEND_ONCE;
    say(" = %x", code);
    if (code == 0) {
        put(" previous ");
        learn(&own, previous);
    }
    return 1;
}

static int do_attributes(void) {
    u32 name = pick_type(&own, TYPE_RECEIVE), flavor = (u32)ONE_OF(1, 1, 1, 4, 5, 6, 2, 9);
    u32 limit = once_in(8) ? 1024 + below(2) : below(6);
    if (name == 0 || name == DEAD)
        return 0;
    u32 count = flavor == 1 && !once_in(9);
    put("set_attributes ");
    put_name(&own, name);
    say(" %u %u %u", flavor, count, limit);
    if (count == 0)
        return end(CALL(self, 3218, name, flavor, 0).code);
    return end(CALL(self, 3218, name, flavor, 1, limit).code);
}

static int do_number(void) {
    u32 name = pick_type(&own, TYPE_RECEIVE), what = below(4), value = below(3);
    say("%s ", what == 0 ? "set_mscount" : what == 1 ? "set_seqno" : "set_context");
    put_name(&own, name);
    say(" %u", value);
    if (what < 2)
        return end(CALL(self, what == 0 ? 3210 : 3216, name, value).code);
    return end(CALL(self, 3229, name, value != 0 ? 0x55 : 0, 0).code);
}

static int do_guard(void) {
    u32 name = pick_type(&own, TYPE_RECEIVE), what = below(4), guard = once_in(3) ? 0 : 0x55, more = below(4);
    static const char *const names[] = {"guard", "unguard", "guard_with_flags", "swap_guard"};
    begin(names[what], name);
    say(" %x %u", guard, more);
    switch (what) {
    case 0:
        if (by_message)
            return end(CALL(self, 3233, name, guard, 0, more & 1).code);
        return end((u32)TRAP(MACH + 41, self, name, guard, more & 1));
    case 1:
        if (by_message)
            return end(CALL(self, 3234, name, guard, 0).code);
        return end((u32)TRAP(MACH + 42, self, name, guard));
    case 2: return end(CALL(self, 3237, name, guard, 0, more, 0).code);
    default: return end(CALL(self, 3238, name, guard, 0, 0x56 - more % 2, 0).code);
    }
}

/* ---- The second task's names ------------------------------------------------------------------------------------ */

/* A name that the walker chooses for it: none is met twice, and none is the walker's own too. Each step has indexes of
 * its own, as many as a table of Tally's grows by: Tally gives names in random order, but from the indexes that its
 * table has, so that it has not given this one. */
static u32 new_name(u32 step) { return (1024 + step * 64) << 8 | 3; }

static int do_other(u32 step) {
    u32 what = below(9);
    if (is_full(&own) || is_full(&theirs))
        what = 5 + below(2);
    switch (what) {
    case 0: {
        u32 right = below(4), name = new_name(step); /* XNU gives a dead name some other name */
        struct call c = CALL(other, 3203, right, name);
        say("B allocate_name %u = %x", right, c.code);
        if (c.code == 0) {
            put(" ");
            learn(&theirs, name);
        }
        return 1;
    }
    case 1:
    case 2: {
        u32 from = pick_type(&own, TYPE_PORTS), how = once_in(8) ? below(30) : 16 + below(6);
        if (!once_in(3))
            how = pick_disposition(known_type(&own, from));
        u32 name = once_in(4) ? once_in(3) ? 0 : pick(&theirs) : new_name(step);
        if (name == NOWHERE)
            return 0;
        put("B insert_right ");
        put_name(&own, from);
        say(" %u at ", how);
        if (place_of(&theirs, name) >= 0 || name == 0 || name == DEAD)
            put_name(&theirs, name);
        else
            put("new");
        struct call c = CALL_RIGHT(other, 3214, from, how, name);
        say(" = %x", c.code);
        if (c.code == 0) {
            put(" ");
            learn(&theirs, name);
        }
        return 1;
    }
    case 3:
    case 4: {
        u32 name = pick(&theirs), how = once_in(3) ? 16 + below(6) : pick_disposition(known_type(&theirs, name));
        put("B extract_right ");
        put_name(&theirs, name);
        say(" %u", how);
        struct call c = CALL(other, 3215, name, how);
        say(" = %x", c.code);
        if (c.code == 0) {
            put(" ");
            learn(&own, c.name);
            say(" %u", c.disposition);
        }
        return 1;
    }
    case 5: {
        u32 name = pick(&theirs);
        put("B deallocate ");
        put_name(&theirs, name);
        return end(CALL(other, 3206, name).code);
    }
    case 6: {
        u32 name = pick(&theirs), type = known_type(&theirs, name);
        u32 right = once_in(3) ? below(5) : pick_right(type);
        if (right == RIGHT_RECEIVE && type & TYPE_RECEIVE && type & TYPE_REQUEST)
            return 0;
        int place = place_of(&theirs, name);
        if (right == RIGHT_RECEIVE && place >= 0 && theirs.armed[place])
            return 0;
        put("B mod_refs ");
        put_name(&theirs, name);
        say(" %u -1", right);
        return end(CALL(other, 3208, name, right, (u32)-1).code);
    }
    case 7: {
        u32 name = pick(&theirs), notify = pick_type(&own, TYPE_RECEIVE), id = (u32)ONE_OF(69, 70, 72, 66);
        u32 sync = below(2);
        put("B request ");
        put_name(&theirs, name);
        say(" %u %u ", id, sync);
        put_name(&own, notify);
        struct call c = CALL_RIGHT(other, 3213, notify, MAKE_SEND_ONCE, name, id, sync);
        int place = place_of(&theirs, name);
        if (c.code == 0 && id == SEND_POSSIBLE && place >= 0)
            theirs.armed[place] = 1;
        say(" = %x", c.code);
        if (c.code == 0) {
            put(" previous ");
            learn(&own, c.name);
        }
        return 1;
    }
    default: {
        u32 name = pick(&theirs), type = known_type(&theirs, name);
        if (once_in(2) || (type & TYPE_RECEIVE && type & TYPE_REQUEST))
            return 0;
        put("B destroy ");
        put_name(&theirs, name);
        return end(CALL(other, 3205, name).code);
    }
    }
}

/* The second task dies, and all queues are emptied. The order in which it lost its rights is free: what came is
 * counted, by id and as a sum of digests. */
static u32 mix(u32 digest, u32 value) {
    digest = (digest ^ value) * 16777619u;
    return digest ^ digest >> 13;
}

static void do_end(void) {
    u32 count[PLACES][DEAD_NAME - PORT_DELETED + 2] = {{0}}, sums[PLACES] = {0};
    memset(theirs.names, 0, sizeof theirs.names);
    ipcwalk_end_other(other);
    int more = 1;
    for (int round = 0; round < 60 && more; round++) {
        more = 0;
        for (int i = 0; i < PLACES; i++) {
            u32 type;
            if (own.names[i] == 0 || type_of(self, own.names[i], &type) != 0 || !(type & TYPE_RECEIVE))
                continue;
            for (int k = 0; k < 40; k++) {
                u32 m[MESSAGE_WORDS] = {0};
                if (message_trap(m, RCV_MSG | RCV_TIMEOUT, 0, sizeof m, own.names[i]) != 0)
                    break;
                more = 1;
                int note = m[5] >= PORT_DELETED && m[5] <= DEAD_NAME;
                count[i][note ? m[5] - PORT_DELETED : DEAD_NAME - PORT_DELETED + 1]++;
                u32 sum = mix(mix(mix(77, m[0]), m[5]), m[1]);
                if (note && m[1] == 36)
                    sum = mix(sum, m[5] == NO_SENDERS ? m[8] : two_act ? 0 : 1000 + (u32)place_of(&own, m[8]));
                for (u32 d = 0; m[0] & COMPLEX && d < m[6] && d < DESCRIPTORS; d++) {
                    u32 name = m[7 + 3 * d], how = m[9 + 3 * d] >> 16 & 255;
                    sum = mix(mix(sum, how), name == 0 ? 1 : name == DEAD ? 2 : 3);
                    if (name == 0 || name == DEAD)
                        continue;
                    if (how == MOVE_RECEIVE) {
                        if (place_of(&own, name) < 0)
                            for (int free = 0; free < PLACES; free++)
                                if (own.names[free] == 0) {
                                    own.names[free] = name;
                                    memset(&own.views[free], 0, sizeof own.views[free]);
                                    break;
                                }
                    } else {
                        deallocate(name);
                    }
                }
                if ((m[0] & 31) == MOVE_SEND_ONCE && m[2] != 0 && m[2] != DEAD)
                    deallocate(m[2]);
                sums[i] += sum;
            }
        }
    }
    put("end");
    for (int i = 0; i < PLACES; i++) {
        if (sums[i] == 0)
            continue;
        say(" a%d(", i);
        for (int k = 0; k <= DEAD_NAME - PORT_DELETED + 1; k++)
            if (count[i][k] != 0)
                say("%d*%u ", k > DEAD_NAME - PORT_DELETED ? 0 : PORT_DELETED + k, count[i][k]);
        say("%x)", sums[i]);
    }
}

/* ---- A walk ----------------------------------------------------------------------------------------------------- */

static int do_step(u32 step) {
    static const u8 weights[] = {0,  0,  1,  1,  1,  2,  3,  3,  4,  4,  5,  6,  6,  7,  8,  9,  9,  10, 11, 11, 11, 12,
                                 13, 14, 15, 16, 16, 16, 17, 17, 18, 18, 20, 20, 20, 21, 21, 24, 24, 24, 24, 24, 24,
                                 24};
    static const u8 beginning[] = {0, 1, 1, 6, 6, 24};
    u32 what = step < 10 ? beginning[below(sizeof beginning)] : weights[below(sizeof weights)];
    by_message = once_in(3);
    switch (what) {
    case 0: return do_allocate();
    case 1: return do_construct();
    case 2: return do_destruct();
    case 3: return do_deallocate();
    case 4: return do_mod_refs();
    case 5: return do_destroy();
    case 6: return do_insert_right();
    case 7: return do_extract_right();
    case 8:
    case 9:
    case 10: return do_member(what - 8);
    case 11:
    case 12: return do_request();
    case 13: return do_attributes();
    case 14: return do_number();
    case 15: return do_guard();
    case 16:
    case 17:
    case 18: return do_send();
    case 20:
    case 21: return do_receive();
    default: return do_other(step);
    }
}

void ipcwalk_walk(u32 seed, u32 steps) {
    self = (u32)TRAP(MACH + 28, 0);
    reply_port = (u32)TRAP(MACH + 26, 0);
    other = ipcwalk_other(0);
    here = &own;
    seed_chance(seed);
    for (u32 step = 0; step <= steps; step++) {
        u32 start = output_used;
        say("%u.%u ", seed, step);
        if (step == steps) {
            do_end();
        } else if (!do_step(step)) {
            output_used = start;
            continue;
        }
        put(" |");
        put_changes(&own);
        put_changes(&theirs);
        put("\n");
        flush();
    }
}

/* ---- Two who act ------------------------------------------------------------------------------------------------ */

/* Both tasks act here, in turn, on ports that donate importance, with vouchers in their messages. A pair walk is the
 * same without vouchers, between tasks that never donate. */

enum { KEY_IMPORTANCE = 2, KEY_TEST = 7, KEY_USER_DATA = 8 };
#define KEY_ALL (~0u)
enum { COPY = 1, REMOVE, SET_HANDLE, AUTO_REDEEM, REDEEM = 10, IMPORTANCE_SELF = 200, USER_DATA_STORE = 211 };
enum { RCV_VOUCHER = 0x800, SEND_NOIMPORTANCE = 0x40000 };
enum { APP_INTERACTIVE = 1, APP_STANDARD, APP_ADAPTIVE, APP_BACKGROUND };

/* What both tasks can see: every pointer of a trap points into it. */
static u32 shared[128];
static u32 hosts[2], selves[2];
static u32 importance[2][4];

#define ACT(number, ...) act(number, (const u64[8]){__VA_ARGS__})

static long act(u32 number, const u64 *arguments) {
    if (here == &own)
        return ipcwalk_trap(number, arguments);
    return ipcwalk_other_trap(number, arguments, shared, sizeof shared);
}

static int acting(void) { return here == &theirs; }

/* Without vouchers and importance: nobody donates. */
static int pair_walk;

void ipcwalk_types(u32 seed, u32 *mine, u32 *others) {
    static const u8 types[][2] = {
        {APP_STANDARD, APP_ADAPTIVE}, {APP_STANDARD, APP_ADAPTIVE}, {APP_INTERACTIVE, APP_ADAPTIVE},
        {APP_ADAPTIVE, APP_STANDARD}, {APP_ADAPTIVE, APP_ADAPTIVE}, {APP_STANDARD, APP_STANDARD},
        {APP_STANDARD, APP_ADAPTIVE}, {APP_BACKGROUND, APP_ADAPTIVE},
    };
    *mine = pair_walk ? APP_BACKGROUND : types[seed % 8][0];
    *others = pair_walk ? APP_BACKGROUND : types[seed % 8][1];
}

/* XNU loses count of boosts where a receive right that has some is sent back, or is destroyed on its way. So with
 * vouchers the odd walks move receive rights, if they have no boosts, and lose none; the even walks move none. */
static int moves_rights;

static int may_move(struct table *t, u32 name) {
    int place = place_of(t, name);
    if (pair_walk)
        return 1;
    return moves_rights && place >= 0 && t->views[place].status[10] == 0 && t->views[place].status[4] == 0;
}

static u32 pick_voucher(void) {
    for (int k = 0; k < 60; k++) {
        u32 i = below(PLACES);
        if (here->names[i] != 0 && here->is_voucher[i])
            return here->names[i];
    }
    return once_in(6) ? pick(here) : 0;
}

static void put_actor(void) { put(acting() ? "B " : "A "); }

/* A recipe of up to three items, and what it gives. */
static int do_voucher(void) {
    static const u32 contents[][2] = {{0, 0}, {1, 0}, {2, 0}, {2, 7}};
    u32 used = 0, items = 1 + below(3);
    if (is_full(here))
        return 0;
    put_actor();
    put("create_voucher");
    for (u32 i = 0; i < items; i++) {
        u32 key = (u32)ONE_OF(KEY_IMPORTANCE, KEY_TEST, KEY_USER_DATA), command, previous = 0, size = 0, content = 0;
        switch (below(8)) {
        case 0:
        case 1:
        case 2:
            key = once_in(2) ? KEY_TEST : KEY_USER_DATA;
            command = USER_DATA_STORE;
            content = below(4);
            size = content == 0 ? 0 : content == 3 ? 8 : 4;
            break;
        case 3:
            key = KEY_IMPORTANCE;
            command = IMPORTANCE_SELF;
            break;
        case 4:
        case 5: command = COPY; break;
        case 6: command = REMOVE; break;
        default: command = (u32)ONE_OF(SET_HANDLE, AUTO_REDEEM, REDEEM, REDEEM, 0, 9, IMPORTANCE_SELF); break;
        }
        if (command == COPY || command == REDEEM || once_in(8))
            previous = pick_voucher();
        if ((command == COPY || command == REMOVE) && once_in(2))
            key = KEY_ALL; /* with REDEEM it depends on managers that the reference does not have */
        if (once_in(25))
            key = once_in(2) ? 0 : 9;
        say(" [%d %u ", (int)key, command);
        put_name(here, previous);
        say(" %u]", content);
        shared[used++] = key;
        shared[used++] = command;
        shared[used++] = previous;
        shared[used++] = size;
        for (u32 k = 0; k < size / 4; k++)
            shared[used++] = contents[content][k];
    }
    u32 size = used * 4 - (once_in(25) ? 4 : 0);
    shared[100] = 0;
    u32 code = (u32)ACT(MACH + 70, hosts[acting()], (u64)shared, size, (u64)&shared[100]);
    say(" size %u", size);
    end_with_name(code, shared[100]);
    int place = place_of(here, shared[100]);
    if (code == 0 && place >= 0)
        here->is_voucher[place] = 1;
    return 1;
}

static int do_recipe(void) {
    u32 name = pick_voucher();
    u32 key = (u32)ONE_OF(KEY_IMPORTANCE, KEY_TEST, KEY_USER_DATA, KEY_TEST, KEY_USER_DATA, 0, 9);
    u32 room = key == KEY_IMPORTANCE || !once_in(5) ? 400 : below(8) * 4;
    put_actor();
    put("extract_recipe ");
    put_name(here, name);
    say(" %u room %u", key, room);
    memset(shared, 0, sizeof shared);
    shared[110] = room;
    u32 code = (u32)ACT(MACH + 72, name, key, (u64)shared, (u64)&shared[110]);
    say(" = %x", code);
    if (code == 0 && key == KEY_IMPORTANCE) {
        put(shared[110] != 0 ? " something" : " nothing"); /* the text names processes */
    } else if (code == 0) {
        say(" size %u:", shared[110]);
        for (u32 i = 0; i < shared[110] / 4 && i < 8; i++)
            say(" %x", shared[i]);
    }
    return 1;
}

static int do_send_voucher(void) {
    if (is_full(&own) || is_full(&theirs))
        return 0;
    u32 *m = shared;
    u32 to = 0, voucher = pair_walk || once_in(3) ? 0 : pick_voucher();
    u32 reply = once_in(3) ? pick_type(here, TYPE_RECEIVE) : 0;
    for (int k = 0; k < 10; k++) {
        to = pick_type(here, TYPE_SEND | TYPE_SEND_ONCE);
        int place = place_of(here, to);
        if (place >= 0 && !here->is_voucher[place] && (once_in(3) || !(here->views[place].type & TYPE_RECEIVE)))
            break;
    }
    u32 type = known_type(here, to), how = type & TYPE_SEND_ONCE ? 18 : COPY_SEND;
    u32 voucher_how = voucher == 0 ? once_in(10) ? COPY_SEND : 0 : (u32)ONE_OF(17, 19, 19, 19);
    if (once_in(25))
        voucher_how = below(32);
    if (pair_walk)
        voucher_how = 0;
    u32 count = once_in(3);
    memset(m, 0, sizeof shared);
    m[0] = how | (reply != 0 ? MAKE_SEND_ONCE << 8 : 0) | voucher_how << 16 | (count > 0 ? COMPLEX : 0);
    m[2] = to;
    m[3] = reply;
    m[4] = voucher;
    m[5] = 1000 + below(100);
    m[6] = count;
    u32 option = SEND_MSG | SEND_TIMEOUT | (once_in(6) ? SEND_NOIMPORTANCE : 0) | (once_in(6) ? SEND_NOTIFY : 0);
    put_actor();
    say("send %x to ", m[0]);
    put_name(here, to);
    put(" reply ");
    put_name(here, reply);
    put(" voucher ");
    put_name(here, voucher);
    say(" option %x", option);
    if (count > 0) {
        u32 name = once_in(3) ? pick_voucher() : pick_type(here, TYPE_PORTS);
        u32 descriptor = pick_disposition(known_type(here, name));
        if (descriptor == MOVE_RECEIVE && !may_move(here, name))
            descriptor = MAKE_SEND;
        m[7] = name;
        m[9] = descriptor << 16;
        put(" [");
        put_name(here, name);
        say(" %u]", descriptor);
    }
    u32 code = (u32)ACT(MACH + 32, (u64)m, option, count > 0 ? 40 : 24, 0, 0, 0, 0, 0);
    say(" = %x", code);
    if (without_rights(code) == SEND_TIMED_OUT || code == SEND_NO_BUFFER)
        put_message(m, 1, 0);
    return 1;
}

static int do_receive_voucher(void) {
    if (is_full(&own) || is_full(&theirs))
        return 0;
    u32 from = pick_type(here, TYPE_RECEIVE);
    for (int k = 0; k < 5 && waiting_messages(here, from) == 0; k++)
        from = pick_type(here, TYPE_RECEIVE);
    u32 option = RCV_MSG | RCV_TIMEOUT | (once_in(4) ? 0 : RCV_VOUCHER);
    u32 size = once_in(12) ? 24 + 4 * below(8) : 256;
    if (!pair_walk && moves_rights)
        size = 256;
    put_actor();
    put("receive ");
    put_name(here, from);
    say(" option %x size %u", option, size);
    memset(shared, 0, sizeof shared);
    u32 code = (u32)ACT(MACH + 32, (u64)shared, option, 0, size, from, 0, 0, 0);
    say(" = %x", code);
    if (code == 0)
        put_message(shared, 1, 0);
    return 1;
}

static int do_port(void) {
    if (is_full(here))
        return 0;
    memset(shared, 0, sizeof shared);
    shared[0] = 0x10 | (once_in(6) ? 0 : 8) | (once_in(4) ? 4 : 0) | (once_in(3) ? 2 : 0);
    shared[1] = 1 + below(3);
    put_actor();
    say("construct %x %u", shared[0], shared[1]);
    u32 code = (u32)ACT(MACH + 24, selves[acting()], (u64)shared, 0, (u64)&shared[100]);
    return end_with_name(code, shared[100]);
}

static int do_release(void) {
    u32 name = once_in(2) ? pick(here) : pick_voucher();
    put_actor();
    put("deallocate ");
    put_name(here, name);
    return end((u32)ACT(MACH + 18, selves[acting()], name));
}

static int do_references(void) {
    u32 name = once_in(2) ? pick(here) : pick_voucher(), right = pick_right(known_type(here, name));
    int delta = ONE_OF(-1, -1, 1, 1, 2, -2), place = place_of(here, name);
    if (right == RIGHT_RECEIVE && (!once_in(3) || known_type(here, name) & TYPE_REQUEST))
        return 0;
    if (right == RIGHT_RECEIVE && ((place >= 0 && here->armed[place]) || (!pair_walk && moves_rights)))
        return 0;
    put_actor();
    put("mod_refs ");
    put_name(here, name);
    say(" %u %d", right, delta);
    return end((u32)ACT(MACH + 19, selves[acting()], name, right, (u64)(long)delta));
}

static int do_ask(void) {
    if (is_full(here))
        return 0;
    u32 name = pick_type(here, TYPE_SEND | TYPE_RECEIVE), notify = pick_type(here, TYPE_RECEIVE);
    u32 id = (u32)ONE_OF(SEND_POSSIBLE, SEND_POSSIBLE, DEAD_NAME, NO_SENDERS);
    int place = place_of(here, name);
    if (!(known_type(here, notify) & TYPE_RECEIVE) || place < 0 || here->is_voucher[place])
        return 0;
    put_actor();
    put("request ");
    put_name(here, name);
    say(" %u ", id);
    put_name(here, notify);
    shared[100] = 0;
    u64 previous = (u64)&shared[100];
    u32 code = (u32)ACT(MACH + 77, selves[acting()], name, id, 1, notify, MAKE_SEND_ONCE, previous);
    if (code == INVALID_CAPABILITY && shared[100] == 0) {
        code = 0;
        shared[100] = DEAD;
    }
    if (code == 0 && id == SEND_POSSIBLE)
        here->armed[place] = 1;
    return end_with_name(code, shared[100]);
}

static int do_make_send(void) {
    u32 name = pick_type(here, TYPE_RECEIVE);
    if (name == 0 || name == DEAD || name == NOWHERE)
        return 0;
    put_actor();
    put("insert_right ");
    put_name(here, name);
    return end((u32)ACT(MACH + 21, selves[acting()], name, name, MAKE_SEND));
}

/* By messages of the walker: rights go over. */
static int do_hand_over(u32 step) {
    if (is_full(&own) || is_full(&theirs))
        return 0;
    int beginning = step < 14;
    if (once_in(beginning ? 2 : 3)) {
        u32 name = beginning ? pick_type(&theirs, TYPE_RECEIVE) : pick(&theirs);
        u32 how = beginning ? MAKE_SEND : pick_disposition(known_type(&theirs, name));
        if (how == MOVE_RECEIVE && !may_move(&theirs, name))
            how = MAKE_SEND;
        put("take ");
        put_name(&theirs, name);
        say(" %u", how);
        struct call c = CALL(other, 3215, name, how);
        here = &own;
        end_with_name(c.code, c.name);
        return 1;
    }
    u32 from = pick_type(&own, beginning ? TYPE_RECEIVE : TYPE_PORTS);
    u32 how = beginning ? MAKE_SEND : pick_disposition(known_type(&own, from));
    if (how == MOVE_RECEIVE && !may_move(&own, from))
        how = MAKE_SEND;
    u32 name = new_name(step);
    if (from == 0 || from == DEAD || from == NOWHERE)
        return 0;
    put("give ");
    put_name(&own, from);
    say(" %u", how);
    int place = place_of(&own, from), voucher = place >= 0 && own.is_voucher[place];
    struct call c = CALL_RIGHT(other, 3214, from, how, name);
    here = &theirs;
    end_with_name(c.code, name);
    place = place_of(&theirs, name);
    if (c.code == 0 && place >= 0)
        theirs.is_voucher[place] = (u8)voucher;
    return 1;
}

static int do_mark(void) {
    u32 name = pick_type(&own, TYPE_RECEIVE), flavor = once_in(2) ? 5 : 4;
    put("set_attributes ");
    put_name(&own, name);
    say(" %u", flavor);
    return end(CALL(self, 3218, name, flavor, 0).code);
}

static void put_importance(void) {
    for (int which = 0; which < 2; which++) {
        u32 now[4] = {0};
        if (which == 1 && other == 0)
            continue;
        u32 code = ipcwalk_importance(which == 0 ? self : other, now);
        if (code != 0)
            say(" %s:code%x", which == 0 ? "A" : "B", code);
        else if (!same(now, importance[which], sizeof now))
            say(" %s:imp(%u,%u,%x,%u)", which == 0 ? "A" : "B", now[0], now[1], now[2], now[3]);
        memcpy(importance[which], now, sizeof now);
    }
}

static int do_voucher_step(u32 step) {
    static const u8 weights[] = {0, 0, 0, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 4, 4, 5, 5, 6, 6, 7, 8, 8, 9, 10, 10};
    here = once_in(2) ? &own : &theirs;
    u32 what = step < 6 ? 4 : step < 12 ? 8 : step < 14 ? 0 : weights[below(sizeof weights)];
    if (pair_walk && what < 2)
        what += 2;
    switch (what) {
    case 0: return do_voucher();
    case 1: return do_recipe();
    case 2: return do_send_voucher();
    case 3: return do_receive_voucher();
    case 4: return do_port();
    case 5: return do_release();
    case 6: return do_references();
    case 7: return do_make_send();
    case 8: return do_hand_over(step);
    case 10: return do_ask();
    default: return do_mark();
    }
}

void ipcwalk_voucher_walk(u32 seed, u32 steps, int pair) {
    pair_walk = pair;
    moves_rights = seed % 2;
    u32 type, other_type;
    ipcwalk_types(seed, &type, &other_type);
    self = (u32)TRAP(MACH + 28, 0);
    reply_port = (u32)TRAP(MACH + 26, 0);
    other = ipcwalk_other(other_type);
    two_act = 1;
    for (int which = 0; which < 2; which++) {
        here = which == 0 ? &own : &theirs;
        selves[which] = (u32)ACT(MACH + 28, 0);
        hosts[which] = (u32)ACT(MACH + 29, 0);
    }
    seed_chance(seed);
    for (u32 step = 0; step <= steps; step++) {
        u32 start = output_used;
        say("%u.%u ", seed, step);
        if (step == 0) {
            say("types %u %u", type, other_type);
        } else if (step == steps) {
            here = &own;
            do_end();
            other = 0;
        } else if (!do_voucher_step(step)) {
            output_used = start;
            continue;
        }
        put(" |");
        put_changes(&own);
        put_changes(&theirs);
        if (!pair_walk)
            put_importance();
        put("\n");
        flush();
    }
}

/* ---- The machine itself: Tally ---------------------------------------------------------------------------------- */

#ifndef IPCWALK_HOSTED

__asm__(".text\n.globl ipcwalk_trap\nipcwalk_trap:\n"
        "push %rbp\n mov %rsp, %rbp\n mov %edi, %eax\n mov %rsi, %r11\n"
        "push 56(%r11)\n push 48(%r11)\n push $0\n"
        "mov (%r11), %rdi\n mov 8(%r11), %rsi\n mov 16(%r11), %rdx\n mov 24(%r11), %r10\n"
        "mov 32(%r11), %r8\n mov 40(%r11), %r9\n"
        "syscall\n mov %rbp, %rsp\n pop %rbp\n ret\n");

static const char *image;
static u32 exit_port;

static u32 length(const char *text) {
    u32 n = 0;
    while (text[n] != 0)
        n++;
    return n;
}

static __attribute__((noreturn)) void leave(int status) {
    flush();
    for (;;)
        TRAP(UNIX + 1, (u64)status);
}

/* Starts this program again with other arguments. Its end is told to `exit_port`. */
static u32 start_again(const char *arguments, u32 size, u32 app_type) {
    struct {
        u64 image, image_size, arguments, arguments_size, environment, environment_size;
        u32 image_kind, app_type, role, qos_clamp, uid, gid, bootstrap_port, exit_port, exit_disposition;
        u32 persona, properties, watch_port_count;
        u64 watch_ports;
        u32 system_persona, system_proxy_persona;
        u64 kernel_bytes, pages;
    } spawn = {
        .image = (u64)image,
        .image_size = length(image),
        .arguments = (u64)arguments,
        .arguments_size = size,
        .app_type = app_type,
        .uid = ~0u,
        .gid = ~0u,
        .exit_port = exit_port,
        .exit_disposition = MAKE_SEND_ONCE,
        /* Three quarters of what is left: a walk can make a name table as large as any. */
        .kernel_bytes = (1ull << 63) + 192,
    };
    u32 task = 0, code = (u32)TRAP(OWN + 1, (u64)&spawn, sizeof spawn, (u64)&task);
    if (code != 0) {
        say("task_spawn: %x\n", code);
        leave(2);
    }
    return task;
}

/* How a task started so ended. */
static u32 wait_for_exit(void) {
    u32 m[32] = {0};
    if (message_trap(m, RCV_MSG, 0, sizeof m, exit_port) != 0 || m[5] != 5001)
        leave(3);
    return m[8];
}

static u32 number(const char *text) {
    u32 value = 0;
    for (; *text >= '0' && *text <= '9'; text++)
        value = value * 10 + (u32)(*text - '0');
    return value;
}

static void append(char *to, u32 *used, const char *text) {
    memcpy(to + *used, text, length(text) + 1);
    *used += length(text) + 1;
}

static void append_number(char *to, u32 *used, u32 value) {
    char digits[12] = {0};
    int n = 11;
    do
        digits[--n] = (char)('0' + value % 10);
    while ((value /= 10) != 0);
    append(to, used, digits + n);
}

u32 ipcwalk_other(u32 app_type) {
    if (exit_port == 0)
        TRAP(MACH + 16, self, RIGHT_RECEIVE, (u64)&exit_port);
    char text[128];
    u32 used = 0;
    append(text, &used, image);
    append(text, &used, app_type != 0 ? "errands" : "idle");
    return start_again(text, used, app_type);
}

/* What a voucher walk asks its second task to do, and the answer. */
struct errand {
    u32 header[6], number, size;
    u64 base, arguments[8], result;
    u8 bytes[512];
    u32 trailer[2];
} __attribute__((packed, aligned(4)));

/* The name of the port through which errands come: the walker puts the right there. */
enum { ERRANDS = 900 << 8 | 3 };

long ipcwalk_other_trap(u32 number, const u64 *arguments, void *bytes, u32 size) {
    static u32 port;
    static struct errand errand;
    if (port == 0) {
        TRAP(MACH + 16, self, RIGHT_RECEIVE, (u64)&port);
        TRAP(MACH + 21, self, port, port, MAKE_SEND);
        CALL_RIGHT(other, 3214, port, MOVE_RECEIVE, ERRANDS);
    }
    memset(&errand, 0, sizeof errand);
    errand.header[0] = COPY_SEND | MAKE_SEND_ONCE << 8;
    errand.header[2] = port;
    errand.header[3] = reply_port;
    errand.number = number;
    errand.size = size;
    errand.base = (u64)bytes;
    memcpy(errand.arguments, arguments, sizeof errand.arguments);
    memcpy(errand.bytes, bytes, size);
    u32 code = (u32)message_trap((u32 *)&errand, SEND_MSG | RCV_MSG, sizeof errand - 8, sizeof errand, reply_port);
    if (code != 0 || errand.header[5] == SEND_ONCE) {
        say(" the second task is gone\n");
        flush();
        TRAP(UNIX + 1, 4);
    }
    memcpy(bytes, errand.bytes, size);
    return (long)errand.result;
}

static __attribute__((noreturn)) void run_errands(void) {
    static struct errand errand;
    while (message_trap((u32 *)&errand, RCV_MSG, 0, sizeof errand, ERRANDS) != 0)
        TRAP(MACH + 60, 0); /* not there yet */
    for (;;) {
        u64 a[8];
        memcpy(a, errand.arguments, sizeof a);
        for (int i = 0; i < 8; i++)
            if (a[i] >= errand.base && a[i] < errand.base + errand.size)
                a[i] += (u64)errand.bytes - errand.base;
        errand.result = (u64)ipcwalk_trap(errand.number, a);
        errand.header[0] = MOVE_SEND_ONCE;
        errand.header[3] = 0;
        message_trap((u32 *)&errand, SEND_MSG, sizeof errand - 8, 0, 0);
        message_trap((u32 *)&errand, RCV_MSG, 0, sizeof errand, ERRANDS);
    }
}

u32 ipcwalk_importance(u32 task, u32 *counts) {
    struct call c = CALL(task, 3421, 4, 16, 0); /* task_policy_get, TASK_POLICY_STATE */
    counts[0] = c.words[7];
    counts[1] = c.words[8];
    counts[2] = c.words[9];
    counts[3] = c.words[11];
    return c.code;
}

void ipcwalk_end_other(u32 task) {
    u32 m[8] = {COPY_SEND, 24, task, 0, 0, 3401};
    message_trap(m, SEND_MSG, 24, 0, 0);
    wait_for_exit();
}

__asm__(".text\n.globl _start\n_start:\n mov %rsp, %rdi\n and $-16, %rsp\n call ipcwalk_start\n");

__attribute__((noreturn, used)) void ipcwalk_start(const u64 *block) {
    const char *const *arguments = (const char *const *)(block + 1);
    u32 count = (u32)block[0];
    while (count == 2 && arguments[1][0] == 'i') /* idle: it makes no names */
        TRAP(MACH + 90, ~0ul);
    self = (u32)TRAP(MACH + 28, 0);
    image = arguments[0];
    for (const char *c = arguments[0]; *c != 0; c++)
        if (*c == '/')
            image = c + 1;
    if (count == 2 && arguments[1][0] == 'e')
        run_errands();
    if (count == 5 && arguments[1][0] == '-') { /* -w, -v or -p, SEED STEPS IMAGE */
        image = arguments[4];
        u32 seed = number(arguments[2]), steps = number(arguments[3]);
        if (arguments[1][1] == 'w')
            ipcwalk_walk(seed, steps);
        else
            ipcwalk_voucher_walk(seed, steps, arguments[1][1] == 'p');
        leave(0);
    }
    int two_actors = count == 5;
    arguments += two_actors;
    pair_walk = two_actors && arguments[0][0] == 'p';
    if (count != 4 && !pair_walk && !(two_actors && arguments[0][0] == 'v')) {
        say("usage: ipcwalk [voucher | pair] FIRST COUNT STEPS\n");
        leave(64);
    }
    TRAP(MACH + 16, self, RIGHT_RECEIVE, (u64)&exit_port);
    u32 first = number(arguments[1]), walks = number(arguments[2]);
    for (u32 seed = first; seed < first + walks; seed++) {
        char text[256];
        u32 used = 0, type = 0, other_type;
        if (two_actors)
            ipcwalk_types(seed, &type, &other_type);
        append(text, &used, "ipcwalk");
        append(text, &used, pair_walk ? "-p" : two_actors ? "-v" : "-w");
        append_number(text, &used, seed);
        append_number(text, &used, number(arguments[3]));
        append(text, &used, image);
        deallocate(start_again(text, used, type));
        u32 status = wait_for_exit();
        if (status != 0)
            say("%u ended with %x\n", seed, status);
    }
    leave(0);
}

#endif
