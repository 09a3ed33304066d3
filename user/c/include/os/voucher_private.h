/* Vouchers as objects: what a message says about the work that it asks for (docs/spec/dispatch.md 2). As long as somebody
 * holds the voucher of a message, the boost that came with it lasts. A program that uses this is linked with
 * user/c/cc.sh --dispatch. */
#ifndef OS_VOUCHER_PRIVATE_H
#define OS_VOUCHER_PRIVATE_H

#include <mach/message.h>
#include <stdbool.h>

typedef struct voucher_s *voucher_t;

#define VOUCHER_NULL ((voucher_t)0)

/* Returns the voucher of the calling thread with a reference, or VOUCHER_NULL. */
voucher_t voucher_copy(void);
/* The same without its importance: to hold it keeps no boost alive. */
voucher_t voucher_copy_without_importance(void);
/* Gives the calling thread a voucher, or none. Takes the caller's reference, and returns the former voucher with one. */
voucher_t voucher_adopt(voucher_t voucher);
/* Adds a reference, and gives one up. Both accept VOUCHER_NULL. */
voucher_t voucher_retain(voucher_t voucher);
void voucher_release(voucher_t voucher);

/* Puts the calling thread's voucher into the header of a message that is about to be sent, or without one the task's own.
 * Returns false if the header has a voucher already. */
bool voucher_mach_msg_set(mach_msg_header_t *msg);
/* Takes it out again after the send, whatever the result. */
void voucher_mach_msg_clear(mach_msg_header_t *msg);

/* The voucher that a thread had before. */
typedef struct voucher_mach_msg_state_s *voucher_mach_msg_state_t;

#define VOUCHER_MACH_MSG_STATE_UNCHANGED ((voucher_mach_msg_state_t)~0ul)

/* Gives the calling thread the voucher of a message that was received with MACH_RCV_VOUCHER. The right is taken out of the
 * header. A message without a voucher changes nothing. */
voucher_mach_msg_state_t voucher_mach_msg_adopt(mach_msg_header_t *msg);
/* Gives the thread back what it had. */
void voucher_mach_msg_revert(voucher_mach_msg_state_t state);

#endif
