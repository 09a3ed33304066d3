/* Sizes and offsets of the structures: what programs in other languages, and the kernel, agree on. Only compiled. */

#include <stddef.h>
#include <tally.h>

#define SIZE(type, size) _Static_assert(sizeof(type) == (size), "the size of " #type)
#define OFFSET(type, field, offset) _Static_assert(offsetof(type, field) == (offset), "the offset of " #type "." #field)

SIZE(mach_msg_header_t, 24);
OFFSET(mach_msg_header_t, msgh_bits, 0);
OFFSET(mach_msg_header_t, msgh_size, 4);
OFFSET(mach_msg_header_t, msgh_remote_port, 8);
OFFSET(mach_msg_header_t, msgh_local_port, 12);
OFFSET(mach_msg_header_t, msgh_voucher_port, 16);
OFFSET(mach_msg_header_t, msgh_id, 20);
SIZE(mach_msg_base_t, 28);
SIZE(mach_msg_port_descriptor_t, 12);
OFFSET(mach_msg_port_descriptor_t, name, 0);

SIZE(mach_msg_trailer_t, 8);
SIZE(mach_msg_seqno_trailer_t, 12);
SIZE(mach_msg_security_trailer_t, 20);
SIZE(mach_msg_audit_trailer_t, 52);
SIZE(mach_msg_context_trailer_t, 60);
SIZE(mach_msg_mac_trailer_t, 68);
OFFSET(mach_msg_mac_trailer_t, msgh_seqno, 8);
OFFSET(mach_msg_mac_trailer_t, msgh_sender, 12);
OFFSET(mach_msg_mac_trailer_t, msgh_audit, 20);
OFFSET(mach_msg_mac_trailer_t, msgh_context, 52);
OFFSET(mach_msg_mac_trailer_t, msgh_ad, 60);
OFFSET(mach_msg_mac_trailer_t, msgh_labels, 64);

SIZE(NDR_record_t, 8);
OFFSET(NDR_record_t, int_rep, 4);
SIZE(mig_reply_error_t, 36);
OFFSET(mig_reply_error_t, RetCode, 32);

/* Notifications, without their trailers. */
OFFSET(mach_port_deleted_notification_t, not_port, 32);
OFFSET(mach_port_deleted_notification_t, trailer, 36);
OFFSET(mach_send_possible_notification_t, trailer, 36);
OFFSET(mach_port_destroyed_notification_t, not_port, 28);
OFFSET(mach_port_destroyed_notification_t, trailer, 40);
OFFSET(mach_no_senders_notification_t, not_count, 32);
OFFSET(mach_no_senders_notification_t, trailer, 36);
OFFSET(mach_send_once_notification_t, trailer, 24);
OFFSET(mach_dead_name_notification_t, trailer, 36);

SIZE(mach_port_status_t, 40);
OFFSET(mach_port_status_t, mps_pset, 0);
OFFSET(mach_port_status_t, mps_seqno, 4);
OFFSET(mach_port_status_t, mps_mscount, 8);
OFFSET(mach_port_status_t, mps_qlimit, 12);
OFFSET(mach_port_status_t, mps_msgcount, 16);
OFFSET(mach_port_status_t, mps_sorights, 20);
OFFSET(mach_port_status_t, mps_srights, 24);
OFFSET(mach_port_status_t, mps_pdrequest, 28);
OFFSET(mach_port_status_t, mps_nsrequest, 32);
OFFSET(mach_port_status_t, mps_flags, 36);
SIZE(mach_port_info_ext_t, 68);
OFFSET(mach_port_info_ext_t, mpie_boost_cnt, 40);
SIZE(mach_port_options_t, 24);
OFFSET(mach_port_options_t, mpl, 4);
OFFSET(mach_port_options_t, reserved, 8);
_Static_assert(MACH_PORT_RECEIVE_STATUS_COUNT == 10 && MACH_PORT_INFO_EXT_COUNT == 17, "words of attributes");

SIZE(mach_voucher_attr_recipe_data_t, 16);
OFFSET(mach_voucher_attr_recipe_data_t, key, 0);
OFFSET(mach_voucher_attr_recipe_data_t, command, 4);
OFFSET(mach_voucher_attr_recipe_data_t, previous_voucher, 8);
OFFSET(mach_voucher_attr_recipe_data_t, content_size, 12);
OFFSET(mach_voucher_attr_recipe_data_t, content, 16);

SIZE(struct task_suppression_policy, 64);
OFFSET(struct task_suppression_policy, throughput_qos, 24);
OFFSET(struct task_suppression_policy, background_sockets, 32);
SIZE(struct task_policy_state, 64);
OFFSET(struct task_policy_state, imp_assertcnt, 24);
OFFSET(struct task_policy_state, imp_externcnt, 28);
OFFSET(struct task_policy_state, flags, 32);
OFFSET(struct task_policy_state, imp_transitions, 40);
_Static_assert(TASK_CATEGORY_POLICY_COUNT == 1 && TASK_SUPPRESSION_POLICY_COUNT == 16, "words of policies");

SIZE(struct task_spawn_args, 136);
OFFSET(struct task_spawn_args, image_size, 8);
OFFSET(struct task_spawn_args, arguments, 16);
OFFSET(struct task_spawn_args, environment, 32);
OFFSET(struct task_spawn_args, image_kind, 48);
OFFSET(struct task_spawn_args, app_type, 52);
OFFSET(struct task_spawn_args, role, 56);
OFFSET(struct task_spawn_args, qos_clamp, 60);
OFFSET(struct task_spawn_args, uid, 64);
OFFSET(struct task_spawn_args, gid, 68);
OFFSET(struct task_spawn_args, bootstrap_port, 72);
OFFSET(struct task_spawn_args, exit_port, 76);
OFFSET(struct task_spawn_args, exit_disposition, 80);
OFFSET(struct task_spawn_args, persona, 84);
OFFSET(struct task_spawn_args, properties, 88);
OFFSET(struct task_spawn_args, watch_port_count, 92);
OFFSET(struct task_spawn_args, watch_ports, 96);
OFFSET(struct task_spawn_args, system_persona, 104);
OFFSET(struct task_spawn_args, system_proxy_persona, 108);
OFFSET(struct task_spawn_args, kernel_bytes, 112);
OFFSET(struct task_spawn_args, pages, 120);
OFFSET(struct task_spawn_args, coalition, 128);
SIZE(struct exit_message, 36);
SIZE(struct tally_counts, 88);
SIZE(struct tally_thread_info, 56);
SIZE(struct proc_uniqidentifierinfo, 56);
OFFSET(struct proc_uniqidentifierinfo, p_uniqueid, 16);
OFFSET(struct proc_uniqidentifierinfo, p_orig_ppidversion, 36);
SIZE(mach_timebase_info_data_t, 8);
SIZE(name_t, 128);

_Static_assert(MACH_MSGH_BITS_SET(19, 21, 17, MACH_MSGH_BITS_COMPLEX) == 0x80111513u, "a disposition for each right");
_Static_assert(MACH_PORT_TYPE(MACH_PORT_RIGHT_DEAD_NAME) == MACH_PORT_TYPE_DEAD_NAME, "types and rights");
_Static_assert(MACH_PORT_MAKE(MACH_PORT_INDEX(0x1207), MACH_PORT_GEN(0x1207)) == 0x1207, "the parts of a name");
_Static_assert(QOS_PRIORITY(QOS_LEGACY) == 0x8FF && QOS_PRIORITY(QOS_UNSPECIFIED) == 0, "pthread_priority_t");

int main(void) {
    /* Bit fields have no offset. */
    mach_msg_port_descriptor_t descriptor = {.name = 0x01020304, .disposition = 19, .type = 7};
    const unsigned char bytes[] = {4, 3, 2, 1, 0, 0, 0, 0, 0, 0, 19, 7};
    return memcmp(&descriptor, bytes, sizeof bytes) == 0 ? 0 : 1;
}
