# A stub for each trap. The arguments of a C function are already in the right registers, except the fourth, which
# `syscall` needs in r10. The seventh and eighth are where the kernel looks for them, behind the return address. To the
# compiler a stub is a function: it expects no vector register to survive.

        .macro  TRAP name, number
        .section .text.\name, "ax", @progbits
        .globl  \name
        .type   \name, @function
\name:
        mov     $\number, %eax
        mov     %rcx, %r10
        syscall
        ret
        .size   \name, . - \name
        .endm

# A trap of the Unix class: with the carry flag the result is an error number.
        .macro  UNIX_TRAP name, number
        .section .text.\name, "ax", @progbits
        .globl  \name
        .type   \name, @function
\name:
        mov     $0x2000000 + \number, %eax
        mov     %rcx, %r10
        syscall
        jnc     1f
        neg     %rax
1:      ret
        .size   \name, . - \name
        .endm

        TRAP    _kernelrpc_mach_vm_allocate_trap, 0x100000a
        TRAP    _kernelrpc_mach_vm_deallocate_trap, 0x100000c
        TRAP    _kernelrpc_mach_vm_protect_trap, 0x100000e
        TRAP    _kernelrpc_mach_port_allocate_trap, 0x1000010
        TRAP    _kernelrpc_mach_port_deallocate_trap, 0x1000012
        TRAP    _kernelrpc_mach_port_mod_refs_trap, 0x1000013
        TRAP    _kernelrpc_mach_port_move_member_trap, 0x1000014
        TRAP    _kernelrpc_mach_port_insert_right_trap, 0x1000015
        TRAP    _kernelrpc_mach_port_insert_member_trap, 0x1000016
        TRAP    _kernelrpc_mach_port_extract_member_trap, 0x1000017
        TRAP    _kernelrpc_mach_port_construct_trap, 0x1000018
        TRAP    _kernelrpc_mach_port_destruct_trap, 0x1000019
        TRAP    mach_reply_port, 0x100001a
        TRAP    thread_self_trap, 0x100001b
        TRAP    task_self_trap, 0x100001c
        TRAP    host_self_trap, 0x100001d
        TRAP    mach_msg_trap, 0x100001f
        TRAP    mach_msg_overwrite_trap, 0x1000020
        TRAP    _kernelrpc_mach_port_get_attributes_trap, 0x1000028
        TRAP    _kernelrpc_mach_port_guard_trap, 0x1000029
        TRAP    _kernelrpc_mach_port_unguard_trap, 0x100002a
        TRAP    mach_generate_activity_id, 0x100002b
        TRAP    task_for_pid, 0x100002d
        TRAP    thread_get_special_reply_port, 0x1000032
        TRAP    swtch_pri, 0x100003b
        TRAP    swtch, 0x100003c
        TRAP    thread_switch, 0x100003d
        TRAP    host_create_mach_voucher_trap, 0x1000046
        TRAP    mach_voucher_extract_attr_recipe_trap, 0x1000048
        TRAP    _kernelrpc_mach_port_type_trap, 0x100004c
        TRAP    _kernelrpc_mach_port_request_notification_trap, 0x100004d
        TRAP    mach_timebase_info, 0x1000059
        TRAP    mach_wait_until, 0x100005a

        UNIX_TRAP exit, 1
        UNIX_TRAP read, 3
        UNIX_TRAP write, 4
        UNIX_TRAP getpid, 20
        UNIX_TRAP setpriority, 96
        UNIX_TRAP process_policy, 323
        UNIX_TRAP proc_info, 336
        UNIX_TRAP thread_selfid, 372
        UNIX_TRAP bsdthread_ctl, 478
        UNIX_TRAP persona, 494
        UNIX_TRAP ulock_wait, 515
        UNIX_TRAP ulock_wake, 516

        TRAP    set_thread_base, 0x3000003

        TRAP    task_spawn, 0x5000001
        TRAP    tally_thread_create, 0x5000002
        TRAP    thread_exit, 0x5000003
        TRAP    thread_set_qos, 0x5000004
        TRAP    port_bind_servicer, 0x5000005
        TRAP    mach_absolute_time, 0x5000006
        TRAP    cpu_count, 0x5000007
        TRAP    debug_state, 0x5000008
        TRAP    inspect, 0x5000009
        TRAP    trace_control, 0x500000a
        TRAP    trace_note, 0x500000b

        .section .note.GNU-stack, "", @progbits
