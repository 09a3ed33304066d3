/* The name service. */

#include "call.h"
#include <servers/bootstrap.h>
#include <string.h>

static void call_name(struct call *call, const char *service_name) {
    name_t name = {0};
    strlcpy(name, service_name, sizeof name);
    call_raw(call, name, sizeof name);
}

kern_return_t bootstrap_check_in(mach_port_t bp, const char *service_name, mach_port_t *sp) {
    CALL(call, CALL_SMALL);
    call_name(&call, service_name);
    return call_make_for_port(&call, bp, 402, sp, NULL);
}

kern_return_t bootstrap_register(mach_port_t bp, const char *service_name, mach_port_t sp) {
    CALL(call, CALL_SMALL);
    call_port(&call, sp, MACH_MSG_TYPE_COPY_SEND);
    call_name(&call, service_name);
    return call_make(&call, bp, 403, 0);
}

kern_return_t bootstrap_look_up(mach_port_t bp, const char *service_name, mach_port_t *sp) {
    CALL(call, CALL_SMALL);
    call_name(&call, service_name);
    return call_make_for_port(&call, bp, 404, sp, NULL);
}
