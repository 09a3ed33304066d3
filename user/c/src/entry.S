# The first instructions of programs and threads.

        .section .text._start, "ax", @progbits
        .globl  _start
        .type   _start, @function
_start:
        xor     %ebp, %ebp
        mov     %rsp, %rdi              # argc, argv, envp and the auxiliary vector
        lea     _DYNAMIC(%rip), %rsi    # exists in position-independent programs
        and     $-16, %rsp
        call    tally_start
        ud2
        .size   _start, . - _start
        .weak   _DYNAMIC
        .hidden _DYNAMIC

# A thread of thread_start. rdi and rsp are the address of its record: function, argument, address and size of the stack.
        .section .text.tally_thread_entry, "ax", @progbits
        .globl  tally_thread_entry
        .hidden tally_thread_entry
        .type   tally_thread_entry, @function
tally_thread_entry:
        xor     %ebp, %ebp
        mov     %rdi, %rbx
        mov     8(%rbx), %rdi
        call    *(%rbx)
        mov     mach_task_self_(%rip), %edi
        mov     16(%rbx), %rsi
        mov     24(%rbx), %rdx
        mov     $0x100000c, %eax        # mach_vm_deallocate: from here on there is no stack
        syscall
        mov     $0x5000003, %eax        # thread_exit
        syscall
        ud2
        .size   tally_thread_entry, . - tally_thread_entry

        .section .note.GNU-stack, "", @progbits
