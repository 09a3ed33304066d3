/* The start of a program: relocation, the ports that every program has, main, exit. */

#include <tally.h>

int main(int argc, char **argv, char **envp);

mach_port_t mach_task_self_;
mach_port_t bootstrap_port;
vm_size_t vm_page_size = 4096;

enum { AT_PHDR = 3, AT_PHNUM = 5, PT_DYNAMIC = 2, DT_RELA = 7, DT_RELASZ = 8, R_X86_64_RELATIVE = 8 };

struct program_header {
    uint32_t type, flags;
    uint64_t offset, virtual_address, physical_address, file_size, memory_size, alignment;
};

struct relocation {
    uint64_t offset, info;
    int64_t addend;
};

static const char cannot_relocate[] = "this program has relocations that its start-up code does not know\n";

/* Adds the load address to all pointers in the data of a position-independent program. Until then such pointers must
 * not be used. */
static void relocate(const uint64_t *auxiliary, const uint64_t *dynamic) {
    const struct program_header *headers = NULL;
    uint64_t count = 0;
    for (; auxiliary[0] != 0; auxiliary += 2) {
        if (auxiliary[0] == AT_PHDR)
            headers = (const struct program_header *)auxiliary[1];
        if (auxiliary[0] == AT_PHNUM)
            count = auxiliary[1];
    }
    uint64_t base = 0;
    for (uint64_t i = 0; headers != NULL && i < count; i++)
        if (headers[i].type == PT_DYNAMIC)
            base = (uint64_t)dynamic - headers[i].virtual_address;
    if (base == 0)
        return;
    uint64_t table = 0, size = 0;
    for (; dynamic[0] != 0; dynamic += 2) {
        if (dynamic[0] == DT_RELA)
            table = dynamic[1];
        if (dynamic[0] == DT_RELASZ)
            size = dynamic[1];
    }
    const struct relocation *relocation = (const struct relocation *)(base + table);
    for (uint64_t i = 0; i < size / sizeof *relocation; i++) {
        if (relocation[i].info != R_X86_64_RELATIVE) {
            write(2, cannot_relocate, sizeof cannot_relocate - 1);
            exit(127);
        }
        *(uint64_t *)(base + relocation[i].offset) = base + relocation[i].addend;
    }
}

/* `block` is the first stack as the kernel made it. */
__attribute__((noreturn, visibility("hidden"))) void tally_start(const uint64_t *block, const uint64_t *dynamic) {
    int argc = (int)block[0];
    char **argv = (char **)(block + 1);
    char **envp = argv + argc + 1;
    char **end = envp;
    while (*end != NULL)
        end++;
    relocate((const uint64_t *)(end + 1), dynamic);

    mach_task_self_ = task_self_trap();
    if (task_get_bootstrap_port(mach_task_self_, &bootstrap_port) != KERN_SUCCESS)
        bootstrap_port = MACH_PORT_NULL;
    exit(main(argc, argv, envp));
}

void abort(void) {
    __builtin_trap();
}

void check_call(kern_return_t code, const char *call, const char *file, int line) {
    if (code == KERN_SUCCESS)
        return;
    printf("%s:%d: ", file, line);
    mach_error(call, code);
    exit(EXIT_FAILURE);
}
