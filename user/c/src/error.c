/* Names of codes. */

#include <mach/mach.h>
#include <servers/bootstrap.h>
#include <stdio.h>

#define NAME(code)                                                                                                     \
    case code:                                                                                                         \
        return #code

const char *mach_error_string(mach_error_t code) {
    switch (code >> 28 == 1 ? code & ~MACH_MSG_MASK : code) {
        NAME(KERN_SUCCESS);
        NAME(KERN_INVALID_ADDRESS);
        NAME(KERN_PROTECTION_FAILURE);
        NAME(KERN_NO_SPACE);
        NAME(KERN_INVALID_ARGUMENT);
        NAME(KERN_FAILURE);
        NAME(KERN_RESOURCE_SHORTAGE);
        NAME(KERN_NO_ACCESS);
        NAME(KERN_MEMORY_ERROR);
        NAME(KERN_ALREADY_IN_SET);
        NAME(KERN_NOT_IN_SET);
        NAME(KERN_NAME_EXISTS);
        NAME(KERN_ABORTED);
        NAME(KERN_INVALID_NAME);
        NAME(KERN_INVALID_TASK);
        NAME(KERN_INVALID_RIGHT);
        NAME(KERN_INVALID_VALUE);
        NAME(KERN_UREFS_OVERFLOW);
        NAME(KERN_INVALID_CAPABILITY);
        NAME(KERN_RIGHT_EXISTS);
        NAME(KERN_INVALID_HOST);
        NAME(KERN_INVALID_OBJECT);
        NAME(KERN_TERMINATED);
        NAME(KERN_NOT_SUPPORTED);
        NAME(KERN_DENIED);
        NAME(MIG_TYPE_ERROR);
        NAME(MIG_REPLY_MISMATCH);
        NAME(MIG_REMOTE_ERROR);
        NAME(MIG_BAD_ID);
        NAME(MIG_BAD_ARGUMENTS);
        NAME(MIG_NO_REPLY);
        NAME(MIG_EXCEPTION);
        NAME(MIG_ARRAY_TOO_LARGE);
        NAME(MIG_SERVER_DIED);
        NAME(MACH_SEND_INVALID_DATA);
        NAME(MACH_SEND_INVALID_DEST);
        NAME(MACH_SEND_TIMED_OUT);
        NAME(MACH_SEND_INVALID_VOUCHER);
        NAME(MACH_SEND_INTERRUPTED);
        NAME(MACH_SEND_MSG_TOO_SMALL);
        NAME(MACH_SEND_INVALID_REPLY);
        NAME(MACH_SEND_INVALID_RIGHT);
        NAME(MACH_SEND_INVALID_MEMORY);
        NAME(MACH_SEND_NO_BUFFER);
        NAME(MACH_SEND_TOO_LARGE);
        NAME(MACH_SEND_INVALID_TYPE);
        NAME(MACH_SEND_INVALID_HEADER);
        NAME(MACH_SEND_NO_GRANT_DEST);
        NAME(MACH_RCV_INVALID_NAME);
        NAME(MACH_RCV_TIMED_OUT);
        NAME(MACH_RCV_TOO_LARGE);
        NAME(MACH_RCV_INTERRUPTED);
        NAME(MACH_RCV_PORT_CHANGED);
        NAME(MACH_RCV_INVALID_NOTIFY);
        NAME(MACH_RCV_INVALID_DATA);
        NAME(MACH_RCV_PORT_DIED);
        NAME(MACH_RCV_HEADER_ERROR);
        NAME(MACH_RCV_BODY_ERROR);
        NAME(BOOTSTRAP_NOT_PRIVILEGED);
        NAME(BOOTSTRAP_NAME_IN_USE);
        NAME(BOOTSTRAP_UNKNOWN_SERVICE);
        NAME(BOOTSTRAP_SERVICE_ACTIVE);
        NAME(BOOTSTRAP_SERVICE_THROTTLED);
    default:
        return "unknown code";
    }
}

void mach_error(const char *text, mach_error_t code) {
    printf("%s: %s (%d)\n", text, mach_error_string(code), code);
}

const char *bootstrap_strerror(kern_return_t code) {
    return mach_error_string(code);
}
