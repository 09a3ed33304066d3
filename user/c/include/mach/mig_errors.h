/* Errors in the form of messages, and the reply that carries a return code. */
#ifndef MACH_MIG_ERRORS_H
#define MACH_MIG_ERRORS_H

#include <mach/message.h>
#include <mach/ndr.h>

#define MIG_TYPE_ERROR -300      /* a right of the wrong kind */
#define MIG_REPLY_MISMATCH -301  /* the reply has another id */
#define MIG_REMOTE_ERROR -302
#define MIG_BAD_ID -303          /* the server knows no such call */
#define MIG_BAD_ARGUMENTS -304   /* a request of another shape */
#define MIG_NO_REPLY -305
#define MIG_EXCEPTION -306
#define MIG_ARRAY_TOO_LARGE -307 /* the result does not fit */
#define MIG_SERVER_DIED -308     /* the reply right was destroyed */

#pragma pack(push, 4)
typedef struct {
    mach_msg_header_t Head;
    NDR_record_t NDR;
    kern_return_t RetCode;
} mig_reply_error_t;
#pragma pack(pop)

#endif
