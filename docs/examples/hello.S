# The smallest useful program: prints a line and ends with status 7.
#
#   gcc -nostdlib -static -o hello.elf hello.S
#   ./run-qemu.sh run hello.elf; echo $?

        .globl  _start
_start:
        mov     $0x2000004, %eax        # class 2 (Unix), number 4: write
        mov     $1, %edi                # descriptor 1: the console
        lea     message(%rip), %rsi
        mov     $length, %edx
        syscall
        jc      failed                  # Unix traps report errors by the carry flag

        mov     $0x2000001, %eax        # class 2, number 1: exit
        mov     $7, %edi
        syscall                         # does not return

failed: ud2                             # ends the task with EXC_BAD_INSTRUCTION

        .section .rodata
message:
        .ascii  "Hello from ring 3\n"
        .set    length, . - message

        .section .note.GNU-stack, "", @progbits
