//! From the PVH entry point, 32-bit and without paging, to Rust in 64-bit mode.

use core::arch::global_asm;

use boot::fault::Fault;
use boot::gdt::{CODE_SELECTOR, DATA_SELECTOR, GDT};
use x86_64::structures::paging::PageTable;

use crate::report::{COM1, COM2, EXIT_PORT};
use crate::start::start;

/// The top page table that boot runs on. Its lower half maps the first 4 GiB at their physical addresses; the higher
/// half is that of the kernel as soon as it is known.
pub static mut TOP_TABLE: PageTable = PageTable::new();
static mut THIRD_TABLE: PageTable = PageTable::new();
static mut SECOND_TABLES: [PageTable; 4] = [const { PageTable::new() }; 4];

const STACK_SIZE: usize = 64 << 10;

/// Boot's stack.
#[repr(C, align(16))]
struct Stack([u8; STACK_SIZE]);
static mut STACK: Stack = Stack([0; STACK_SIZE]);

static TABLE: [u64; 3] = GDT;

/// The operand of `lgdt` in 32-bit mode.
#[repr(C, packed(2))]
struct TablePointer {
    limit: u16,
    base: &'static [u64; 3],
}
static TABLE_POINTER: TablePointer = TablePointer { limit: size_of_val(&TABLE) as u16 - 1, base: &TABLE };

static NO_LONG_MODE: &str = Fault::NoLongMode.template();

unsafe extern "C" {
    fn pvh_entry() -> !;
}
pvh::xen_elfnote_phys32_entry!(pvh_entry);

// In: ebx = physical address of the start information; flat 32-bit segments, paging and interrupts off
// (Xen "x86/HVM direct boot ABI"). The tables above are zero.
global_asm!(
    ".section .text.pvh_entry, \"ax\", @progbits",
    ".code32",
    ".global pvh_entry",
    "pvh_entry:",
    "    cli",
    "    cld",
    "    mov esp, offset {stack} + {stack_size}",
    "    mov esi, ebx",
    // Is there a 64-bit mode? (AMD64 APM vol. 2, 14.8)
    "    mov eax, 0x80000000",
    "    cpuid",
    "    cmp eax, 0x80000001",
    "    jb 7f",
    "    mov eax, 0x80000001",
    "    cpuid",
    "    bt edx, 29",
    "    jnc 7f",
    // Four second-level tables of 2 MiB pages: present, writable, large.
    "    mov eax, 0x83",
    "    mov edi, offset {second}",
    "    mov ecx, 4 * 512",
    "2:  mov [edi], eax",
    "    add eax, 0x200000",
    "    add edi, 8",
    "    dec ecx",
    "    jnz 2b",
    "    mov eax, offset {second} + 3",
    "    mov edi, offset {third}",
    "    mov ecx, 4",
    "3:  mov [edi], eax",
    "    add eax, 0x1000",
    "    add edi, 8",
    "    dec ecx",
    "    jnz 3b",
    "    mov eax, offset {third} + 3",
    "    mov edi, offset {top}",
    "    mov [edi], eax",
    // PAE, then the tables, then EFER.LME, then paging: 64-bit mode is active.
    "    mov eax, cr4",
    "    or eax, 0x20",
    "    mov cr4, eax",
    "    mov cr3, edi",
    "    mov ecx, 0xC0000080",
    "    rdmsr",
    "    or eax, 0x100",
    "    wrmsr",
    "    mov eax, cr0",
    "    or eax, 0x80000000",
    "    mov cr0, eax",
    // The instructions are 64-bit ones as soon as cs is.
    "    mov eax, offset {table_pointer}",
    "    lgdt [eax]",
    "    push {code}",
    "    mov eax, offset pvh_64_bit",
    "    push eax",
    "    retf",
    ".code64",
    "pvh_64_bit:",
    "    mov eax, {data}",
    "    mov ds, eax",
    "    mov es, eax",
    "    mov ss, eax",
    "    xor eax, eax",
    "    mov fs, eax",
    "    mov gs, eax",
    "    mov edi, esi",
    "    xor ebp, ebp",
    "    call {start}",
    "    ud2",
    // No 64-bit mode, so no Rust: print the message on COM2 if there is one (its scratch register keeps a value),
    // else on COM1, and leave QEMU.
    ".code32",
    "7:  mov edx, {com2} + 7",
    "    mov al, 0x42",
    "    out dx, al",
    "    in al, dx",
    "    mov ebx, {com2}",
    "    cmp al, 0x42",
    "    je 8f",
    "    mov ebx, {com1}",
    "8:  mov eax, offset pvh_line",
    "    mov ecx, 6",
    "    call 5f",
    "    mov edi, offset {message}",
    "    mov eax, [edi]",
    "    mov ecx, [edi + 8]",
    "    call 5f",
    "    mov eax, offset pvh_line + 6",
    "    mov ecx, 1",
    "    call 5f",
    "    mov dx, {exit_port}",
    "    mov eax, {exit_code}",
    "    out dx, eax",
    "9:  hlt",
    "    jmp 9b",
    // Prints ecx bytes at eax on the port ebx.
    "5:  mov esi, eax",
    "6:  lea edx, [ebx + 5]",
    "    in al, dx",
    "    test al, 0x20",
    "    jz 6b",
    "    lodsb",
    "    mov edx, ebx",
    "    out dx, al",
    "    dec ecx",
    "    jnz 6b",
    "    ret",
    "pvh_line: .ascii \"boot: \\n\"",
    ".code64",
    stack = sym STACK,
    stack_size = const STACK_SIZE,
    second = sym SECOND_TABLES,
    third = sym THIRD_TABLE,
    top = sym TOP_TABLE,
    table_pointer = sym TABLE_POINTER,
    code = const CODE_SELECTOR,
    data = const DATA_SELECTOR,
    start = sym start,
    com1 = const COM1,
    com2 = const COM2,
    message = sym NO_LONG_MODE,
    exit_port = const EXIT_PORT,
    exit_code = const Fault::NoLongMode.code(),
);
