/* Starts the programs that its arguments name, one after the other, and says how each of them ended. */

#include <tally.h>

int main(int argc, char **argv) {
    mach_port_t exit_port;
    CHECK(mach_port_allocate(mach_task_self(), MACH_PORT_RIGHT_RECEIVE, &exit_port));
    for (int i = 1; i < argc; i++) {
        const char *const arguments[] = {argv[i], NULL};
        task_t task;
        kern_return_t code = spawn_program(arguments, NULL, exit_port, &task);
        if (code != KERN_SUCCESS) {
            printf("%s does not start: %s\n", argv[i], mach_error_string(code));
            continue;
        }
        uint32_t status;
        CHECK(wait_for_exit(exit_port, &status));
        CHECK(mach_port_deallocate(mach_task_self(), task));
        printf("%s has ended with status %u\n", argv[i], status);
    }
    return 0;
}
